"""What a process and its children took of the machine, by the kernel's own accounting.

True here: CPU time is that of whole processes, all of their threads, user and system, in
nanoseconds (the CPU clock of each process; /proc/<pid>/stat counts in steps of 10 ms). Memory is
the most that was ever resident (`VmHWM`).
"""

import time
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
_WHOLE_PROCESS = (
    2  # CPUCLOCK_SCHED: what the scheduler counted for a process, its threads added up
)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of those it started that still run."""
    return sum(_process_seconds(one) for one in tree(pid))


def tree(pid: int) -> Iterator[int]:
    """A process, its children, theirs."""
    yield pid
    for task in (PROC / str(pid) / "task").iterdir():
        for child in (task / "children").read_text().split():
            yield from tree(int(child))


def peak_bytes(pid: int) -> int:
    """The most memory that was resident at once, summed over the tree."""
    return sum(_peak_of(one) for one in tree(pid))


def _process_seconds(pid: int) -> float:
    # What clock_getcpuclockid(3) answers for another process: its id, inverted, and the kind.
    return time.clock_gettime((~pid << 3) | _WHOLE_PROCESS)


def _peak_of(pid: int) -> int:
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"{pid} has no memory: it ended")
