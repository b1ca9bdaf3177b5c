#!/bin/sh
# apt-install.sh PACKAGE...: install from Debian or Ubuntu if that is allowed; otherwise say the
# one line that does.
set -eu
if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "Missing packages. Run: sudo apt-get install $*" >&2
    exit 1
fi
echo "installing $* ..."
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
