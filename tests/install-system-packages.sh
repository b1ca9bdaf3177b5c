#!/bin/sh
# What the tests need besides Python packages: real servers and tools of Debian and Ubuntu.
set -eu

missing=
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need redis-server redis-server  # the second implementation of the state port
need promtool prometheus        # checks metrics, alert and recording rules
need node nodejs                # runs json-server, an upstream that is not ours
need npm npm
need curl curl                  # the tour's lines are tried as printed
need chromium chromium          # the owner's console in a real browser

[ -n "$missing" ] || exit 0
# shellcheck disable=SC2086  # a list of words
exec sh "$(dirname "$0")/apt-install.sh" $missing
