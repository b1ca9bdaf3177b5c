#!/bin/sh
# make-venv.sh PYTHON FOLDER: a virtual environment, installing python3-venv if that is allowed.
set -eu
python=$1
folder=$2

if ! command -v "$python" >/dev/null 2>&1; then
    echo "salon-gateway needs python3 (3.11 or newer): apt-get install python3 python3-venv" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "salon-gateway needs Python 3.11 or newer; $python is $("$python" -V 2>&1)." >&2
    echo "Name another one: make PYTHON=python3.12 ..." >&2
    exit 1
fi
if "$python" -m venv "$folder" >/dev/null 2>&1; then
    exit 0
fi
# Debian splits venv from python3; without it the line above fails half way.
rm -rf "$folder"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "The module venv is missing. Run: sudo apt-get install python3-venv" >&2
    exit 1
fi
echo "installing python3-venv ..."
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null ||
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "python$version-venv" >/dev/null
exec "$python" -m venv "$folder"
