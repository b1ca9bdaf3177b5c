"""A fuzzer in a process of its own, watched by what it prints."""

import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

from tests.fuzz.harnesses import CORPUS, findings

# libFuzzer's lines, and ours in its form.
_LINE = re.compile(r"#(\d+)\s+(\w+)\s+(?:cov: (\d+) ft: \d+ )?.*?exec/s: (\d+)")
_COUNTED = re.compile(r"leaked: (\d+) changed: (\d+)")
_TRACE = "Uncaught Python exception"


class Run:
    """One fuzzer, from its start to its end.

    Attributes:
        executions, pace: how many, and how many a second.
        begun, ended: branches of `gateway` reached, by what was there and by now.
        counted: (leaked, changed), of what counts documents.
        code: of the process; None while it runs.
    """

    def __init__(self, name: str, module: str, *arguments: str) -> None:
        self.name = name
        self.executions = self.pace = self.begun = self.ended = 0
        self.counted: tuple[int, int] | None = None
        self._lines: deque[str] = deque(maxlen=40)
        self._known = findings(CORPUS / name)
        self._start = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def wait(self, seconds: float) -> bool:
        """Wait so long at most; is it over?"""
        self._reader.join(seconds)
        return not self._reader.is_alive() and self._process.wait() is not None

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def found(self) -> list[Path]:
        """The inputs that broke a promise in this run."""
        return sorted(findings(CORPUS / self.name) - self._known)

    def last_words(self) -> Iterator[str]:
        """What it said from the exception on."""
        lines = list(self._lines)
        starts = [at for at, line in enumerate(lines) if _TRACE in line or "Traceback" in line]
        for line in lines[starts[0] if starts else -8 :]:
            if line.startswith("==") or not line.strip():
                return
            yield line

    def pulse(self) -> str:
        counted = "leaked {} changed {}".format(*self.counted) if self.counted else ""
        reached = f"{self.ended} branches" if self.ended else counted
        seconds = int(time.monotonic() - self._start)
        return f"{self.name}: {self.executions:,} in {seconds} s, {self.pace:,}/s, {reached}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
            found = _LINE.match(line)
            if found is None:
                continue
            self.executions, self.pace = int(found[1]), int(found[4])
            self.ended = int(found[3] or 0)
            self.begun = self.ended if found[2] == "INITED" else self.begun
            counted = _COUNTED.search(line)
            if counted is not None:
                self.counted = int(counted[1]), int(counted[2])
