"""`make bench`: how fast is it, side by side with others in one run?

Prints the page as it goes and writes it to docs/benchmarks.md, with the machine and the date,
and a picture beside it. Nothing here fails because something took long: a figure stands beside
its target, and a person reads both.
"""

import argparse
import gc
import os
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tests.bench.beside import compared_section, comparing, present_section
from tests.bench.deciding import deciding
from tests.bench.growing import growing_sections, huge_section
from tests.bench.loading import loading
from tests.bench.machine import machine, when
from tests.bench.pausing import pausing
from tests.bench.picture import picture
from tests.bench.records import cutting, testing
from tests.bench.requests import requesting
from tests.bench.targets import targets_section
from tests.bench.wire import Effort
from tests.bench.world import world

SIZES = (10, 100, 1_000, 10_000, 100_000)
QUICK_SIZES = (10, 100)
MOST_OF_PYCASBIN = 10_000  # rows; it takes seconds to load more, and minutes to ask
PAGE = Path("docs/benchmarks.md")
PICTURE = Path("docs/benchmarks.svg")
RULES = 10_000
EFFORT = Effort(rounds=9, seconds=0.25)
QUICK_EFFORT = Effort(rounds=1, seconds=0.02)
HUGE_BYTES, QUICK_HUGE_BYTES = 2**30, 2**24

INTRODUCTION = """\
# How fast it is

Written by `make bench` (about ten minutes); do not edit it by hand. What is compared was measured
in one run, in turn, on one machine: look at the ratios first. All times are CPU time (user and
system, from the kernel), so what other programs took is left out, though a
busy neighbour makes everything slower: *best round* is what it takes while there is none. Other
figures are medians. No test fails because of a figure here.

The policies are made up (`tests/bench/policies.py`): a chain of two salons, 200 people, 40 roles
and the adapter `salon-demo`; only the rows of salon_rules.csv grow. Most of them ask for two
conditions, a few deny, no two are alike. The figures for answers and requests are those under
10,000 rows.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    words = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    words.add_argument("--quick", action="store_true",
                       help="little of everything, once; writes nothing")  # fmt: skip
    words.add_argument("--peers", metavar="NAMES",
                       help="only these, with commas between; writes nothing")  # fmt: skip
    given = words.parse_args(argv)
    only = None if given.peers is None else given.peers.split(",")
    writes = not given.quick and only is None
    page = []
    drawn: list[str] = []
    for part in parts(quick=given.quick, only=only, drawn=drawn):
        print(part, flush=True)
        page.append(part)
    if writes:
        PAGE.write_text("\n".join(page), encoding="utf-8")
        PICTURE.write_text("".join(drawn), encoding="utf-8")
        print(f"written to {PAGE} and {PICTURE}")


def parts(*, quick: bool, only: Collection[str] | None, drawn: list[str]) -> Iterator[str]:
    """The page, part by part; the picture is added to `drawn`."""
    began, load = time.monotonic(), os.getloadavg()[0]
    yield INTRODUCTION
    yield machine(quick=quick)
    yield from _over_the_wire(quick=quick, only=only, drawn=drawn)
    yield from _in_one_process(quick=quick)
    yield (
        f"All of this took {time.monotonic() - began:.0f} s. Load: {load:.1f} when it began, "
        f"{os.getloadavg()[0]:.1f} at the end.\n"
    )


def _over_the_wire(
    *, quick: bool, only: Collection[str] | None, drawn: list[str]
) -> Iterator[str]:
    """Whole processes against each other."""
    effort = QUICK_EFFORT if quick else EFFORT
    rules = QUICK_SIZES[-1] if quick else RULES
    huge_bytes = QUICK_HUGE_BYTES if quick else HUGE_BYTES
    with world(rows=rules, huge_bytes=huge_bytes, only=only) as running:
        compared = comparing(running, effort)
        bare = [peer.name for peer in running.present if peer.bare]
        drawn.append(picture(compared, bare, f"Measured on {when()}; lengths true to scale."))
        huge, passing = huge_section(running, huge_bytes, rounds=1 if quick else 3)
        pauses, longest = pausing(running, rounds=1 if quick else 15)
        yield targets_section(compared, passing, longest).markdown()
        yield compared_section(running, compared, effort).markdown()
        yield f"![CPU time per request, the gateway and its peers]({PICTURE.name})\n"
        yield present_section(running).markdown()
        yield huge.markdown()
        yield pauses.markdown()
        for section in growing_sections(running, effort, quick=quick):
            yield section.markdown()


def _in_one_process(*, quick: bool) -> Iterator[str]:
    """What the parts of the gateway take, without a wire."""
    load, bundles = loading(QUICK_SIZES if quick else SIZES, quick=quick)
    many = bundles[max(size for size in bundles if size <= RULES)]
    gc.collect()
    gc.freeze()  # or each round below would begin with a search through 100,000 rows for garbage
    yield deciding(bundles, quick=quick, most_of_casbin=MOST_OF_PYCASBIN).markdown()
    yield load.markdown()
    yield testing(many, quick=quick).markdown()
    yield cutting(many, quick=quick).markdown()
    yield requesting(many, quick=quick).markdown()
    gc.unfreeze()


if __name__ == "__main__":
    main()
