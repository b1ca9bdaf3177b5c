"""A policy, ready to decide: everything a request is judged by, frozen and digested.

INVARIANT: a bundle never changes. Every request is judged by exactly one, whose digest stands
in its audit entry. What was asked before is remembered, and says the same as when it was not.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import ip_address
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from gateway.domain.access import Access, Facts, Window
from gateway.domain.decision import Permit
from gateway.domain.finding import Finding
from gateway.domain.http import SENDING
from gateway.domain.resource import Resource
from gateway.domain.subject import ANYONE, Post, Principal, Role, RoleGraph, StaffId
from gateway.domain.time import Instant, instant
from gateway.enforcer.assertions import Assertion
from gateway.enforcer.bearers import Surroundings
from gateway.enforcer.calendar import Calendar, SalonHours
from gateway.enforcer.circumstances import Ways
from gateway.enforcer.facts import Network, known_facts
from gateway.enforcer.index import Index
from gateway.enforcer.matcher import Matcher
from gateway.enforcer.observe import (
    Observation,
    Trial,
    remind,
    trial_on,
)
from gateway.enforcer.proving import Everyone
from gateway.enforcer.rules import Effect, Rule, Words
from gateway.enforcer.ruling import Ruling, ruling_on
from gateway.enforcer.when import ConditionNames
from gateway.enforcer.window import local_date, window_at
from gateway.identity.claims import Claims
from gateway.identity.principal import Person, attributes, resolve
from gateway.identity.roster import Roster
from gateway.mapping.adapter import Adapter
from gateway.mapping.routes import Route, RouteKind
from gateway.masking.judge import NodeOf
from gateway.masking.plan import Node, Plan, Prefix, build_node, build_plan

# Every zone's clock differs from UTC by whole quarters of an hour (since 1972), so no date
# changes between them.
QUARTER = timedelta(minutes=15)
_YEAR_1970 = datetime(1970, 1, 1, tzinfo=UTC)
MAX_RULINGS = 65_536  # people x routes x moments; each some kilobytes at most, mostly shared
MAX_PEERS = 16_384  # addresses whose networks are remembered
MAX_PLANS = 4096  # routes x sets of hidden fields; a salon has a few dozen


class Moment(NamedTuple):
    """A salon's clock, as long as rules cannot tell one instant from another.

    Attributes:
        since, until: from when up to when all of it is true.
        key: what rules can tell, as a key.
    """

    since: Instant
    until: Instant
    window: Window
    today: date
    key: str


class Shift(NamedTuple):
    """The clocks of every salon where somebody works: `Moment`s joined."""

    since: Instant
    until: Instant
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A policy, ready to decide.

    Attributes:
        digest: of every source, in hex; stands in each audit entry and in `policy_info`.
        people: everyone on the roster, with the roles they hold.
        roles: every declared role.
        rules: the rows of salon_rules.csv and hours.yaml.
        warnings: what is worth a look but does not keep the policy from loading.
        assertions: what must never be possible; proved.
        observed: what counts only from a day on, and what did so until then.
        trials: the days on which something is observed, and the rules that count on them.
            `rules` and `index` are the whole policy all the same.
        kept: what others worked out from this policy, to be forgotten with it (`records.py`).
    """

    digest: str
    adapter: Adapter
    calendar: Calendar
    roster: Roster
    graph: RoleGraph
    people: Mapping[StaffId, Person]
    roles: frozenset[Role]
    rules: tuple[Rule, ...]
    index: Index
    matcher: Matcher
    model_text: str
    apps: tuple[str, ...]
    networks: Mapping[str, tuple[Network, ...]]
    warnings: tuple[Finding, ...]
    assertions: tuple[Assertion, ...] = ()
    observed: tuple[Observation, ...] = ()
    trials: tuple[Trial, ...] = field(default=(), repr=False)
    kept: dict[object, Any] = field(init=False, default_factory=dict, repr=False, compare=False)
    _moments: dict[str, Moment] = field(init=False, default_factory=dict, repr=False)
    _shifts: dict[StaffId, Shift] = field(init=False, default_factory=dict, repr=False)
    _principals: dict[Claims, Principal] = field(init=False, default_factory=dict, repr=False)
    _lies_in: dict[str, tuple[str, ...]] = field(init=False, default_factory=dict, repr=False)
    _rulings: dict[object, Ruling] = field(init=False, default_factory=dict, repr=False)
    _plans: dict[object, Plan] = field(init=False, default_factory=dict, repr=False)
    _nodes: dict[object, Node] = field(init=False, default_factory=dict, repr=False)

    def hours(self, salon: str) -> SalonHours | None:
        """The salon's hours; None if it has no calendar, which means closed."""
        return self.calendar.salons.get(salon)

    def window(self, salon: str, at: Instant) -> Window:
        """The salon's window, worked out anew only when it changes."""
        return self._moment(salon, at).window

    def today(self, salon: str, at: Instant) -> date:
        """The date on the salon's calendar."""
        return self._moment(salon, at).today

    def _moment(self, salon: str, at: Instant) -> Moment:
        known = self._moments.get(salon)
        if known is not None and known.since <= at < known.until:
            return known
        hours = self.hours(salon)
        window, today = window_at(hours, at), local_date(hours, at)
        quarter = Instant(at - (at - Instant(_YEAR_1970)) % QUARTER + QUARTER)
        until = min(quarter, window.changes_at or quarter)
        moment = Moment(at, until, window, today, f"{salon} {window.state.inside} {today}")
        if salon in self.calendar.salons:
            self._moments[salon] = moment
        return moment

    def until(self, principal: Principal, at: Instant) -> Instant:
        """Up to when rules cannot tell the clocks of this person's salons from now."""
        return self._shift_at(principal, at).until

    def _shift_at(self, principal: Principal, at: Instant) -> Shift:
        shift = self._shifts.get(principal.staff)
        if shift is None or not shift.since <= at < shift.until:
            shift = self._shift(principal, at)
        return shift

    def _shift(self, principal: Principal, at: Instant) -> Shift:
        moments = [self._moment(post.salon, at) for post in principal.posts]
        shift = Shift(
            max(moment.since for moment in moments),
            min(moment.until for moment in moments),
            " & ".join(moment.key for moment in moments),
        )
        if len(self._shifts) >= MAX_RULINGS:
            self._shifts.clear()
        self._shifts[principal.staff] = shift
        return shift

    def principal(self, claims: Claims) -> Principal:
        """The person a token speaks for; as `resolve`, worked out once for each token.

        Raises:
            RequestError: NOT_ON_ROSTER.
        """
        known = self._principals.get(claims)
        if known is None:
            known = resolve(claims, self.people)
            if len(self._principals) >= MAX_RULINGS:
                self._principals.clear()
            self._principals[claims] = known
        return known

    def ruling(
        self,
        principal: Principal,
        resource: Resource,
        action: str,
        at: Instant,
        peer: str | None,
        *,
        lifted: str | None = None,
    ) -> Ruling:
        """What the rules say to a request. The same question is worked out once.

        Args:
            principal: who asks.
            resource: of this bundle's adapter.
            action: of its closed list.
            at: the instant of the request.
            peer: the address it comes from; None = not known.
            lifted: the salon whose window a grant lifts (`lifting.py`); None = no one's.
        """
        device = principal.device
        shift = self._shift_at(principal, at)
        key = (
            principal.staff,
            principal.narrowed_to,
            device if device is None else device in principal.approved_devices,
            principal.app,
            principal.on_notice_since,  # the roster's, or what was said at an offboarding
            self._networks_of(peer) if self.networks else None,
            shift.key,
            resource.name,
            action,
            lifted,
        )
        ruling = self._rulings.get(key)
        if ruling is None:
            facts = {post.salon: self.facts(principal, post, at, peer) for post in principal.posts}
            access = Access(principal=principal, resource=resource, action=action, facts=facts)
            ruling = ruling_on(self.index, access, self.trial(principal, at), lifted)
            if len(self._rulings) >= MAX_RULINGS:
                self._rulings.clear()  # a day's worth of them; the next hour finds them again
            self._rulings[key] = ruling
        return ruling

    def trial(self, principal: Principal, at: Instant) -> Trial | None:
        """What is only observed of this person; None = nothing.

        Whoever works in several salons is held to what counts in any of them already: the
        later of their dates decides.
        """
        if not self.trials:
            return None
        return trial_on(self.trials, max(self.today(post.salon, at) for post in principal.posts))

    def under(self, trial: Trial | None) -> "Bundle":
        """This policy with one index and nothing observed, to ask what it says by itself.

        Args:
            trial: whose rules shall be all there are; None = the whole policy, enforced.
        """
        if not self.trials:
            return self
        index = self.index if trial is None or trial.index is None else trial.index
        return replace(self, index=index, observed=(), trials=())

    def observing(self, at: Instant) -> tuple[Observation, ...]:
        """What is observed at an instant in some salon."""
        return tuple(one for one in self.observed if at < self.counts_from(one))

    def reminders(self, at: Instant) -> tuple[Finding, ...]:
        """A warning for each line of observe.yaml, also for those that are over."""
        return tuple(remind(one, over=self.counts_from(one) <= at) for one in self.observed)

    @property
    def observed_until(self) -> tuple[tuple[str, Instant], ...]:
        """What is observed (`rule`, `hours`, `everything`), each with its end: for the metrics."""
        return tuple((one.kind.value, self.counts_from(one)) for one in self.observed)

    def counts_from(self, one: Observation) -> Instant:
        """From when on an observation is over everywhere: midnight in the last salon."""
        zones = [hours.zone for hours in self.calendar.salons.values()]
        if not zones or self.without_calendar:
            zones.append(ZoneInfo("UTC"))
        return max(instant(datetime.combine(one.enforce_from, time(), zone)) for zone in zones)

    def facts(self, principal: Principal, post: Post, at: Instant, peer: str | None) -> Facts:
        """Every named condition that is known before the CRM answers, in one salon."""
        moment = self._moment(post.salon, at)
        return known_facts(
            principal,
            post,
            attributes(principal, moment.today),
            moment.window,
            networks=self.networks,
            peer=peer,
            apps=self.apps,
            roles=self.roles,
        )

    def _networks_of(self, peer: str | None) -> tuple[str, ...] | None:
        """The networks an address lies in; None for an unknown address."""
        if peer is None:
            return None
        known = self._lies_in.get(peer)
        if known is None:
            address = ip_address(peer)
            inside = (
                n for n, ranges in self.networks.items() if any(address in r for r in ranges)
            )
            known = tuple(inside)
            if len(self._lies_in) < MAX_PEERS:
                self._lies_in[peer] = known
        return known

    def plan(self, route: Route, permit: Permit) -> Plan:
        """How answers of a route are cut under a permit."""
        key = (route.template, permit.hidden, permit.depends, permit.refuses, permit.uncut)
        plan = self._plans.get(key)
        if plan is None:
            plan = build_plan(
                route.resource,
                permit.hidden,
                records=route.records,
                beside=route.beside,
                page_totals=route.page_totals,
                depends=permit.depends,
                may_refuse=permit.refuses,
            )
            if permit.uncut:
                plan = replace(plan, nothing_to_do=True)
            if len(self._plans) < MAX_PLANS:
                self._plans[key] = plan
        return plan

    def node_of(self, resource: Resource) -> NodeOf:
        """How one record of a resource is cut, by what is hidden of it; kept for the next."""

        def node(hidden: frozenset[str], prefix: Prefix) -> Node:
            key = (resource.name, hidden, prefix)
            known = self._nodes.get(key)
            if known is None:
                known = build_node(resource, hidden, prefix)
                if len(self._nodes) < MAX_PLANS:
                    self._nodes[key] = known
            return known

        return node

    def words(self) -> Words:
        """Every name that may stand in a rule of this policy."""
        return words_of(self.adapter, self.roster, self.apps, self.networks)

    def everyone(self) -> Everyone:
        """Everybody to ask about, with all that may be so or so for them; made anew each time."""
        around = Surroundings(
            vocabulary=self.adapter.vocabulary,
            calendar=self.calendar.salons,
            apps=self.apps,
            networks=tuple(self.networks),
            roles=self.roles,
        )
        carried = {role: self.graph.closure([role]) for role in self.roles}
        carried[ANYONE] = frozenset()
        return Everyone(
            index=self.index,
            ways=_ways(self.adapter),
            people={s: around.person(self.full_token(s), attributes) for s in self.people},
            own={
                staff: {salon: frozenset(own) for salon, own in member.salons.items()}
                for staff, member in self.roster.members.items()
            },
            roles={role: around.role(role, held) for role, held in carried.items()},
            carried=carried,
        )

    def full_token(self, staff: StaffId) -> Principal:
        """Somebody on the roster under a token that names nothing and leaves out no role."""
        claims = Claims(
            staff=staff,
            device=None,
            epoch=0,
            app=None,
            roles=None,
            expires_at=Instant(_YEAR_1970),
        )
        return resolve(claims, self.people)

    @property
    def without_calendar(self) -> tuple[str, ...]:
        """Salons where people work but no hours are known: closed for all but exempt roles."""
        salons = {salon for member in self.roster.members.values() for salon in member.salons}
        return tuple(sorted(salons - set(self.calendar.salons)))


