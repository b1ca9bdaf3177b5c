#!/bin/sh
# lock.sh BIN: write all lock files anew. No registry address may stand in them.
set -eu
bin=$1
"$bin/python" -m pip install --quiet uv
for name in requirements requirements-dev; do
    extras="--extra build"
    [ "$name" = requirements ] || extras="--extra build --extra dev"
    # shellcheck disable=SC2086  # a list of words
    "$bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-header $extras pyproject.toml -o "$name.lock"
done
"$bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-header --extra fuzz pyproject.toml \
    -o requirements-fuzz.lock
# Those who stand beside the gateway in `make bench`.
"$bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-header tests/bench/requirements-bench.in \
    -o requirements-bench.lock
