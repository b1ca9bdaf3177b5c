"""Why would this request be answered so, and what would change it?

Unlike the pipeline, `explain` does not end at the first stop: it lists every one that
would also have fired, so that an owner mends all of them at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from gateway.bundle import Bundle
from gateway.domain.access import Access, Facts, Window
from gateway.domain.decision import Denial, Permit, RuleRef
from gateway.domain.errors import GatewayError
from gateway.domain.http import Inbound
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId, Principal, Role, StaffId
from gateway.domain.time import Instant
from gateway.enforcer.decide import decide
from gateway.enforcer.index import READ, WRITE
from gateway.identity.claims import Claims
from gateway.identity.principal import resolve
from gateway.identity.session import CurrentPrincipal, require_standing
from gateway.mapping.guard import WireLimits, guard
from gateway.mapping.query import require_answerable
from gateway.mapping.routes import RouteKind, RouteMatch, find
from gateway.mapping.target import canonical
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
        peer: where it comes from, for `network:` conditions.
    """

    staff: StaffId
    method: str
    target: str
    at: Instant
    device: DeviceId | None = None
    app: str | None = None
    roles: frozenset[Role] | None = None
    peer: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One thing that refuses the request."""

    reason: Reason
    detail: str
    by: tuple[RuleRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenField:
    """A field that leaves the answer, and the rows that hide it; none = no row shows it."""

    name: str
    by: tuple[RuleRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The whole answer.

    Attributes:
        stops: in the order in which they would fire; none = the request goes through.
        allowed_by: the rows that allow the action, whether or not something else stops it.
        hidden, unwritable: as they would be, were there no stop.
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

    @property
    def allowed(self) -> bool:
        """Would the request go through?"""
        return not self.stops


def explain(bundle: Bundle, question: Question) -> Explanation:
    """Walk the stages of one request without a CRM, a token or a state store."""
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
    explanation = replace(
        explanation,
        salon=principal.salon,
        roles=(principal.first_role, *sorted(principal.acting - {principal.first_role})),
    )
    stops = list(_standing(bundle, principal, question.at))
    if match is None:
        detail = "no route of the adapter fits; `salon-gateway audit unmapped` lists such requests"
        return replace(explanation, stops=(*stops, Stop(reason=Reason.UNMAPPED, detail=detail)))
    if match.route.kind is not RouteKind.RULED:
        return replace(explanation, route=match.route.template, stops=tuple(stops))
    return _decided(bundle, explanation, principal, match, target.query, stops)


def _decided(
    bundle: Bundle,
    explanation: Explanation,
    principal: Principal,
    match: RouteMatch,
    query: tuple[tuple[str, str], ...],
    stops: list[Stop],
) -> Explanation:
    """Add everything that rules, hours and questions say."""
    question = explanation.question
    route, resource = match.route, match.route.resource
    window = bundle.window(principal.salon, question.at)
    facts = bundle.facts(principal, window, question.at, question.peer)
    access = Access(principal=principal, resource=resource, action=route.action, facts=facts)
    decision = decide(bundle.index, access)
    if isinstance(decision, Denial) and decision.reason is Reason.DEVICE_NOT_APPROVED:
        detail = "from an approved device it would go through; what follows is why not from this"
        stops.append(Stop(reason=decision.reason, detail=detail, by=decision.by))
    firing = bundle.index.cell(principal, resource.name, route.action).firing(principal, facts)
    if firing.denies:
        detail = "a deny rule fires; deny beats every allow"
        stops.append(Stop(reason=Reason.RULE_DENIES, detail=detail, by=firing.denies))
    if not firing.allows:
        detail = f"no rule allows {principal.first_role} to `{route.action}` `{resource.name}`"
        stops.append(Stop(reason=Reason.NO_RULE_ALLOWS, detail=detail))
    if firing.hours:
        detail = f"`{resource.name}` is closed outside the opening hours of {principal.salon}"
        stops.append(Stop(reason=Reason.OUTSIDE_HOURS, detail=detail, by=firing.hours))
    # Where the hours shut the whole card out, what they hide of its fields says nothing more.
    inside = {**facts, "inside_window": True, "outside_window": False} if firing.hours else facts
    hidden = tuple(_hidden(bundle, principal, match, inside))
    names = frozenset(field.name for field in hidden)
    try:
        require_answerable(route, query, names)
    except GatewayError as error:
        stops.append(_stop(error))
    if isinstance(decision, Permit):
        try:  # whatever the body sends
            require_writable(frozenset(), decision, method=question.method, resource=resource)
        except GatewayError as error:
            stops.append(_stop(error))
    return replace(
        explanation,
        route=route.template,
        resource=resource.name,
        action=route.action,
        record=match.record,
        window=window,
        stops=tuple(stops),
        allowed_by=firing.allows,
        exempt=isinstance(decision, Permit) and decision.exempt,
        hidden=hidden,
        unwritable=tuple(
            name
            for name in resource.maskable
            if not bundle.index.cell(principal, resource.target(name), WRITE)
            .firing(principal, inside)
            .allowed
        ),
        shown=tuple(name for name in resource.maskable if name not in names),
        would_change=tuple(_would_change(bundle, question, access, stops)),
    )


def _hidden(
    bundle: Bundle, principal: Principal, match: RouteMatch, facts: Facts
) -> Iterator[HiddenField]:
    """Each hidden field with the rows that hide it."""
    resource = match.route.resource
    for name in resource.maskable:
        cell = bundle.index.cell(principal, resource.target(name), READ)
        firing = cell.firing(principal, facts)
        if not firing.allowed:
            yield HiddenField(name=name, by=firing.denies + firing.hours)


def _would_change(
    bundle: Bundle, question: Question, access: Access, stops: list[Stop]
) -> Iterator[str]:
    """What would turn a refusal into an answer, tried out rather than guessed."""
    if not stops:
        return
    if _permits(bundle, access, {"approved_device": True}):
        yield "the rules would let it through from an approved device"
    if _permits(bundle, access, {"inside_window": True, "outside_window": False}):
        window = bundle.window(access.principal.salon, question.at)
        opens = window.opens_at and window.opens_at.astimezone(ZoneInfo(window.timezone))
        when = f", next from {opens:%a %Y-%m-%d %H:%M}" if opens else ""
        yield f"the rules would let it through inside the opening hours{when}"
    for app in bundle.apps:
        if _permits(bundle, access, {f"app:{name}": name == app for name in bundle.apps}):
            yield f"the rules would let it through in the app `{app}`"
    if any(stop.reason in DECIDED for stop in stops):
        able = sorted(_people_who_may(bundle, question, access))
        yield f"now the rules let it through for: {', '.join(able) or 'nobody in this salon'}"
    others = [str(stop.reason) for stop in stops if stop.reason not in DECIDED]
    if others and len(others) < len(stops):
        yield f"besides the rules, this stays in the way: {', '.join(others)}"


def _permits(bundle: Bundle, access: Access, facts: Mapping[str, bool]) -> bool:
    changed = replace(access, facts={**access.facts, **facts})
    return isinstance(decide(bundle.index, changed), Permit)


def _people_who_may(bundle: Bundle, question: Question, access: Access) -> Iterator[str]:
    """Everyone of the same salon whom the same request would let through."""
    window = bundle.window(access.principal.salon, question.at)
    for staff, person in bundle.people.items():
        if person.member.salon != access.principal.salon:
            continue
        other = resolve(replace(_claims(question), staff=staff, roles=None), bundle.people)
        if any(_standing(bundle, other, question.at)):
            continue
        facts = bundle.facts(other, window, question.at, question.peer)
        tried = replace(access, principal=other, facts=facts)
        if isinstance(decide(bundle.index, tried), Permit):
            yield staff


def _standing(bundle: Bundle, principal: Principal, at: Instant) -> Iterator[Stop]:
    try:
        require_standing(CurrentPrincipal(principal), bundle.today(principal.salon, at))
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
        peer=question.peer,
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