def words_of(
    adapter: Adapter, roster: Roster, apps: tuple[str, ...], networks: Collection[str]
) -> Words:
    """Every name that may stand in a rule."""
    return Words(
        vocabulary=adapter.vocabulary,
        staff=frozenset(roster.members),
        roles=roster.roles,
        conditions=ConditionNames(
            apps=apps,
            networks=frozenset(networks),
            roles=roster.roles,
            facts={
                name: [fact.name for fact in resource.facts]
                for name, resource in adapter.vocabulary.resources.items()
            },
        ),
    )


def _ways(adapter: Adapter) -> Ways:
    """What the routes under rules ask."""
    showing: dict[str, set[str]] = {}
    sending: dict[str, set[str]] = {}
    for route in adapter.routes.routes:
        if route.kind is RouteKind.RULED:
            showing.setdefault(route.resource.name, set()).add(route.action)
            for variant in route.variants.values():
                showing[route.resource.name].add(variant.action)
            if route.method in SENDING:  # the pipeline takes no body with others
                sending.setdefault(route.resource.name, set()).add(route.action)
    return Ways(
        showing={name: frozenset(actions) for name, actions in showing.items()},
        sending={name: frozenset(actions) for name, actions in sending.items()},
    )


def deny_reach(bundle: Bundle) -> Iterable[tuple[Rule, tuple[Role, ...]]]:
    """Each deny with the roles that inherit it: denies go up with the role."""
    carriers = {role: bundle.graph.closure([role]) for role in bundle.roles}
    for rule in bundle.rules:
        if rule.effect is Effect.DENY and rule.who != ANYONE:
            reached = [role for role, closure in carriers.items() if rule.who in closure]
            yield rule, tuple(sorted(set(reached) - {Role(rule.who)}))
