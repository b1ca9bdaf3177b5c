"""Why would this request be answered so, and what would change it?

Unlike the pipeline, `explain` does not end at the first stop: it lists every one that
would also have fired, so that an owner mends all of them at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, assert_never
from zoneinfo import ZoneInfo

from gateway.bundle import Bundle
from gateway.domain.access import Access, Facts, Window
from gateway.domain.decision import Decision, Denial, Permit
from gateway.domain.errors import GatewayError
from gateway.domain.http import Inbound
from gateway.domain.obligation import Conjunct, Residual
from gateway.domain.question import Condition, ExactMatch, Recheck
from gateway.domain.reason import Reason
from gateway.domain.record import Asker, RecordState
from gateway.domain.resource import Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import DeviceId, Post, Principal, Role, StaffId
from gateway.domain.time import Instant
from gateway.enforcer.decide import decide
from gateway.enforcer.index import READ, WRITE, Firing, places
from gateway.enforcer.observe import Trial
from gateway.identity.claims import Claims
from gateway.identity.principal import resolve
from gateway.identity.session import CurrentPrincipal, require_standing
from gateway.mapping.guard import WireLimits, guard
from gateway.mapping.parameters import Exact
from gateway.mapping.query import asked_as, require_answerable
from gateway.mapping.routes import Route, RouteKind, RouteMatch, find
from gateway.mapping.target import canonical
from gateway.masking.facts import FactReader
from gateway.masking.writes import require_writable
from gateway.records import CREATING, changes, seat

DECIDED = frozenset(
    {
        Reason.RULE_DENIES,
        Reason.NO_RULE_ALLOWS,
        Reason.OUTSIDE_HOURS,
        Reason.DEVICE_NOT_APPROVED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to explain.

    Attributes:
        peer: where it comes from, for `network:` conditions; None = not known.
        record: the record that it is about, as the CRM's JSON has it; None = not given, and
            the answer says what depends on it.
        state: what is known of that record, in place of the record itself.
        sends: the fields that its body sends.
    """

    staff: StaffId
    method: str
    target: str
    at: Instant
    device: DeviceId | None = None
    app: str | None = None
    roles: frozenset[Role] | None = None
    peer: str | None = "127.0.0.1"
    record: Mapping[str, Any] | None = None
    state: RecordState | None = None
    sends: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One thing that refuses the request."""

    reason: Reason
    detail: str
    by: tuple[RuleRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenField:
    """A field that leaves the answer.

    Attributes:
        by: the rows that hide it; none = no row shows it.
        unless: what the record would have to be for it to show; "" = it never does.
    """

    name: str
    by: tuple[RuleRef, ...] = ()
    unless: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The whole answer.

    Attributes:
        salon: whose rules are shown: the record's if it is known, else where the person has
            the right or, if nowhere, their first.
        stops: in the order in which they would fire; none = the request goes through.
        only: what a record must be like to pass; "" = every record of the salon does.
        elsewhere: the person's other salons, each with what it says.
        allowed_by: the rows that allow the action, whether or not something else stops it.
        hidden, unwritable: as they would be, were there no stop.
        opened_by: each field that may show → the rows that show it, and let it be sent if it is.
        would_change: sentences about what would turn the answer.
        observed: sentences about what rules would do besides that are only observed yet.
        kept: sentences about which records of the answer stay, for what the question asks.
        needs: sentences about what else decides, which no policy tells: each with its reason.
    """

    question: Question
    salon: str | None = None
    roles: tuple[Role, ...] = ()
    route: str | None = None
    resource: str | None = None
    action: str | None = None
    record: str | None = None
    window: Window | None = None
    stops: tuple[Stop, ...] = ()
    allowed_by: tuple[RuleRef, ...] = ()
    exempt: bool = False
    hidden: tuple[HiddenField, ...] = ()
    unwritable: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()
    only: str = ""
    elsewhere: tuple[str, ...] = ()
    opened_by: Mapping[str, tuple[RuleRef, ...]] = field(default_factory=dict)
    observed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Would the request go through?"""
        return not self.stops


def explain(bundle: Bundle, question: Question, *, advise: bool = True) -> Explanation:
    """Walk the stages of one request without a CRM, a token or a state store.

    Args:
        bundle: the policy.
        question: the request.
        advise: work out `would_change` as well, which asks the rules about everybody else.
    """
    explanation = Explanation(question=question)
    try:
        inbound = _inbound(question)
        target = canonical(guard(inbound, WireLimits()))
        match = find(bundle.adapter.routes, question.method, target)
        match = None if match is None else asked_as(match, target.query)
    except GatewayError as error:
        return replace(explanation, stops=(_stop(error),))
    if match is not None and match.route.kind is RouteKind.PUBLIC:
        # Nobody asks who it is.
        return replace(explanation, route=match.route.template, needs=tuple(_needs(match.route)))
    try:
        principal = resolve(_claims(question), bundle.people)
    except GatewayError as error:
        return replace(explanation, stops=(_stop(error),))
    home = principal.home
    explanation = replace(explanation, salon=home.salon, roles=_roles(home))
    stops = list(_standing(bundle, principal, question.at))
    if match is None:
        detail = "no route of the adapter fits; `salon-gateway audit unmapped` lists such requests"
        return replace(explanation, stops=(*stops, Stop(reason=Reason.UNMAPPED, detail=detail)))
    explanation = replace(explanation, needs=tuple(_needs(match.route)))
    if match.route.kind is not RouteKind.RULED:
        return replace(explanation, route=match.route.template, stops=tuple(stops))
    trial = bundle.trial(principal, question.at)
    asked = (explanation, principal, match, target.query)
    if trial is None:
        return _decided(bundle, *asked, stops, advise=advise)
    full = _decided(bundle.under(None), *asked, [*stops], advise=False)
    if trial.index is None:
        counts = _undecided(full, trial, match, target.query, stops)
    else:
        counts = _decided(bundle.under(trial), *asked, stops, advise=advise)
    return replace(counts, observed=tuple(_observed(bundle, trial, counts, full)))


def home_clock(bundle: Bundle, staff: StaffId) -> str:
    """The time zone of the person's first salon; UTC if it is not known."""
    member = bundle.roster.members.get(staff)
    hours = bundle.hours(next(iter(member.salons))) if member else None
    return hours.timezone if hours else "UTC"


