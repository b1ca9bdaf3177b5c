"""One harness in this process, until its time is over, its runs are done or a promise breaks.

    python -m tests.fuzz.engine NAME --seconds 60 --runs -1 [--blind] [--replay FILE ...]

With atheris: libFuzzer changes inputs and keeps those that reach new code of `gateway`; it
prints its own lines, and ends with a code that is not 0 when a promise broke, the input
written to the harness' corpus. Without: the same by chance alone, and the same lines.
"""

import argparse
import hashlib
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from types import FrameType, ModuleType

from tests.fuzz.blind import changed
from tests.fuzz.harnesses import CORPUS, as_dictionary, inputs, load, max_bytes, words

LIVE = Path(".fuzz")  # inputs that reached new code, kept from run to run on this machine
SLOWEST_SECONDS = 20  # of one input; real ones take a few milliseconds
MOST_MEGABYTES = 2048
BROKEN = 77  # what libFuzzer says after a crash


def main(argv: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz.engine")
    options.add_argument("name")
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--runs", type=int, default=-1)
    options.add_argument("--blind", action="store_true")
    options.add_argument("--replay", type=Path, nargs="+")
    asked = options.parse_args(argv)
    if asked.replay:
        for file in asked.replay:
            load(asked.name).check(file.read_bytes())
            print(f"{file}: no promise broken")
        return 0
    if asked.blind:
        return _blind(asked.name, asked.seconds, asked.runs)
    _guided(asked.name, asked.seconds, asked.runs)
    return 0


def has_atheris() -> bool:
    try:
        import atheris  # noqa: F401, PLC0415  # not everywhere
    except ImportError:
        return False
    return True


def _guided(name: str, seconds: int, runs: int) -> None:
    import atheris  # noqa: PLC0415  # only where it is

    with atheris.instrument_imports(include=["gateway"]):
        harness = load(name)
    live, kept = LIVE / name, CORPUS / name
    for folder in (live, kept):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        seeds, dictionary = Path(scratch, "seeds"), Path(scratch, "words")
        seeds.mkdir()
        for number, seed in enumerate(harness.SEEDS):
            (seeds / str(number)).write_bytes(seed)
        dictionary.write_text(as_dictionary(words(harness)))
        flags = [
            f"-max_total_time={seconds}",
            f"-runs={runs}",
            f"-max_len={max_bytes(harness)}",
            f"-timeout={SLOWEST_SECONDS}",
            f"-rss_limit_mb={MOST_MEGABYTES}",
            f"-artifact_prefix={kept}/",
            *([f"-dict={dictionary}"] if words(harness) else []),
            "-len_control=20",  # the longest inputs soon; the default wants days
            "-print_final_stats=1",
        ]
        atheris.Setup([name, *flags, str(live), str(kept), str(seeds)], harness.check)
        atheris.Fuzz()  # never comes back


def _blind(name: str, seconds: int, runs: int) -> int:
    harness = load(name)
    beginning = inputs(name, harness)
    start = told = time.monotonic()
    done = 0
    source = changed(beginning, words(harness), max_bytes(harness), Random())  # noqa: S311  # no secret
    for data in beginning:
        if not _holds(name, harness, data):
            return BROKEN
        done += 1
    _tell(done, "INITED", start)
    for data in source:
        now = time.monotonic()
        if now - start >= seconds or 0 <= runs <= done:
            break
        if now - told >= 5:
            told = now
            _tell(done, "pulse", start)
        if not _holds(name, harness, data):
            return BROKEN
        done += 1
    _tell(done, "DONE", start)
    return 0


def _holds(name: str, harness: ModuleType, data: bytes) -> bool:
    """Check one input; write down what breaks a promise."""
    try:
        _in_time(harness.check, data)
    except Exception:  # noqa: BLE001  # whatever it is, it is a finding
        file = CORPUS / name / f"crash-{hashlib.sha1(data, usedforsecurity=False).hexdigest()}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        traceback.print_exc()
        return False
    return True


def _in_time(check: Callable[[bytes], None], data: bytes) -> None:
    def too_slow(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"one input takes more than {SLOWEST_SECONDS} seconds")

    signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(SLOWEST_SECONDS)
    try:
        check(data)
    finally:
        signal.alarm(0)


def _tell(done: int, word: str, start: float) -> None:
    """In libFuzzer's form, without what nobody measured."""
    pace = int(done / max(time.monotonic() - start, 1e-9))
    print(f"#{done}\t{word} cov: 0 ft: 0 exec/s: {pace}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
