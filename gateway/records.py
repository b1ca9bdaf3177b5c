"""What the rules leave to each record: who judges an answer's records, and a change's.

* `seat` names the judges of one request's answer: of its own records by the permit, of
  records inside them by what this person may `read` of their resource.
* `judge_change` finds every record that a change names, has each one looked up in the CRM,
  and asks the permit about it. All or nothing: one that does not pass refuses the change.

INVARIANT: a change whose permit depends on the record is forwarded only after every record
that it names was read, under the id with which it is forwarded, and passed. What creates a
record is judged by what it sends; anything else that names no record is refused.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec import Struct

from gateway.bundle import Bundle
from gateway.domain.decision import Permit
from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.http import SAFE_METHODS, CanonicalTarget
from gateway.domain.obligation import RecordVerdict, all_of
from gateway.domain.reason import Cause, Reason
from gateway.domain.record import Asker, RecordNote, RecordState
from gateway.domain.resource import Resource
from gateway.domain.subject import Principal
from gateway.domain.time import Instant
from gateway.enforcer.index import READ
from gateway.mapping.ids import ids_named
from gateway.mapping.lookup import Lookup, lookup_target
from gateway.mapping.routes import ASKING, Route, RouteMatch
from gateway.masking.cut import NO_SUCH_RECORD_DETAIL
from gateway.masking.facts import FactReader
from gateway.masking.judge import Judges, RecordJudge, judge_of
from gateway.masking.look import look
from gateway.masking.plan import Plan

# What makes a record: its facts are what is sent, since there is nothing to look up yet.
CREATING = frozenset({"create", "send"})

MAX_BENCHES = 4096  # people x routes x days; a few kilobytes each

Fetch = Callable[[CanonicalTarget], Awaitable[bytes]]  # a look-up's whole answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Who judges the records of one request's answer.

    Attributes:
        judge: of the answer's own records.
        judges: of records inside them, by resource; a resource that is missing may not be read.
        secret: everything that may not be asked about: what is hidden of some record,
            `<embed>.<field>` of records inside, `**.<resource>.<field>` of those deeper down.
    """

    plan: Plan
    judge: RecordJudge | None = None
    judges: Judges = field(default_factory=dict)
    secret: frozenset[str]


class Touched(Struct, frozen=True, kw_only=True):
    """The records that a change names, judged.

    Attributes:
        verdict: on all of them together: what is hidden or unwritable of any is of all.
        ids: as the request names them.
        note: what was known of the one record, if it is one.
    """

    verdict: RecordVerdict
    ids: tuple[str, ...] = ()
    note: RecordNote | None = None


def asker_of(bundle: Bundle, principal: Principal, at: Instant) -> Asker:
    """Who asks, as comparisons with records need it."""
    return Asker(crm_id=principal.crm_id, today=bundle.today(principal.home.salon, at))


def seat(
    bundle: Bundle,
    principal: Principal,
    route: Route,
    permit: Permit,
    at: Instant,
    peer: str | None,
    *,
    change: bool,
    full: bool = False,
) -> Bench:
    """Name the judges of one request.

    Args:
        bundle: under which the permit was given.
        principal: whose permit it is.
        route: of the bundle's adapter.
        permit: for the route's action.
        at: the instant of the request.
        peer: the address it comes from; None = not known.
        change: the request changes records. They were judged before; of one in the answer that
            would not pass (now), or of something else than a record, every declared field is
            hidden, and on a sensitive resource every undeclared member.
        full: the permit is of all rows, the observed ones included.
    """
    plan = bundle.plan(route, permit)
    if not permit.depends and not plan.embeds:
        return Bench(plan=plan, secret=permit.hidden)
    asker = asker_of(bundle, principal, at)

    def work_out() -> Bench:
        return _seated(
            bundle, principal, route, permit, at, peer, asker, plan, change=change, full=full
        )

    if plan.embeds:
        return work_out()
    # Nothing but these decides then. The permit stays with its bench, so its id stays its own.
    key = (route.template, route.action, change, id(permit), asker)
    known: tuple[Permit, Bench] | None = bundle.kept.get(key)
    if known is None:
        if len(bundle.kept) >= MAX_BENCHES:
            bundle.kept.clear()
        known = bundle.kept[key] = permit, work_out()
    return known[1]


def _seated(
    bundle: Bundle,
    principal: Principal,
    route: Route,
    permit: Permit,
    at: Instant,
    peer: str | None,
    asker: Asker,
    plan: Plan,
    *,
    change: bool,
    full: bool,
) -> Bench:
    judges: dict[str, RecordJudge] = {}
    secret = set(permit.hidden)
    for name, resource in inside(route.resource, bundle.adapter.vocabulary.resources).items():
        ruling = bundle.ruling(principal, resource, READ, at, peer)
        decision = ruling.full if full else ruling.decision
        # Records that are kept back must not be found out about by asking for their fields.
        closed: frozenset[str] = frozenset(resource.maskable)
        if isinstance(decision, Permit):
            judges[name] = judge_of(
                decision, resource, asker=asker, node_of=bundle.node_of(resource)
            )
            closed = closed if decision.refuses else decision.hidden
        embeds = route.resource.embeds
        # Deeper down, what is hidden has no name in a question. It is secret all the same: by
        # names that no parameter knows, so that no unknown spelling may mean it.
        places = [embed for embed in embeds if embeds[embed].resource == name] or [f"**.{name}"]
        secret |= {f"{place}.{field_name}" for place in places for field_name in closed}
    return Bench(
        plan=plan,
        judge=judge_of(
            permit,
            route.resource,
            asker=asker,
            node_of=bundle.node_of(route.resource),
            verdict=verdict_of(permit, route.resource, change=change),
        ),
        judges=judges,
        secret=frozenset(secret),
    )


