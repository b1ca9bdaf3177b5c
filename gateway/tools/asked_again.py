"""One recorded request put to a policy again, with the clock and the facts of then.

From the entry comes what belonged to the request: its instant, device, app, address, the roles
its token claimed, route, record, the fields it sent. From the policy comes the rest: roster,
hours, rules, adapter.
What only the record could tell is left to `worlds.py`.
"""

from dataclasses import dataclass, field

from gateway.bundle import Bundle
from gateway.domain.decision import Denial, Passage, Permit
from gateway.domain.errors import GatewayError
from gateway.domain.fieldpath import ITEMS
from gateway.domain.http import CanonicalTarget, Inbound
from gateway.domain.reason import Reason
from gateway.domain.resource import Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import Principal
from gateway.enforcer.index import READ
from gateway.identity.claims import Claims
from gateway.identity.principal import resolve
from gateway.identity.session import CurrentPrincipal, require_standing
from gateway.mapping.guard import WireLimits, guard
from gateway.mapping.pattern import parse_pattern
from gateway.mapping.routes import Route, RouteKind, RouteMatch, find
from gateway.mapping.target import canonical
from gateway.masking.writes import require_writable
from gateway.records import CREATING, changes
from gateway.tools.recorded import Recorded
from gateway.tools.worlds import View, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The policy refuses it, whatever the record."""

    reason: Reason
    by: tuple[RuleRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The policy lets it through as far as the request tells; now it is up to the record."""

    recorded: Recorded
    bundle: Bundle
    match: RouteMatch
    own: View
    by: tuple[RuleRef, ...]

    @property
    def permit(self) -> Permit:
        """For the route's action."""
        assert self.own.permit is not None  # noqa: S101  # for mypy: `ask` makes no other
        return self.own.permit

    @property
    def lists(self) -> bool:
        """Does the answer hold any number of records?"""
        return ITEMS in self.match.route.records.steps

    def refusal(self, world: World) -> Reason | None:
        """Why it is refused, if the record is one of that world; None = it is not."""
        recorded, route, permit = self.recorded, self.match.route, self.permit
        hidden, unwritable = permit.hidden, permit.unwritable
        if not self.own.change:
            judged = not self.lists and not recorded.recordless
            if judged and self.own.verdict(world) is None:
                return Reason.NO_SUCH_RECORD
        elif permit.depends:
            verdict = self.own.verdict(world)
            stop = self._stop(route, world, passes=verdict is not None)
            if stop is not None or verdict is None:
                return stop
            hidden, unwritable = verdict.hidden, verdict.unwritable
        try:
            require_writable(
                frozenset(recorded.sent),
                hidden=hidden,
                unwritable=unwritable,
                method=recorded.method,
                resource=route.resource,
            )
        except GatewayError as error:
            return error.reason
        return None

    def _stop(self, route: Route, world: World, *, passes: bool) -> Reason | None:
        """What `judge_change` would say of the records that it names."""
        if self.match.record or self.recorded.ids or route.ids:
            if route.lookup is None or route.resource.name not in self.bundle.adapter.lookups:
                return Reason.NO_LOOKUP
            passes = passes and not self.recorded.missing
            return None if passes else Reason.NO_SUCH_RECORD
        if route.action not in CREATING:
            return Reason.NO_LOOKUP
        if passes:
            return None
        return Reason.RULE_DENIES if self.own.firing(world) else Reason.NO_RULE_ALLOWS

    def inside(self, view: View, name: str) -> View | None:
        """Of the records that stand in another kind of record under this name."""
        embed = view.resource.embeds.get(name)
        if embed is None:
            return None
        resource = self.bundle.adapter.vocabulary.resources[embed.resource]
        decision = _ruling(self.bundle, view.person, resource, READ, self.recorded)
        permit = decision if isinstance(decision, Permit) else None
        return View(person=view.person, resource=resource, permit=permit)


@dataclass(frozen=True, slots=True)
class Policy:
    """A bundle, with its routes by what they match.

    Attributes:
        found: of the templates of entries, which are as many as some adapter had.
    """

    bundle: Bundle
    routes: dict[object, Route] = field(default_factory=dict)
    found: dict[str, Route | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for route in self.bundle.adapter.routes.routes:
            self.routes[parse_pattern(route.template).shape] = route

    def ask(self, recorded: Recorded) -> Asked | Passage | Stop:
        """Put a request to the policy, up to where the record has its say."""
        bundle, staff = self.bundle, recorded.staff
        match = self.match(recorded)
        kind = None if match is None else match.route.kind
        if kind is RouteKind.PUBLIC:
            return Passage(reason=Reason.PUBLIC)
        try:
            if staff is None:
                raise ValueError("nobody asked")
            claims = Claims(
                staff=staff,
                device=recorded.device,
                epoch=0,
                app=recorded.app,
                roles=frozenset(recorded.narrowed_to) or None,
                expires_at=recorded.at,
            )
            person = resolve(claims, bundle.people)
            today = bundle.today(person.home.salon, recorded.at)
            require_standing(CurrentPrincipal(person), today)
        except GatewayError as error:
            return Stop(reason=error.reason)
        if match is None:
            return Stop(reason=Reason.UNMAPPED)
        if kind is RouteKind.PASS:
            return Passage(reason=Reason.PASSED)
        route = match.route
        decision = _ruling(bundle, person, route.resource, route.action, recorded)
        if isinstance(decision, Denial):
            return Stop(reason=decision.reason, by=decision.by)
        own = View(
            person=person,
            resource=route.resource,
            permit=decision,
            change=changes(recorded.method, route),
        )
        return Asked(recorded=recorded, bundle=bundle, match=match, own=own, by=decision.by)

    def match(self, recorded: Recorded) -> RouteMatch | None:
        """The route of this policy that the request would take."""
        if recorded.route is None:
            target = target_of(recorded)
            if target is None:
                return None
            return find(self.bundle.adapter.routes, recorded.method, target)
        if recorded.route not in self.found:
            self.found[recorded.route] = self._route(recorded.route)
        route = self.found[recorded.route]
        if route is None:
            return None
        # The entry keeps the action and not the parameter that made it another one's.
        asked = [one for one in route.variants.values() if one.action == recorded.action]
        return RouteMatch(route=asked[0] if asked else route, record=recorded.record)

    def _route(self, template: str) -> Route | None:
        try:
            return self.routes.get(parse_pattern(template).shape)
        except ValueError:
            return None


def target_of(recorded: Recorded) -> CanonicalTarget | None:
    """The path of an entry without a route; None if it is none that we take."""
    inbound = Inbound(
        method=recorded.method,
        target=recorded.path or "",
        version="1.1",
        headers=(("Host", "replay.example"),),
        peer=recorded.peer,
        secure=True,
    )
    try:
        return canonical(guard(inbound, WireLimits()))
    except GatewayError:
        return None


def _ruling(
    bundle: Bundle, person: Principal, resource: Resource, action: str, recorded: Recorded
) -> Permit | Denial:
    peer = None if recorded.unplaced else recorded.peer
    return bundle.ruling(person, resource, action, recorded.at, peer).decision