def _decided(
    bundle: Bundle,
    explanation: Explanation,
    principal: Principal,
    match: RouteMatch,
    query: tuple[tuple[str, str], ...],
    stops: list[Stop],
    *,
    advise: bool,
) -> Explanation:
    """Add everything that rules, hours, the record and questions say."""
    question = explanation.question
    route, resource = match.route, match.route.resource
    ruling = bundle.ruling(principal, resource, route.action, question.at, question.peer)
    access = Access(
        principal=principal, resource=resource, action=route.action, facts=ruling.facts
    )
    decision = ruling.decision
    state = _state(bundle, question, principal, resource)
    post = _post_of(principal, decision, state)
    facts = ruling.facts[post.salon]
    firing = bundle.index.cell(principal.staff, post, resource.name, route.action).firing(
        principal.staff, post, facts
    )
    if isinstance(decision, Denial):
        stops += _door(access, decision, post, firing)
    else:
        stops += _record_stops(bundle, question, match, decision, state)
    # Where the hours shut the whole card out, what they hide of its fields says nothing more.
    inside = {**facts, "inside_window": True, "outside_window": False} if firing.hours else facts
    hidden = tuple(_hidden(bundle, principal, post, resource, inside, READ, state))
    shut = frozenset(field.name for field in hidden)
    secret = _secret(bundle, question, principal, route, decision)
    conditions: tuple[Condition, ...] = ()
    try:
        conditions = require_answerable(route, query, shut if secret is None else secret)
    except GatewayError as error:
        stops.append(_stop(error))
    unwritable = tuple(
        field.name for field in _hidden(bundle, principal, post, resource, inside, WRITE, state)
    )
    if isinstance(decision, Permit):
        try:
            require_writable(
                question.sends,
                hidden=shut,
                unwritable=frozenset(unwritable),
                method=question.method,
                resource=resource,
            )
        except GatewayError as error:
            stops.append(_stop(error))
    return replace(
        explanation,
        salon=post.salon,
        roles=_roles(post),
        route=route.template,
        resource=resource.name,
        action=route.action,
        record=match.record,
        window=bundle.window(post.salon, question.at),
        stops=tuple(stops),
        allowed_by=places(firing.allows),
        exempt=isinstance(decision, Permit) and decision.exempt,
        hidden=hidden,
        unwritable=unwritable,
        shown=tuple(
            name
            for name in resource.maskable
            if name not in {field.name for field in hidden if not field.unless}
        ),
        would_change=tuple(_would_change(bundle, question, access, stops)) if advise else (),
        only=_only(resource, firing.residual) if state is None else "",
        elsewhere=tuple(_elsewhere(access, decision, post)),
        opened_by=_opened_by(bundle, principal, post, resource, inside, question.sends, state),
        kept=tuple(map(_kept, conditions)),
    )


