"""Cut so many planted documents, and count what leaked and what changed.

    python -m tests.fuzz.counting --documents 1000000 [--seed 7]

What went wrong first is kept for `harness/documents.py`, which replays it.
"""

import argparse
import secrets
import sys
import time
from collections.abc import Sequence

from tests.fuzz.documents import Tally, try_some
from tests.fuzz.harnesses import CORPUS

BATCH = 64  # documents under one policy; making the policy takes as long as ten of them
BROKEN = 77  # as libFuzzer says it


def main(argv: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz.counting")
    options.add_argument("--documents", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=secrets.randbits(48))
    asked = options.parse_args(argv)
    tally = Tally()
    start = told = time.monotonic()
    seed, wrong = asked.seed, ""
    while tally.documents < asked.documents:
        found = try_some(seed, min(BATCH, asked.documents - tally.documents), tally)
        if found and not wrong:
            wrong = found
            file = CORPUS / "documents" / f"crash-{seed}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(seed.to_bytes(8) + bytes([BATCH]))
        seed += 1
        if time.monotonic() - told >= 5:
            told = time.monotonic()
            _tell("pulse", tally, start)
    _tell("DONE", tally, start)
    print(wrong, file=sys.stderr, flush=True)
    return BROKEN if wrong else 0


def _tell(word: str, tally: Tally, start: float) -> None:
    pace = int(tally.documents / max(time.monotonic() - start, 1e-9))
    print(
        f"#{tally.documents}\t{word} leaked: {tally.leaked} changed: {tally.changed}"
        f" exec/s: {pace}",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
