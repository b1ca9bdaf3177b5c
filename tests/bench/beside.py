"""The gateway and its peers, side by side: what one request costs each of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.bench import crm
from tests.bench.measure import Timing, spell
from tests.bench.tables import Section
from tests.bench.wire import CONNECTIONS, CONNECTIONS_IF_LARGE, Asked, Effort, measured
from tests.bench.world import World, filesystem_of

SIZES = {"1 KB": crm.RECORD, "100 KB": crm.LIST, "5 MB": crm.LARGE[5]}
PUBLIC, PASSED, RULED, CUT = (
    "ours: `public`, nobody asked who they are",
    "ours: `pass`, token and session checked",
    "ours: decided by the rules, nothing to cut",
    "**ours: decided, cut, entered**",
)
OURS = (PUBLIC, PASSED, RULED, CUT)


@dataclass(frozen=True, slots=True)
class Compared:
    """(name, size) → what a request took."""

    timings: Mapping[tuple[str, str], Timing]

    def of(self, name: str, size: str) -> Timing | None:
        return self.timings.get((name, size))

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.timings))

    def ratio(self, one: str, other: str, size: str) -> float | None:
        """How many times the other's, round by round; None if one of them was not there."""
        first, second = self.of(one, size), self.of(other, size)
        return None if first is None or second is None else first.times(second)


def comparing(world: World, effort: Effort) -> Compared:
    """Measure everybody for everything."""
    lines = dict(_lines(world))
    timings = measured({f"{name}, {size}": line for (name, size), line in lines.items()}, effort)
    return Compared(dict(zip(lines, timings.values(), strict=True)))


def _lines(world: World) -> Iterator[tuple[tuple[str, str], Asked]]:
    """Everybody with a size, then everybody with the next one: neighbours are compared."""
    ours = {
        "1 KB": {PUBLIC: crm.PUBLIC, PASSED: crm.PASSED, RULED: crm.RULED, CUT: crm.RECORD},
        "100 KB": {PASSED: crm.PASSED_LIST, CUT: crm.LIST},
        "5 MB": {PASSED: crm.PASSED_LARGE, CUT: crm.LARGE[5]},
    }
    for size, target in SIZES.items():
        body = world.crm.bodies[target]
        for peer in world.present:
            yield (
                (peer.name, size),
                Asked(server=world.beside[peer.name], target=target, body=body,
                      cut=not peer.bare, token=world.ours.token),
            )  # fmt: skip
        for name, own in ours[size].items():
            yield (name, size), world.asked(own, cut=name == CUT)


def compared_section(world: World, compared: Compared, effort: Effort) -> Section:
    """The table: CPU time per request, and ours against it."""
    rows = []
    for name in compared.names():
        cells = [name]
        for size in SIZES:
            timing, ratio = compared.of(name, size), compared.ratio(CUT, name, size)
            cells += [spell(timing.seconds) if timing else "-", f"{ratio:.2f}×" if ratio else "-"]
        rows.append(cells)
    return Section(
        title="Whole processes, side by side",
        about=_about(world, effort),
        columns=(
            "who",
            *(word for size in SIZES for word in (f"{size}, CPU", "ours / it")),
        ),
        rows=rows,
    )


def _about(world: World, effort: Effort) -> str:
    pinned = (
        "Servers on one core, the load and the CRM on another"
        if world.cores.apart
        else "One core for everybody: there was no other"
    )
    return (
        "What one request costs the whole process (all of its threads and children, user and "
        f"system, from the kernel), over {CONNECTIONS} connections that stay open "
        f"({CONNECTIONS_IF_LARGE} for 5 MB); one worker or thread each. Before anything was "
        "measured, each answer was compared: bare proxies "
        "change nothing, the others lose `phone`, `email`, `address`, `notes` of every record "
        "and nothing else. *1 KB* is one client, *100 KB* a list of 150, *5 MB* one of 7,680. "
        f"{pinned}; the CRM is {world.crm.kind}. Median of {effort.rounds} rounds in turn; "
        f"*ours / it*: the row in bold against this one.\n\n"
        f"The gateway has {world.rows:,} rules and one more, checks an HS256 token, keeps epochs "
        "in SQLite and metrics, and enters every request that it decides in an audit trail that "
        f"is synced to the disk ({filesystem_of(world.folder)}) before the answer goes out; the "
        "time it waits for that is not CPU time. The others do less: mitmproxy only "
        "cuts; nginx with Lua and the aiohttp gateway verify the token, ask rules and write "
        "a log line that nobody syncs. None of them knows opening hours, judges records, "
        "refuses questions or ambiguous addresses."
    )


def present_section(world: World) -> Section:
    """Who was there, in which version, and how to get those who were not."""
    there = [(p.name, p.version or "", "passes on" if p.bare else "cuts") for p in world.present]
    missing = [(p.name, f"skipped; {p.install}", "-") for p in world.absent]
    return Section(
        title="Who was there",
        about=(
            "How each was configured stands in [tests/bench/peers/](../tests/bench/peers/); "
            "corrections by people who know them better are welcome."
        ),
        columns=("who", "version", "what it does"),
        rows=there + missing,
    )
