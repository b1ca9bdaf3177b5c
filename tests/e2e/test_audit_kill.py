"""`kill -9` at random moments: whatever was acknowledged is in the trail, and it verifies.

A child enters lines from several tasks at once and prints each id when `append` has
returned. It is killed, the next one goes on in the same directory, again and again.
SALON_FUZZ multiplies the rounds.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

from gateway.audit.verify import Fault
from gateway.backends.audit_directory import list_trail, verify_directory

ROUNDS = 10 * int(os.environ.get("SALON_FUZZ", "1"))

CHILD = """
import asyncio, os, sys
from datetime import UTC, datetime
from pathlib import Path
from gateway.audit.entry import Entry, Phase
from gateway.backends.audit_file import FileAuditTrail

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)

class Clock:
    def now(self): return AT
    def monotonic(self): return 0.0

async def enter(trail, name):
    number = 0
    while True:
        number += 1
        id = f"{name}.{number}"
        await trail.append(Entry(request_id=id, at=AT, phase=Phase.ANSWER, method="GET",
                                 peer="192.0.2.1", policy="p"))
        os.write(1, (id + "\\n").encode())  # in one piece, past every buffer

async def main():
    # Small files: that some kills meet a rotation is wanted.
    trail = await FileAuditTrail.open(Path(sys.argv[1]), clock=Clock(), max_file_bytes=20_000)
    os.write(2, f"{len(trail.repaired)}\\n".encode())
    await asyncio.gather(*(enter(trail, f"{sys.argv[2]}.{task}") for task in range(8)))

asyncio.run(main())
"""

TORN = """
import os, resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from gateway.audit.chain import entry_body
from gateway.audit.entry import Entry, Phase
from gateway.backends.audit_writer import TrailWriter

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)

class Clock:
    def now(self): return AT
    def monotonic(self): return 0.0

writer = TrailWriter(Path(sys.argv[1]), worker="0", clock=Clock(), max_file_bytes=2**20,
                     retention_days=None, sync=os.fsync)
writer.open()
# The kernel takes what fits below the limit, then ends the process in the middle of a line.
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
number = 0
while True:
    number += 1
    writer.commit([entry_body(Entry(request_id=f"torn.{number}", at=AT, phase=Phase.ANSWER,
                                    method="GET", peer="192.0.2.1", policy="p"))])
    os.write(1, f"torn.{number}\\n".encode())
"""


def start(source, *words):
    return subprocess.Popen(
        [sys.executable, "-c", source, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def entered(directory):
    text = "".join(file.path.read_text() for file in list_trail(directory))
    return re.findall('"request_id":"([^"]*)"', text)


def test_no_acknowledged_entry_is_missing_after_kill_9(tmp_path):
    acknowledged = []
    for number in range(ROUNDS):
        child = start(CHILD, tmp_path, number)
        first = child.stdout.readline()  # it is at work
        assert first, child.stderr.read().decode()
        time.sleep(random.random() * 0.1)  # noqa: S311  # the moment of the kill, not a wait
        child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate()
        # The very last id may be cut off with the pipe; only whole ones were told.
        told = (first + rest).decode().split("\n")[:-1]
        acknowledged += told
        report = verify_directory(tmp_path, "0", {})
        assert report.broken is None or report.broken.fault is Fault.TORN
        assert set(told) <= set(entered(tmp_path))
    ids = entered(tmp_path)
    assert set(acknowledged) <= set(ids)
    assert len(ids) == len(set(ids))
    assert len(acknowledged) > ROUNDS
    last = start(CHILD, tmp_path, "last")
    assert last.stdout.readline()
    last.kill()
    last.communicate()
    assert verify_directory(tmp_path, "0", {}).broken is None


def test_each_task_finds_its_lines_in_its_own_order(tmp_path):
    child = start(CHILD, tmp_path, "only")
    for _ in range(100):
        assert child.stdout.readline()
    child.kill()
    child.communicate()
    for task in range(8):
        numbers = [
            int(name.split(".")[2])
            for name in entered(tmp_path)
            if name.startswith(f"only.{task}.")
        ]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_process_that_dies_in_the_middle_of_a_line_leaves_a_torn_line_that_is_repaired(tmp_path):
    child = start(TORN, tmp_path)
    out, err = child.communicate()
    assert child.returncode == -signal.SIGXFSZ, err.decode()
    told = out.decode().split()
    assert told
    path = list_trail(tmp_path)[-1].path
    assert not path.read_bytes().endswith(b"\n")
    assert verify_directory(tmp_path, "0", {}).broken.fault is Fault.TORN

    heir = start(CHILD, tmp_path, "heir")
    assert heir.stdout.readline()
    heir.kill()
    _, err = heir.communicate()
    event = json.loads(err.splitlines()[0])
    assert (event["event"], event["file"]) == ("audit_repaired", path.name)
    assert event["what"].startswith("the last line broke off")
    assert err.split()[-1] == b"1"  # and it knows of this one repair
    assert path.with_name(path.name + ".torn").read_bytes().startswith(b'{"kind":"entry"')
    assert verify_directory(tmp_path, "0", {}).broken is None
    assert set(told) <= set(entered(tmp_path))