def _needs(route: Route) -> Iterator[str]:
    """What the pipeline asks besides, of the request's form or of what went before it."""
    if route.websocket:
        yield f"it must open a WebSocket, or it is refused: {Reason.WEBSOCKET_ONLY}"
    for parameter in route.query.values():
        if isinstance(parameter, Exact):
            yield (
                f"at most {parameter.allowance} such look-ups in any hour, for each person, or it"
                f" is refused: {Reason.BUDGET_SPENT}"
            )


def _kept(condition: Condition) -> str:
    """Which records stay. What was searched for is not repeated."""
    match condition:
        case Recheck(words=()):
            return "every record: nothing is searched for"
        case Recheck():
            return "records in which each word searched for stands in a field that shows"
        case ExactMatch(field=name):
            return f"the one record whose {name} is the number asked for"
        case _:
            assert_never(condition)


def _undecided(
    full: Explanation,
    trial: Trial,
    match: RouteMatch,
    query: tuple[tuple[str, str], ...],
    stops: list[Stop],
) -> Explanation:
    """The answer while everything is observed: what is no rule still counts."""
    route, nothing = match.route, frozenset[str]()
    conditions: tuple[Condition, ...] = ()
    try:
        conditions = require_answerable(route, query, nothing)
        require_writable(
            full.question.sends,
            hidden=nothing,
            unwritable=nothing,
            method=full.question.method,
            resource=route.resource,
        )
    except GatewayError as error:
        stops.append(_stop(error))
    return replace(
        full,
        stops=tuple(stops),
        allowed_by=(trial.by,),
        exempt=False,
        hidden=(),
        unwritable=(),
        shown=tuple(route.resource.maskable),
        only="",
        kept=tuple(map(_kept, conditions)),
        opened_by=dict.fromkeys(route.resource.maskable, (trial.by,)),
    )


def _observed(
    bundle: Bundle, trial: Trial, counts: Explanation, full: Explanation
) -> Iterator[str]:
    """What all rules would do besides, each with the day from which they do."""
    day = max(
        (one.enforce_from for one in bundle.observed if trial.until <= one.enforce_from),
        default=trial.until,
    )

    def since(by: tuple[RuleRef, ...]) -> date:
        named = [one.enforce_from for one in bundle.observed if one.rows.intersection(by)]
        return max(named, default=day)

    stops = [stop for stop in full.stops if stop not in counts.stops]
    for stop in stops:
        yield f"until {since(stop.by)}: would be refused: {stop.reason}: {stop.detail}{_at(stop)}"
    if stops:
        return
    if full.only != counts.only and full.only:
        yield f"until {day}: would show only records with {full.only}"
    now = {hidden.name: hidden.unless for hidden in counts.hidden}
    for then in full.hidden:
        # What shows in every record that passes is not hidden.
        if now.get(then.name) != then.unless and not (then.unless and then.unless == full.only):
            unless = f" unless {then.unless}" if then.unless else ""
            yield f"until {since(then.by)}: would be hidden: {then.name}{unless}{_at(then)}"


def _at(found: Stop | HiddenField) -> str:
    return f" ({', '.join(map(str, found.by))})" if found.by else ""


def _state(
    bundle: Bundle, question: Question, principal: Principal, resource: Resource
) -> RecordState | None:
    """The given record as rules see it."""
    if question.state is not None or question.record is None:
        return question.state
    today = bundle.today(principal.home.salon, question.at)
    return FactReader(resource, Asker(crm_id=principal.crm_id, today=today)).read_state(
        question.record
    )


def _post_of(principal: Principal, decision: Decision, state: RecordState | None) -> Post:
    """The salon to speak of: the record's, else one that grants, else the first."""
    wanted = [state.salon] if state is not None else []
    wanted += list(decision.grants) if isinstance(decision, Permit) else [decision.salon]
    posts = {post.salon: post for post in principal.posts}
    return next((posts[salon] for salon in wanted if salon in posts), principal.home)


def _door(access: Access, decision: Denial, post: Post, firing: Firing) -> Iterator[Stop]:
    """Every stop that rows put in the way, whatever the record."""
    resource = access.resource.name
    if decision.reason is Reason.DEVICE_NOT_APPROVED:
        detail = "from an approved device it would go through; what follows is why not from this"
        yield Stop(reason=decision.reason, detail=detail, by=decision.by)
    settled = tuple(deny for deny in firing.denies if deny.settled)
    if settled:
        detail = "a deny rule fires; deny beats every allow"
        yield Stop(reason=Reason.RULE_DENIES, detail=detail, by=places(settled))
    if not firing.allows:
        detail = f"no rule allows {post.first_role} to `{access.action}` `{resource}`"
        yield Stop(reason=Reason.NO_RULE_ALLOWS, detail=detail)
    if firing.hours:
        detail = f"`{resource}` is closed outside the opening hours of {post.salon}"
        yield Stop(reason=Reason.OUTSIDE_HOURS, detail=detail, by=places(firing.hours))


