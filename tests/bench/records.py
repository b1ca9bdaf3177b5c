"""Cutting an answer, and asking the permit about each record in it."""

import json
from collections.abc import Callable
from dataclasses import replace

import msgspec

from gateway.bundle import Bundle
from gateway.domain.decision import Permit
from gateway.domain.record import AtLeast, RecordFact
from gateway.domain.resource import Resource
from gateway.domain.subject import StaffId
from gateway.mapping.routes import Route
from gateway.masking.cut import Cut, cut
from gateway.masking.facts import FactReader
from gateway.masking.judge import RecordJudge, judge_of
from gateway.records import asker_of
from tests.bench.answers import RECORDS, client_list
from tests.bench.deciding import AT, PEER
from tests.bench.measure import Contender, side_by_side, spell
from tests.bench.policies import RECORD_STYLIST, STYLIST
from tests.bench.tables import Section

REGULAR = RecordFact(name="regular", field="visits", comparison=AtLeast(3))
HIDDEN = ("phone", "email", "address", "notes")
_split = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def testing(bundle: Bundle, *, quick: bool) -> Section:
    """Time what a permit costs for each record: its facts read, and the verdict."""
    rounds, lists = (1, 1) if quick else (15, 40)
    contenders = {
        f"{what}: {', '.join(f'`{name}`' for name in facts)}": _judged(bundle, facts, lists)
        for what, facts in {
            "one fact": ("own_client",),
            "two facts": ("own_client", "regular"),
            "one of them in a member of a member": ("own_client", "consented"),
            "one of them a date, nearly every record's another": ("own_client", "dormant"),
        }.items()
    }
    timings = side_by_side(contenders, rounds=rounds)
    return Section(
        title="One record against a permit",
        about=(
            "Target: at most 1 µs a record for one or two facts.\n\n"
            "From the members of a record, as they come from the CRM, to how it is cut or that it "
            f"leaves; {lists} lists of {RECORDS} records, each with a judge that knows nothing "
            f"yet, median of {rounds} rounds."
        ),
        columns=("what the rules ask", "a record", "best round"),
        rows=[(name, spell(t.seconds), spell(t.least)) for name, t in timings.items()],
    )


def cutting(bundle: Bundle, *, quick: bool) -> Section:
    """Time the cut of a list of 150 records in 100 KB."""
    rounds, times = (1, 1) if quick else (15, 20)
    flat, nested = client_list(), client_list(nested=True)
    contenders = {
        "four fields hidden": _cutter(bundle, STYLIST, flat),
        "four fields hidden, and a test of each record": _cutter(bundle, RECORD_STYLIST, flat),
        "four fields hidden, two objects inside each record": _cutter(bundle, STYLIST, nested),
        "objects inside, and a test of each record": _cutter(bundle, RECORD_STYLIST, nested),
        "for scale, Python's `json`: parse, delete four, write": lambda: _by_hand(flat),
    }
    timings = side_by_side(
        {
            name: Contender(run=_often(run, times), operations=times)
            for name, run in contenders.items()
        },
        rounds=rounds,
    )
    first, *_, by_hand = timings.values()
    return Section(
        title="A list of 150 records in 100 KB",
        about=(
            "Target: at least 400 MB/s.\n\n"
            f"{len(flat):,} bytes in; {', '.join(f'`{name}`' for name in HIDDEN)} leave. The "
            "tests ask two facts (`own_client`, `dormant`): others' clients of long ago leave, "
            f"the asker's own stay whole. {times} lists, median of {rounds} rounds."
        ),
        columns=("what", "a list", "best round", "reads", "of the first line", "`json` takes"),
        rows=[
            (
                name,
                spell(timing.seconds),
                spell(timing.least),
                f"{len(flat) / timing.seconds / 1e6:,.0f} MB/s",
                f"{timing.times(first):.2f}×",
                f"{by_hand.times(timing):.1f}×",
            )
            for name, timing in timings.items()
        ],
    )


def _permit(bundle: Bundle, who: str, resource: Resource) -> Permit:
    principal = bundle.full_token(StaffId(who))
    decision = bundle.ruling(principal, resource, "list", AT, PEER).decision
    assert isinstance(decision, Permit)
    return decision


def _judged(bundle: Bundle, facts: tuple[str, ...], lists: int) -> Contender:
    """Records against the permit of somebody whose rules ask for them."""
    resource = bundle.adapter.vocabulary.resources["client"]
    resource = replace(resource, facts=(*resource.facts, REGULAR))
    permit = _permit(bundle, RECORD_STYLIST, resource)
    asks = sum(1 << at for at, fact in enumerate(resource.facts) if fact.name in facts)
    asker = asker_of(bundle, bundle.full_token(StaffId(RECORD_STYLIST)), AT)
    records = _split(client_list(nested=True))
    judges: list[RecordJudge] = []

    def sit_down() -> None:
        judges[:] = [
            RecordJudge(
                reader=FactReader(resource, asker, asks=asks, salon=False),
                verdict=permit.judge,
                node_of=bundle.node_of(resource),
                depends=True,
                hidden=permit.hidden,
            )
            for _ in range(lists)
        ]

    def judge() -> None:
        for sitting in judges:
            for members in records:
                sitting.node(members)

    return Contender(run=judge, operations=lists * len(records), before=sit_down)


def _cutter(bundle: Bundle, who: str, body: bytes) -> Callable[[], Cut]:
    """As the pipeline does it for each request, from the permit on."""
    route = _client_list_route(bundle)
    permit = _permit(bundle, who, route.resource)

    asker = asker_of(bundle, bundle.full_token(StaffId(who)), AT)
    node_of = bundle.node_of(route.resource)

    def run() -> Cut:
        plan, judge = bundle.plan(route, permit), None
        if permit.depends:
            judge = judge_of(permit, route.resource, asker=asker, node_of=node_of)
        return cut(body, plan, judge=judge)

    assert set(HIDDEN) <= set(run().hidden_fields)
    return run


def _client_list_route(bundle: Bundle) -> Route:
    routes = bundle.adapter.routes.routes
    return next(r for r in routes if (r.resource.name, r.action) == ("client", "list"))


def _by_hand(body: bytes) -> bytes:
    clients = json.loads(body)
    for client in clients:
        for name in HIDDEN:
            client.pop(name, None)
    return json.dumps(clients, ensure_ascii=False, separators=(",", ":")).encode()


def _often(run: Callable[[], object], times: int) -> Callable[[], None]:
    def loop() -> None:
        for _ in range(times):
            run()

    return loop
