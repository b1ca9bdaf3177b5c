"""How a request's cost grows: over rules, people, size and connections; and a file of 1 GB."""

from contextlib import ExitStack
from dataclasses import dataclass

from tests.bench import crm
from tests.bench.accounting import PROC, cpu_seconds, peak_bytes, tree
from tests.bench.load import load, request_text
from tests.bench.measure import Timing, spell
from tests.bench.processes import Running
from tests.bench.tables import Section
from tests.bench.wire import Effort, measured
from tests.bench.world import World

RULES = (10, 100, 1_000, 10_000, 100_000)
PEOPLE = (10, 100, 1_000, 10_000)
PEOPLE_RULES = 1_000  # rows while the people grow, less those about one person
CONNECTIONS = (1, 16, 100, 1_000)
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """What a large file cost ours.

    Attributes:
        times: of the CPU time of a plain aiohttp proxy; None if that was not there.
        grown: bytes of memory more than before, at the most.
    """

    times: float | None
    grown: float


def growing_sections(world: World, effort: Effort, *, quick: bool) -> list[Section]:
    """Four tables."""
    each = 1 if quick else None  # of what starts a gateway of its own
    return [
        _over_rules(world, RULES[:each], effort),
        _over_people(world, PEOPLE[:each], effort),
        _over_size(world, effort),
        _over_connections(world, CONNECTIONS[: 2 if quick else None], effort),
    ]


def _over_rules(world: World, sizes: tuple[int, ...], effort: Effort) -> Section:
    with ExitStack() as stack:
        gateways = {n: stack.enter_context(world.another(rows=n)) for n in sizes}
        lines = {f"{n:,}": world.asked(crm.RECORD, cut=True, gateway=g)
                 for n, g in gateways.items()}  # fmt: skip
        timings = measured(lines, effort)
    return _grown("Growth over rules", "A record of 1 KB, cut; only salon_rules.csv grows.",
                  "rows", timings)  # fmt: skip


def _over_people(world: World, sizes: tuple[int, ...], effort: Effort) -> Section:
    with ExitStack() as stack:
        gateways = {
            n: stack.enter_context(world.another(rows=PEOPLE_RULES, people=n)) for n in sizes
        }
        lines = {f"{n:,}": world.asked(crm.RECORD, cut=True, gateway=g)
                 for n, g in gateways.items()}  # fmt: skip
        timings = measured(lines, effort)
    about = "A record of 1 KB, cut, under a few hundred rules about roles; only the roster grows."
    return _grown("Growth over people", about, "people", timings)


def _over_size(world: World, effort: Effort) -> Section:
    lines = {}
    for records in crm.GROWING:
        target = crm.growing(records)
        size = len(world.crm.bodies[target])
        lines[f"{size:,} bytes, {records:,} records"] = world.asked(target, cut=True)
    timings = measured(lines, effort)
    sizes = [len(line.body) for line in lines.values()]
    section = _grown("Growth over the size of the answer", "Lists of clients, cut.",
                     "the CRM's answer", timings)  # fmt: skip
    rates = (f"{size / t.seconds / 1e6:,.0f} MB/s" for size, t in
             zip(sizes, timings.values(), strict=True))  # fmt: skip
    rows = [(*row, rate) for row, rate in zip(section.rows, rates, strict=True)]
    return Section(title=section.title, about=section.about, rows=rows,
                   columns=(*section.columns, "reads"))  # fmt: skip


def _over_connections(world: World, counts: tuple[int, ...], effort: Effort) -> Section:
    lines = {f"{n:,}": world.asked(crm.RECORD, cut=True, connections=n) for n in counts}
    return _grown("Growth over connections", "A record of 1 KB, cut; all of them ask at once.",
                  "connections", measured(lines, effort))  # fmt: skip


def _grown(title: str, about: str, what: str, timings: dict[str, Timing]) -> Section:
    first = next(iter(timings.values()))
    return Section(
        title=title,
        about=about,
        columns=(what, "CPU a request", "best round", "of the first line"),
        rows=[
            (name, spell(t.seconds), spell(t.least), f"{t.times(first):.2f}×")
            for name, t in timings.items()
        ],
    )


def huge_section(world: World, huge_bytes: int, *, rounds: int) -> tuple[Section, Passing]:
    """One large file, passed on by ours and by every bare proxy."""
    bare = {peer.name: world.beside[peer.name] for peer in world.present if peer.bare}
    servers: dict[str, Running] = {**bare, "**ours: `pass`**": world.ours.server}
    taken: dict[str, list[float]] = {name: [] for name in servers}
    most: dict[str, float] = dict.fromkeys(servers, 0.0)
    for _ in range(rounds):
        for name, server in servers.items():
            seconds, grown = _fetch_huge(server, world.ours.token, huge_bytes)
            taken[name].append(seconds)
            most[name] = max(most[name], grown)
    timings = {name: Timing(tuple(seconds), 1) for name, seconds in taken.items()}
    *_, ours = timings.values()
    section = Section(
        title=f"A file of {huge_bytes / MIB:,.0f} MiB",
        about=(
            "Target: passed on in constant memory, for at most 1.3× the CPU time of a bare "
            "aiohttp proxy.\n\n"
            "*Memory*: how much more was resident at the most while the file passed than just "
            f"before (`VmHWM` and `VmRSS`). Median of {rounds} rounds, memory of the worst one."
        ),
        columns=("who", "CPU", "ours / it", "memory"),
        rows=[
            (name, spell(t.seconds), f"{ours.times(t):.2f}×", f"+{most[name] / MIB:.1f} MiB")
            for name, t in timings.items()
        ],
    )
    proxy = timings.get("aiohttp")
    return section, Passing(
        times=ours.times(proxy) if proxy else None, grown=list(most.values())[-1]
    )


def _fetch_huge(server: Running, token: str, size: int) -> tuple[float, float]:
    """CPU seconds, and bytes of memory that it took at the most."""
    for pid in tree(server.pid):
        (PROC / str(pid) / "clear_refs").write_text("5")  # VmHWM is what is resident now
    with load(server.port, request_text(crm.HUGE, token), connections=1) as machine:
        before, resident = cpu_seconds(server.pid), peak_bytes(server.pid)
        came = machine.run(1)
        after = cpu_seconds(server.pid)
    assert came >= size, (came, size)
    return after - before, peak_bytes(server.pid) - resident
