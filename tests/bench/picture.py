"""docs/benchmarks.svg: CPU time per request as bars. No library, no script, no font of its own.

Lengths are true to scale; a bar that would be more than six times ours is cut off at the edge
and says so, or those that matter could not be seen beside it.
"""

from collections.abc import Collection, Iterator
from html import escape

from tests.bench.beside import CUT, Compared
from tests.bench.beside import OURS as OURS_NAMES
from tests.bench.measure import spell

MOST = 6  # times ours
WIDTH, NAMES, BARS = 860, 300, 360  # pixels: the picture, its names, its longest bar
LINE, TOP = 24, 66
OURS, CUTTING, BARE, INK, PAPER = "#0b6e4f", "#52606d", "#cbd2d9", "#1f2933", "#ffffff"
LEGEND = "Green: the gateway. Dark: others that cut. Light: others that only pass on."


def picture(compared: Compared, bare: Collection[str], caption: str) -> str:
    """Two groups of bars: a record of 1 KB, a list of 100 KB.

    Args:
        compared: the side-by-side run.
        bare: names of those that only pass on.
        caption: when and how.
    """
    parts, y = [_text(16, 28, "CPU time per request", size=17, weight="bold")], TOP
    for size, what in (("1 KB", "one client of 1 KB"), ("100 KB", "a list of 150, 100 KB")):
        parts.append(_text(16, y - 10, what, size=14, weight="bold"))
        parts += _bars(compared, bare, size, y)
        y += LINE * sum(compared.of(name, size) is not None for name in compared.names()) + 44
    parts.append(_text(16, y - 22, f"{LEGEND} {caption}", size=11))
    height = y - 8
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" role="img">'
    )
    title = "<title>CPU time per request, the gateway and its peers</title>"
    paper = f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>'
    return "\n".join([head, title, paper, *parts, "</svg>\n"])


def _bars(compared: Compared, bare: Collection[str], size: str, top: int) -> Iterator[str]:
    ours = compared.of(CUT, size)
    assert ours is not None
    most = MOST * ours.seconds
    timings = {name: compared.of(name, size) for name in compared.names()}
    there = {name: timing.seconds for name, timing in timings.items() if timing is not None}
    longest = min(most, max(there.values()))
    y = top
    for name, seconds in sorted(there.items(), key=lambda each: each[1]):
        colour = OURS if name in OURS_NAMES else BARE if name in bare else CUTTING
        length = BARS * min(seconds, longest) / longest
        label = spell(seconds) + ("" if seconds <= most else f", cut off at {MOST}× ours")
        weight = "bold" if name == CUT else "normal"
        yield _text(16, y + 14, name.strip("*").replace("`", ""), weight=weight)
        yield (
            f'<rect x="{NAMES}" y="{y + 2}" width="{length:.1f}" height="{LINE - 7}" '
            f'fill="{colour}"/>'
        )
        yield _text(NAMES + length + 6, y + 14, label, weight=weight)
        y += LINE


def _text(x: float, y: float, words: str, *, size: int = 12, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" font-weight="{weight}" '
        f'fill="{INK}">{escape(words)}</text>'
    )
