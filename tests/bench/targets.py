"""What was to be reached, beside what was: said plainly, and nothing fails because of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.beside import CUT, PASSED, Compared
from tests.bench.growing import Passing
from tests.bench.measure import spell
from tests.bench.pausing import TARGET_SECONDS
from tests.bench.tables import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """At most so many times another's CPU time; `then` is the next mark after it."""

    what: str
    one: str
    other: str
    size: str
    reach: float
    then: float | None = None


PASS_ON_1_GB = 1.3  # times
MIB = 2**20
CONSTANT_BYTES = 4 * MIB  # pieces that are under way; not a part of the file
TARGETS = (
    Target(what="1 KB, cut, against a bare aiohttp proxy", one=CUT, other="aiohttp",
           size="1 KB", reach=0.50, then=0.35),
    Target(what="1 KB, cut, against Caddy passing it on", one=CUT, other="Caddy",
           size="1 KB", reach=0.75, then=0.45),
    Target(what="1 KB, cut, against Envoy passing it on", one=CUT, other="Envoy",
           size="1 KB", reach=1.3, then=0.85),
    Target(what="1 KB, cut, against nginx passing it on", one=CUT, other="nginx",
           size="1 KB", reach=3.0, then=1.8),
    Target(what="100 KB, cut, against nginx + Lua doing the same", one=CUT, other="nginx + Lua",
           size="100 KB", reach=0.35),
    Target(what="1 KB, cut, against mitmproxy cutting it", one=CUT, other="mitmproxy",
           size="1 KB", reach=1 / 20),
    Target(what="100 KB, cut, against mitmproxy cutting it", one=CUT, other="mitmproxy",
           size="100 KB", reach=1 / 5),
    Target(what="1 KB, what rules and cut add to our own `pass`", one=CUT, other=PASSED,
           size="1 KB", reach=1.5),
)  # fmt: skip


def targets_section(compared: Compared, passing: Passing, pause: float) -> Section:
    """Each target with its figure.

    Args:
        compared: the side-by-side run.
        passing: what a large file took.
        pause: seconds that the loop stood still at the most for 5 MB.
    """
    return Section(
        title="What was to be reached, and what was",
        about="Against the targets of this project, by the tables of this page.",
        columns=("what", "figure", "at most", "then", "reached?"),
        rows=list(_rows(compared, passing, pause)),
    )


def _rows(compared: Compared, passing: Passing, pause: float) -> Iterator[tuple[str, ...]]:
    for target in TARGETS:
        figure = compared.ratio(target.one, target.other, target.size)
        yield _row(target.what, figure, target.reach, target.then)
    yield _row("a file of 1 GB, against a bare aiohttp proxy", passing.times, PASS_ON_1_GB, None)
    yield (
        "memory that a file of 1 GB takes",
        f"{passing.grown / MIB:.1f} MiB",
        f"{CONSTANT_BYTES / MIB:.0f} MiB",
        "-",
        _verdict(reached=passing.grown <= CONSTANT_BYTES),
    )
    yield (
        "the loop stands still for a body of 5 MB",
        spell(pause),
        spell(TARGET_SECONDS),
        "-",
        _verdict(reached=pause <= TARGET_SECONDS),
    )


def _row(what: str, figure: float | None, reach: float, then: float | None) -> tuple[str, ...]:
    marks = _ratio(reach), _ratio(then) if then else "-"
    if figure is None:
        return what, "-", *marks, "not measured"
    if then is None or figure > reach:
        return what, _ratio(figure), *marks, _verdict(reached=figure <= reach)
    return what, _ratio(figure), *marks, "both" if figure <= then else "the first, not the next"


def _verdict(*, reached: bool) -> str:
    return "reached" if reached else "**missed**"


def _ratio(times: float) -> str:
    return f"{times:.2f}×" if times >= 0.1 else f"1/{1 / times:.0f}"