def verdict_of(
    permit: Permit, resource: Resource, *, change: bool
) -> Callable[[RecordState], RecordVerdict]:
    """How a permit judges the records of an answer."""
    return partial(_bare, permit, resource) if change else permit.judge


def _bare(permit: Permit, resource: Resource, state: RecordState) -> RecordVerdict:
    """After a change: of a record that does not pass, everything is hidden."""
    verdict = permit.judge(state)
    if verdict.passes:
        return verdict
    return RecordVerdict(passes=True, hidden=frozenset(resource.maskable))


def inside(resource: Resource, known: Mapping[str, Resource]) -> dict[str, Resource]:
    """Every resource whose records may stand somewhere inside this one's."""
    found: dict[str, Resource] = {}
    waiting = [embed.resource for embed in resource.embeds.values()]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = known[name]
            waiting += [embed.resource for embed in known[name].embeds.values()]
    return found


def changes(method: str, route: Route) -> bool:
    """Does the request change records, or only ask for them?"""
    return method not in SAFE_METHODS and route.action not in ASKING


async def judge_change(
    bundle: Bundle,
    permit: Permit,
    match: RouteMatch,
    asker: Asker,
    query: tuple[tuple[str, str], ...],
    value: Mapping[str, Any] | None,
    fetch: Fetch,
) -> Touched:
    """Judge every record that a change names, before it is forwarded.

    Args:
        bundle: under which the permit was given.
        permit: for the route's action.
        match: the route and the id in the path.
        asker: who asks.
        query: decoded pairs.
        value: the body, strictly parsed; None = there is none.
        fetch: asks the CRM for one record; raises NO_SUCH_RECORD, LOOKUP_FAILED or what the
            upstream port raises.

    Raises:
        RequestError: NO_SUCH_RECORD for a record that does not pass; NO_LOOKUP where it
            depends on a record that cannot be looked up; RULE_DENIES or NO_RULE_ALLOWS for a
            new record that may not be made so; or what `ids_named` raises.
        UpstreamError: LOOKUP_FAILED, or what the upstream port raises.
    """
    route = match.route
    ids = ids_named(route, match.record, query, value)
    if not permit.depends:
        return Touched(verdict=permit.whole, ids=ids)
    reader = FactReader(route.resource, asker)  # all facts, for the entry
    if not ids:
        return _judge_new(permit, route, reader, value)
    lookup = bundle.adapter.lookups.get(route.resource.name)
    if lookup is None or route.lookup is None:
        raise _no_lookup()
    states = [await _look_up(lookup, record_id, reader, fetch) for record_id in ids]
    verdict = all_of(permit.judge(state) for state in states)
    note = _noted(route.resource, states[0]) if len(states) == 1 else None
    if not verdict.passes:
        raise RequestError(
            Reason.NO_SUCH_RECORD, NO_SUCH_RECORD_DETAIL, cause=Cause.RECORD_REFUSED, note=note
        )
    return Touched(verdict=verdict, ids=ids, note=note)


def _judge_new(
    permit: Permit, route: Route, reader: FactReader, value: Mapping[str, Any] | None
) -> Touched:
    if route.action not in CREATING:
        raise _no_lookup()
    state = reader.read_state(value or {})
    note = _noted(route.resource, state)
    verdict = permit.judge(state)
    if not verdict.passes:
        reason = Reason.RULE_DENIES if verdict.by else Reason.NO_RULE_ALLOWS
        raise RequestError(reason, "A record like this may not be made by you.", note=note)
    return Touched(verdict=verdict, note=note)


def _noted(resource: Resource, state: RecordState) -> RecordNote:
    return state.note(resource.facts, salons=resource.salon is not None)


async def _look_up(
    lookup: Lookup, record_id: str, reader: FactReader, fetch: Fetch
) -> RecordState:
    body = await fetch(lookup_target(lookup, record_id))
    looked = look(body, records=lookup.route.records, reader=reader)
    if looked.record_id != record_id:
        # `07` may be 7 to the look-up and another record, or none, to what is forwarded.
        raise UpstreamError(
            Reason.LOOKUP_FAILED, "The CRM showed another record than the one asked for."
        )
    return looked.state


def _no_lookup() -> RequestError:
    return RequestError(
        Reason.NO_LOOKUP,
        "Whether you may do this depends on the record, and it cannot be looked up.",
    )