def _record_stops(
    bundle: Bundle,
    question: Question,
    match: RouteMatch,
    permit: Permit,
    state: RecordState | None,
) -> Iterator[Stop]:
    """What the record puts in the way, or that nobody could look at it."""
    route = match.route
    if not permit.depends:
        return
    verdict = None if state is None else permit.judge(state)
    change = changes(question.method, route)
    named = match.record is not None or bool(route.ids)
    if change and not named and route.action not in CREATING:
        detail = "it depends on the record, and the request names none that could be looked up"
        yield Stop(reason=Reason.NO_LOOKUP, detail=detail)
    elif change and named and not _can_look_up(bundle, route):
        name = route.resource.name
        detail = f"it depends on the record, and the adapter names no `lookup` for `{name}`"
        yield Stop(reason=Reason.NO_LOOKUP, detail=detail)
    elif state is None or verdict is None or verdict.passes:
        return
    elif change and not named:
        reason = Reason.RULE_DENIES if verdict.by else Reason.NO_RULE_ALLOWS
        detail = "the rules do not let this person make a record like this"
        yield Stop(reason=reason, detail=detail, by=verdict.by)
    else:
        detail = _why_refused(route.resource, permit, state)
        yield Stop(reason=Reason.NO_SUCH_RECORD, detail=detail, by=verdict.by)


def _can_look_up(bundle: Bundle, route: Route) -> bool:
    return route.lookup is not None and route.resource.name in bundle.adapter.lookups


def _secret(
    bundle: Bundle,
    question: Question,
    principal: Principal,
    route: Route,
    decision: Decision,
) -> frozenset[str] | None:
    """What may not be asked about: all that is hidden of some record, whichever is given here."""
    if isinstance(decision, Denial):
        return None
    change = changes(question.method, route)
    bench = seat(bundle, principal, route, decision, question.at, question.peer, change=change)
    return bench.secret


def _why_refused(resource: Resource, permit: Permit, state: RecordState) -> str:
    if state.salon is not None and state.salon not in permit.grants:
        return f"the record belongs to {state.salon}, where nothing lets this person see it"
    if state.salon is None and resource.salon is not None and not permit.everywhere:
        return "nothing tells whose record it is, and not every salon of this person allows it"
    return "the record is not one that the rules allow; it is answered as if it did not exist"


def _hidden(
    bundle: Bundle,
    principal: Principal,
    post: Post,
    resource: Resource,
    facts: Facts,
    action: str,
    state: RecordState | None,
) -> Iterator[HiddenField]:
    """Each field that is closed to `action`, with the rows that close it."""
    for name in resource.maskable:
        cell = bundle.index.cell(principal.staff, post, resource.target(name), action)
        firing = cell.firing(principal.staff, post, facts)
        residual = firing.residual
        if residual.settled is True or (state is not None and residual.open(state)):
            continue
        rows = firing.denies + firing.hours
        if state is not None:
            rows = tuple(row for row in rows if row.denies(state))
        elif residual.settled is False:
            rows = tuple(row for row in rows if row.settled)
        unless = _only(resource, residual) if state is None else ""
        yield HiddenField(name=name, by=places(rows), unless=unless)


def _opened_by(
    bundle: Bundle,
    principal: Principal,
    post: Post,
    resource: Resource,
    facts: Facts,
    sends: frozenset[str],
    state: RecordState | None,
) -> dict[str, tuple[RuleRef, ...]]:
    """The rows that show each field, and let it be sent if it is one of `sends`."""
    found: dict[str, tuple[RuleRef, ...]] = {}
    for name in resource.maskable:
        for action in (READ, WRITE) if name in sends else (READ,):
            cell = bundle.index.cell(principal.staff, post, resource.target(name), action)
            firing = cell.firing(principal.staff, post, facts)
            residual = firing.residual
            if residual.settled is not False and (state is None or residual.open(state)):
                rows = tuple(row for row in firing.allows if state is None or row.allows(state))
                found[name] = tuple(dict.fromkeys((*found.get(name, ()), *places(rows))))
    return found


