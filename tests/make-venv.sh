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
sh "$(dirname "$0")/apt-install.sh" python3-venv
exec "$python" -m venv "$folder"
