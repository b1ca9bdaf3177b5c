#!/bin/sh
# install-peers.sh PYTHON VENV: what can be had of those who stand beside the gateway in `make bench`.
# Nothing here fails: who is missing is skipped there, with a line that says how to get it.
set -u
python=$1
venv=$2
here=$(dirname "$0")
lock=$here/../../requirements-bench.lock

if ! cmp -s "$lock" "$venv/.lock"; then
    echo "installing the peers that the Python index has into $venv (pinned, with hashes) ..."
    if sh "$here/../make-venv.sh" "$python" "$venv" &&
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --require-hashes -r "$lock"; then
        cp "$lock" "$venv/.lock"
    else
        echo "not installed: Caddy, Envoy and mitmproxy are skipped" >&2
    fi
fi

PATH=$PATH:/usr/sbin
missing=
command -v nginx >/dev/null 2>&1 || missing="$missing nginx-light"
command -v haproxy >/dev/null 2>&1 || missing="$missing haproxy"
[ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || missing="$missing libnginx-mod-http-lua"
ls /usr/lib/*/lua/5.1/cjson.so >/dev/null 2>&1 || missing="$missing lua-cjson"
[ -n "$missing" ] || exit 0

# Debian starts such servers as soon as they are installed, on port 80. In a container nothing
# does; on somebody's own machine that is not for a benchmark to decide.
if [ -d /run/systemd/system ]; then
    echo "skipped, because installing them starts them: sudo apt-get install$missing" >&2
    exit 0
fi
# shellcheck disable=SC2086  # a list of words
sh "$here/../apt-install.sh" $missing || echo "not installed:$missing" >&2
