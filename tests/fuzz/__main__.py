"""`make fuzz`: every harness for a while, each in a process of its own, and a table at the end.

    python -m tests.fuzz                        about half an hour, and a million documents
    python -m tests.fuzz --only cut --seconds 60
    python -m tests.fuzz --seconds 120 --documents 20000
    python -m tests.fuzz --only cut --replay FILE

Ends with 1 if a promise broke; the inputs that broke it lie in tests/fuzz/corpus/ then.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import engine
from tests.fuzz.harnesses import load, names, promise
from tests.fuzz.runs import Run

SECONDS = 1500  # of all harnesses together; the documents are counted beside them
DOCUMENTS = 1_000_000
PULSE_SECONDS = 20


def main(argv: Sequence[str] | None = None) -> int:
    asked = _asked(argv)
    chosen = asked.only or names()
    if asked.replay:
        return engine.main([chosen[0], "--replay", *map(str, asked.replay)])
    if asked.list:
        for name in chosen:
            print(f"{name:12} {promise(load(name))}")
        return 0
    blind = asked.blind or not engine.has_atheris()
    if blind:
        print("atheris is not used: inputs are changed by chance, not led by coverage")
    done = _all(chosen, asked, blind=blind)
    _table(done)
    return 1 if any(run.code for run in done) else 0


def _asked(argv: Sequence[str] | None) -> argparse.Namespace:
    options = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--seconds", type=int, default=SECONDS, help="of all harnesses together")
    options.add_argument("--runs", type=int, default=-1, help="of each harness, at most")
    options.add_argument("--only", action="append", choices=names(), help="may be given twice")
    options.add_argument("--documents", type=int, help="how many to cut and count (0 = none)")
    options.add_argument(
        "--blind", action="store_true", help="without atheris, even if it is there"
    )
    options.add_argument("--replay", type=Path, nargs="+", help="inputs of the one --only harness")
    options.add_argument("--list", action="store_true", help="the harnesses and their promises")
    asked = options.parse_args(argv)
    if asked.replay and len(asked.only or ()) != 1:
        options.error("--replay needs exactly one --only")
    if asked.documents is None:
        asked.documents = 0 if asked.only else DOCUMENTS
    return asked


def _all(chosen: list[str], asked: argparse.Namespace, *, blind: bool) -> list[Run]:
    """Run one harness after the other, and count documents beside them."""
    done: list[Run] = []
    counting = None
    if asked.documents:
        counting = Run("documents", "tests.fuzz.counting", "--documents", str(asked.documents))
    seconds = max(1, asked.seconds // len(chosen))
    try:
        for name in chosen:
            how = ["--seconds", str(seconds), "--runs", str(asked.runs)]
            done.append(Run(name, "tests.fuzz.engine", name, *how, *(["--blind"] * blind)))
            _watch(done[-1])
        if counting is not None:
            done.append(counting)
            _watch(counting)
    except KeyboardInterrupt:
        for run in {*done, *([counting] if counting else [])}:
            run.stop()
    return done


def _watch(run: Run) -> None:
    while not run.wait(PULSE_SECONDS):
        print(run.pulse(), flush=True)
    print(run.pulse(), "over" if not run.code else "A PROMISE BROKE", flush=True)
    if run.code:
        print("\n".join(run.last_words()), flush=True)


def _table(done: list[Run]) -> None:
    print(f"\n{'harness':12} {'executions':>12} {'per second':>10} {'branches':>14}  found")
    for run in done:
        reached = f"{run.begun} -> {run.ended}" if run.ended else ""
        if run.counted is not None:
            found = "{} leaked, {} changed".format(*run.counted)
        else:
            found = "nothing" if not run.code else f"ended with {run.code}"
        print(f"{run.name:12} {run.executions:>12,} {run.pace:>10,} {reached:>14}  {found}")
    for run in done:
        for file in run.found():
            print(f"\nto see it again: python -m tests.fuzz --only {run.name} --replay {file}")


if __name__ == "__main__":
    sys.exit(main())
