#!/bin/sh
# What the tests need besides Python packages: real servers and tools of Debian and Ubuntu.
# Installs what is missing if that is allowed; otherwise says the one line that does.
set -eu

missing=
need() { # need COMMAND PACKAGE...
    command -v "$1" >/dev/null 2>&1 || { shift; missing="$missing $*"; }
}
need redis-server redis-server  # the second implementation of the state port
need promtool prometheus        # checks metrics, alert and recording rules
need node nodejs                # runs json-server, an upstream that is not ours
need npm npm
need curl curl                  # the tour's lines are tried as printed

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "The tests need packages that are not here. Run: sudo apt-get install$missing" >&2
    exit 1
fi
echo "installing$missing ..."
$sudo apt-get update -qq
# shellcheck disable=SC2086  # a list of words
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
