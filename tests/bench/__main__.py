"""`make bench`: how fast is it, side by side with others in one run?

Prints the page as it goes and writes it to docs/benchmarks.md, with the machine and the date.
Nothing here fails because something took long: a figure stands beside its target, and a
person reads both.
"""

import argparse
import gc
import os
import platform
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench.deciding import deciding
from tests.bench.loading import loading
from tests.bench.measure import Contender, side_by_side, spell
from tests.bench.records import cutting, testing
from tests.bench.requests import requesting

SIZES = (10, 100, 1_000, 10_000, 100_000)
QUICK_SIZES = (10, 100)
MOST_OF_PYCASBIN = 10_000  # rows; it takes seconds to load more, and minutes to ask
PAGE = Path("docs/benchmarks.md")
CALLS = 100_000

INTRODUCTION = """\
# How fast it is

Written by `make bench` (a minute or two); do not edit it by hand. What is compared was measured
in one run, in turn, on one machine: look at the ratios first. All times are CPU time of one
process (user and system, from the kernel), so what other programs took is left out, though a
busy neighbour makes everything slower: *best round* is what it takes while there is none. Other
figures are medians. No test fails because of a figure here.

The policies are made up (`tests/bench/policies.py`): a chain of two salons, 200 people, 40 roles
and the adapter `salon-demo`; only the rows of salon_rules.csv grow. Most of them ask for two
conditions, a few deny, no two are alike. The figures for answers and requests are those under
10,000 rows.
"""
END = """\
## Not measured yet

Whole processes against each other: the gateway on a socket beside a bare aiohttp proxy, nginx,
Caddy, Envoy and mitmproxy with the same addon, with CPU time per request taken from the kernel's
accounting of each process. Until that is here, nothing on this page says how the gateway compares
with them.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    words = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    words.add_argument("--quick", action="store_true",
                       help="little of everything, once; writes nothing")  # fmt: skip
    quick = words.parse_args(argv).quick
    page = []
    for part in parts(quick=quick):
        print(part, flush=True)
        page.append(part)
    if not quick:
        PAGE.write_text("\n".join(page), encoding="utf-8")
        print(f"written to {PAGE}")


def parts(*, quick: bool) -> Iterator[str]:
    """The page, part by part."""
    began = time.monotonic()
    yield INTRODUCTION
    yield _machine(quick=quick)
    load, bundles = loading(QUICK_SIZES if quick else SIZES, quick=quick)
    many = bundles[max(size for size in bundles if size <= 10_000)]
    gc.collect()
    gc.freeze()  # or each round below would begin with a search through 100,000 rows for garbage
    yield deciding(bundles, quick=quick, most_of_casbin=MOST_OF_PYCASBIN).markdown()
    yield load.markdown()
    yield testing(many, quick=quick).markdown()
    yield cutting(many, quick=quick).markdown()
    yield requesting(many, quick=quick).markdown()
    gc.unfreeze()
    yield END
    yield f"All of this took {time.monotonic() - began:.0f} s.\n"


def _machine(*, quick: bool) -> str:
    """Where and when."""
    now = datetime.now(UTC)
    call = side_by_side(
        {"call": Contender(run=_calls, operations=CALLS)}, rounds=1 if quick else 9
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in ("msgspec", "pycasbin", "pyjwt"))
    return (
        f"Measured on {now:%Y-%m-%d} at {now:%H:%M} UTC: {_processor()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, {platform.python_implementation()} "
        f"{platform.python_version()}, {libraries}. Load when it began: "
        f"{os.getloadavg()[0]:.1f}. For scale: calling a function that does nothing took "
        f"{spell(call['call'].seconds)}, {spell(call['call'].least)} in the best round.\n"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _calls() -> None:
    def nothing() -> None:
        pass

    for _ in range(CALLS):
        nothing()


if __name__ == "__main__":
    main()
