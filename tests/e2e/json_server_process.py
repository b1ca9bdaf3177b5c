"""json-server 0.17.4, a REST server that is not ours, as a process on a free loopback port.

It is installed from its lock file at the first use (`npm ci`, into json_server/node_modules);
the lock file holds versions and hashes, and the registry is whichever npm is set up with.
"""

import fcntl
import json
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

HOME = Path(__file__).parent / "json_server"
INSTALL_SECONDS = 300
START_SECONDS = 30


def is_available() -> bool:
    """Can it be run here at all?"""
    return shutil.which("node") is not None and shutil.which("npm") is not None


@contextmanager
def json_server(db: Mapping[str, object], directory: Path) -> Iterator[str]:
    """Run json-server over a database of its own.

    Args:
        db: collection → list of records, as in db.json.
        directory: where db.json is written; json-server changes it there.

    Yields:
        Its origin, `http://127.0.0.1:<port>`. It answers by then.
    """
    _install()
    file = directory / "db.json"
    file.write_text(json.dumps(db), encoding="utf-8")
    process = subprocess.Popen(
        ["node", "start.cjs", str(file)],
        cwd=HOME,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = _port(process)
        _require_answer(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _install() -> None:
    """`npm ci`, once, even if several test processes come here at the same time."""
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (HOME / "node_modules" / ".package-lock.json").exists():
            return
        done = subprocess.run(
            ["npm", "ci", "--cache", str(HOME / ".npm-cache"), "--no-progress"],
            cwd=HOME,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"npm ci failed:\n{done.stderr}")


def _port(process: subprocess.Popen[str]) -> int:
    """The port, which is its first line of output."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if readable else ""
    if not line.strip().isdigit():
        raise RuntimeError(f"json-server did not start (exit code {process.poll()})")
    return int(line)


def _require_answer(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("GET", "/db")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != 200:
        raise RuntimeError(f"json-server answers {status}")