def _only(resource: Resource, residual: Residual) -> str:
    """What a record must be like, in the words of the rules: `own_client and not dormant`."""
    if residual.settled is not None:
        return ""
    allows = [_said(resource, allow) for allow in residual.allows]
    denies = [_said(resource, deny) for deny in residual.denies]
    parts = [] if "" in allows else [" or ".join(dict.fromkeys(allows))]
    parts += [f"surely not ({deny})" for deny in dict.fromkeys(denies)]
    return " and ".join(parts)


def _said(resource: Resource, row: Conjunct) -> str:
    names = [(fact.name, 1 << at) for at, fact in enumerate(resource.facts)]
    said = [name for name, bit in names if row.positive & bit]
    said += [f"!{name}" for name, bit in names if row.negative & bit]
    return " & ".join(said)


def _elsewhere(access: Access, decision: Decision, shown: Post) -> Iterator[str]:
    """The person's other salons: each row of the permit's table, or its absence."""
    for post in access.principal.posts:
        if post.salon != shown.salon:
            granted = isinstance(decision, Permit) and (
                not decision.depends or post.salon in decision.grants
            )
            does = "lets it through too" if granted else "refuses it"
            yield f"{post.salon} (as {', '.join(_roles(post))}) {does}"


def _roles(post: Post) -> tuple[Role, ...]:
    return (post.first_role, *sorted(post.acting - {post.first_role}))


def _would_change(
    bundle: Bundle, question: Question, access: Access, stops: list[Stop]
) -> Iterator[str]:
    """What would turn a refusal into an answer, tried out rather than guessed."""
    if not stops:
        return
    if _permits(bundle, access, {"approved_device": True}):
        yield "the rules would let it through from an approved device"
    if _permits(bundle, access, {"inside_window": True, "outside_window": False}):
        opening = _next_opening(bundle, question, access.principal)
        yield f"the rules would let it through inside the opening hours{opening}"
    for app in bundle.apps:
        if _permits(bundle, access, {f"app:{name}": name == app for name in bundle.apps}):
            yield f"the rules would let it through in the app `{app}`"
    if any(stop.reason in DECIDED for stop in stops):
        able = sorted(_people_who_may(bundle, question, access))
        yield f"now the rules let it through for: {', '.join(able) or 'nobody in this salon'}"
    others = [str(stop.reason) for stop in stops if stop.reason not in DECIDED]
    if others and len(others) < len(stops):
        yield f"besides the rules, this stays in the way: {', '.join(others)}"


def _next_opening(bundle: Bundle, question: Question, principal: Principal) -> str:
    windows = [bundle.window(post.salon, question.at) for post in principal.posts]
    opening = [(w.opens_at, w.timezone) for w in windows if w.opens_at is not None]
    if not opening:
        return ""
    at, timezone = min(opening)
    return f", next from {at.astimezone(ZoneInfo(timezone)):%a %Y-%m-%d %H:%M}"


def _permits(bundle: Bundle, access: Access, facts: Mapping[str, bool]) -> bool:
    """Would it go through, if these facts were so, and does it not as they are?"""
    changed = {salon: {**known, **facts} for salon, known in access.facts.items()}
    if isinstance(decide(bundle.index, access), Permit):
        return False
    return isinstance(decide(bundle.index, replace(access, facts=changed)), Permit)


def _people_who_may(bundle: Bundle, question: Question, access: Access) -> Iterator[str]:
    """Everyone who shares a salon and whom the same request would let through."""
    salons = {post.salon for post in access.principal.posts}
    for staff, person in bundle.people.items():
        if salons.isdisjoint(person.member.salons):
            continue
        other = resolve(replace(_claims(question), staff=staff, roles=None), bundle.people)
        if any(_standing(bundle, other, question.at)):
            continue
        ruling = bundle.ruling(other, access.resource, access.action, question.at, question.peer)
        if isinstance(ruling.decision, Permit):
            yield staff


def _standing(bundle: Bundle, principal: Principal, at: Instant) -> Iterator[Stop]:
    try:
        require_standing(CurrentPrincipal(principal), bundle.today(principal.home.salon, at))
    except GatewayError as error:
        yield _stop(error)


def _stop(error: GatewayError) -> Stop:
    return Stop(reason=error.reason, detail=error.detail)


def _inbound(question: Question) -> Inbound:
    return Inbound(
        method=question.method,
        target=question.target,
        version="1.1",
        headers=(("Host", "explain.example"),),
        peer=question.peer or "127.0.0.1",
        secure=True,
    )


def _claims(question: Question) -> Claims:
    return Claims(
        staff=question.staff,
        device=question.device,
        epoch=0,
        app=question.app,
        roles=question.roles,
        expires_at=question.at,
    )
