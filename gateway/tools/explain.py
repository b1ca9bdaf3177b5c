"""Why would this request be answered so, and what would change it?

Unlike the pipeline, `explain` does not end at the first stop: it lists every one that
would also have fired, so that an owner mends all of them at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from gateway.bundle import Bundle
from gateway.domain.access import Access, Facts, Window
from gateway.domain.decision import Decision, Denial, Permit
from gateway.domain.errors import GatewayError
from gateway.domain.http import Inbound
from gateway.domain.obligation import Conjunct, Residual
from gateway.domain.reason import Reason
from gateway.domain.record import Asker, RecordState
from gateway.domain.resource import Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import DeviceId, Post, Principal, Role, StaffId
from gateway.domain.time import Instant
from gateway.enforcer.decide import decide
from gateway.enforcer.index import READ, WRITE, Firing, places
from gateway.identity.claims import Claims
from gateway.identity.principal import resolve
from gateway.identity.session import CurrentPrincipal, require_standing
from gateway.mapping.guard import WireLimits, guard
from gateway.mapping.query import require_answerable
from gateway.mapping.routes import RouteKind, RouteMatch, find
from gateway.mapping.target import canonical
from gateway.masking.facts import FactReader
from gateway.masking.writes import require_writable

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
    except GatewayError as error:
        return replace(explanation, stops=(_stop(error),))
    if match is not None and match.route.kind is RouteKind.PUBLIC:
        return replace(explanation, route=match.route.template)  # nobody asks who it is
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
    if match.route.kind is not RouteKind.RULED:
        return replace(explanation, route=match.route.template, stops=tuple(stops))
    return _decided(bundle, explanation, principal, match, target.query, stops, advise=advise)


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
    elif state is not None:
        verdict = decision.judge(state)
        if not verdict.passes:
            detail = _why_refused(resource, decision, state)
            stops.append(Stop(reason=Reason.NO_SUCH_RECORD, detail=detail, by=verdict.by))
    # Where the hours shut the whole card out, what they hide of its fields says nothing more.
    inside = {**facts, "inside_window": True, "outside_window": False} if firing.hours else facts
    hidden = tuple(_hidden(bundle, principal, post, resource, inside, READ, state))
    shut = frozenset(field.name for field in hidden)
    try:
        require_answerable(route, query, shut)
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
    )


def _state(
    bundle: Bundle, question: Question, principal: Principal, resource: Resource
) -> RecordState | None:
    """The given record as rules see it."""
    if question.record is None:
        return None
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
            granted = isinstance(decision, Permit) and post.salon in decision.grants
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
