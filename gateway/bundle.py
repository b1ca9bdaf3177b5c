"""The owner's files become one frozen, digested whole, or a list of findings.

INVARIANT: a bundle is complete or does not exist. Every request is judged by exactly one
bundle, whose digest stands in its audit entry. Reading files is the shell's business.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import NamedTuple, TypeVar

from gateway.domain.access import Access, Facts, Window
from gateway.domain.decision import Permit
from gateway.domain.finding import Finding, Place, PolicyError, Severity
from gateway.domain.resource import Resource
from gateway.domain.subject import ANYONE, Post, Principal, Role, RoleGraph, StaffId
from gateway.domain.time import Instant
from gateway.enforcer.assertions import Assertion, parse_assertions
from gateway.enforcer.bearers import Surroundings
from gateway.enforcer.calendar import Calendar, SalonHours, parse_hours
from gateway.enforcer.circumstances import Ways
from gateway.enforcer.desugar import check_hours, hours_rules
from gateway.enforcer.facts import Network, known_facts
from gateway.enforcer.index import Index, compile_index
from gateway.enforcer.matcher import Matcher
from gateway.enforcer.model import check_model
from gateway.enforcer.proving import Everyone, broken
from gateway.enforcer.rules import Effect, Rule, RuleSet, Words, parse_rules
from gateway.enforcer.ruling import Ruling, ruling_on
from gateway.enforcer.when import ConditionNames
from gateway.enforcer.window import local_date, window_at
from gateway.identity.claims import Claims
from gateway.identity.principal import Person, attributes, people, resolve
from gateway.identity.roster import Roster, parse_roster
from gateway.mapping.adapter import Adapter, parse_adapter
from gateway.mapping.routes import Route, RouteKind
from gateway.masking.judge import NodeOf
from gateway.masking.plan import Node, Plan, Prefix, build_node, build_plan
from gateway.texts.encoding import decode
from gateway.texts.yamltext import Document, parse_yaml

# Every zone's clock differs from UTC by whole quarters of an hour (since 1972), so no date
# changes between them.
QUARTER = timedelta(minutes=15)
_YEAR_1970 = datetime(1970, 1, 1, tzinfo=UTC)
MAX_RULINGS = 65_536  # people x routes x moments; each some kilobytes at most, mostly shared
MAX_PEERS = 16_384  # addresses whose networks are remembered
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})  # the pipeline takes no body with others
MAX_PLANS = 4096  # routes x sets of hidden fields; a salon has a few dozen

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file as the shell read it. `name` is what findings and rule places show."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything a bundle is built from.

    Attributes:
        apps: values the `app` claim may have (gateway.yaml).
        networks: CIDR ranges by name (gateway.yaml).
        assertions: assertions.yaml; None = the owner has none.
    """

    rules: SourceFile
    model: SourceFile
    hours: SourceFile
    staff: SourceFile
    adapter: SourceFile
    apps: tuple[str, ...] = ()
    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assertions: SourceFile | None = None


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
    _moments: dict[str, Moment] = field(default_factory=dict, repr=False)
    _lies_in: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    _rulings: dict[object, Ruling] = field(default_factory=dict, repr=False)
    _plans: dict[object, Plan] = field(default_factory=dict, repr=False)
    _nodes: dict[object, Node] = field(default_factory=dict, repr=False)

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

    def ruling(
        self,
        principal: Principal,
        resource: Resource,
        action: str,
        at: Instant,
        peer: str | None,
    ) -> Ruling:
        """What the rules say to a request. The same question is worked out once.

        Args:
            principal: who asks.
            resource: of this bundle's adapter.
            action: of its closed list.
            at: the instant of the request.
            peer: the address it comes from; None = not known.
        """
        posts = principal.posts
        device = principal.device
        moments: object
        if len(posts) == 1:  # nearly everybody; this is done for every request
            moment = self._moments.get(posts[0].salon)
            if moment is None or not moment.since <= at < moment.until:
                moment = self._moment(posts[0].salon, at)
            moments = moment.key
        else:
            moments = tuple([self._moment(post.salon, at).key for post in posts])
        key = (
            principal.staff,
            principal.narrowed_to,
            device if device is None else device in principal.approved_devices,
            principal.app,
            self._networks_of(peer) if self.networks else None,
            moments,
            resource.name,
            action,
        )
        ruling = self._rulings.get(key)
        if ruling is None:
            ruling = self._ruling(principal, resource, action, at, peer)
            if len(self._rulings) >= MAX_RULINGS:
                self._rulings.clear()  # a day's worth of them; the next hour finds them again
            self._rulings[key] = ruling
        return ruling

    def _ruling(
        self,
        principal: Principal,
        resource: Resource,
        action: str,
        at: Instant,
        peer: str | None,
    ) -> Ruling:
        facts = {post.salon: self.facts(principal, post, at, peer) for post in principal.posts}
        access = Access(principal=principal, resource=resource, action=action, facts=facts)
        return ruling_on(self.index, access)

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
        if not self.networks:
            return ()
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
        key = (route.template, permit.hidden, permit.depends, permit.refuses)
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
        return _words(self.adapter, self.roster, self.apps, self.networks)

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


def build(sources: Sources) -> Bundle:
    """Read, check and compile everything.

    Raises:
        PolicyError: every finding in every file. Nothing is half built.
    """
    errors: list[Finding] = []
    matcher = None
    model_text = _try(errors, lambda: _text(sources.model))
    if model_text is not None:
        matcher = _try(errors, lambda: check_model(model_text, sources.model.name))
    hours = _try(errors, lambda: _yaml(sources.hours))
    calendar = _try(errors, lambda: parse_hours(hours)) if hours else None
    roster = _try(errors, lambda: parse_roster(_yaml(sources.staff)))
    adapter = _try(errors, lambda: parse_adapter(_yaml(sources.adapter)))
    rules = None
    assertions: tuple[Assertion, ...] = ()
    if roster is not None and adapter is not None:
        words = _words(adapter, roster, sources.apps, sources.networks)
        rules = _try(errors, lambda: parse_rules(_text(sources.rules), sources.rules.name, words))
        assertions = _try(errors, lambda: _assertions(sources.assertions, words)) or ()
        if matcher is not None:
            of_records = {name for names in words.conditions.facts.values() for name in names}
            errors += matcher.unknown_conditions(words.conditions.request(), of_records)
            errors += matcher.unknown_texts(words)
        if calendar is not None and hours is not None:
            errors += check_hours(calendar, hours, adapter.vocabulary, roster.roles)
    else:
        _try(errors, lambda: _text(sources.rules))
    complete = model_text and matcher and calendar and roster and adapter and rules
    if errors or not complete:
        raise PolicyError(errors)
    assert model_text and matcher and calendar and roster and adapter and rules  # noqa: S101, PT018  # for mypy
    bundle = _assemble(sources, model_text, matcher, calendar, roster, adapter, rules)
    return replace(bundle, assertions=_proved(bundle, assertions))


def _assemble(
    sources: Sources,
    model_text: str,
    matcher: Matcher,
    calendar: Calendar,
    roster: Roster,
    adapter: Adapter,
    rules: RuleSet,
) -> Bundle:
    """Put the parsed parts together; nothing can fail any more."""
    holders = people(roster, rules.graph)
    rows = (*rules.rules, *hours_rules(calendar))
    warnings = (*rules.warnings, *calendar.warnings, *roster.warnings, *adapter.warnings)
    everyone = [post.held | {staff} for staff, person in holders.items() for post in person.posts]
    # Each role alone, too: `who-can` and assertions ask about people who may come.
    everyone += [rules.graph.closure([role]) | {ANYONE} for role in roster.roles]
    everyone.append(frozenset({ANYONE}))
    return Bundle(
        digest=_digest(sources),
        adapter=adapter,
        calendar=calendar,
        roster=roster,
        graph=rules.graph,
        people=holders,
        roles=roster.roles,
        rules=rows,
        index=compile_index(rows, adapter.vocabulary, everyone, matcher),
        matcher=matcher,
        model_text=model_text,
        apps=sources.apps,
        networks={
            name: tuple(ip_network(text) for text in ranges)
            for name, ranges in sources.networks.items()
        },
        warnings=tuple(sorted((*warnings, *_salons_without_hours(roster, calendar, sources)))),
    )


def _words(
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
            if route.method in BODY_METHODS:
                sending.setdefault(route.resource.name, set()).add(route.action)
    return Ways(
        showing={name: frozenset(actions) for name, actions in showing.items()},
        sending={name: frozenset(actions) for name, actions in sending.items()},
    )


def _assertions(source: SourceFile | None, words: Words) -> tuple[Assertion, ...]:
    return () if source is None else parse_assertions(_yaml(source), words)


def _proved(bundle: Bundle, assertions: tuple[Assertion, ...]) -> tuple[Assertion, ...]:
    """The assertions, if everyone keeps to them.

    Raises:
        PolicyError: a counter-example to each that is broken.
    """
    if not assertions:
        return ()
    everyone = bundle.everyone()
    findings = [found for one in assertions if (found := broken(everyone, one)) is not None]
    if findings:
        raise PolicyError(findings)
    return assertions


def _salons_without_hours(
    roster: Roster, calendar: Calendar, sources: Sources
) -> Iterable[Finding]:
    """People who will always stand before a closed door."""
    for member in roster.members.values():
        for salon in member.salons:
            if salon not in calendar.salons:
                yield Finding(
                    member.place,
                    f"salon `{salon}` has no hours in {sources.hours.name}: it counts as "
                    "closed for all but exempt roles",
                    Severity.WARNING,
                )


def deny_reach(bundle: Bundle) -> Iterable[tuple[Rule, tuple[Role, ...]]]:
    """Each deny with the roles that inherit it: denies go up with the role."""
    carriers = {role: bundle.graph.closure([role]) for role in bundle.roles}
    for rule in bundle.rules:
        if rule.effect is Effect.DENY and rule.who != ANYONE:
            reached = [role for role, closure in carriers.items() if rule.who in closure]
            yield rule, tuple(sorted(set(reached) - {Role(rule.who)}))


def _digest(sources: Sources) -> str:
    """A digest that changes when any source does. Lengths keep the parts apart."""
    files = (sources.rules, sources.model, sources.hours, sources.staff, sources.adapter)
    words = [repr(sources.apps), repr(sorted(sources.networks.items()))]
    parts = [*(file.data for file in files), *(word.encode() for word in words)]
    parts += [sources.assertions.data] if sources.assertions is not None else []
    total = sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def _text(source: SourceFile) -> str:
    return decode(source.data, source.name)


def _yaml(source: SourceFile) -> Document:
    document = parse_yaml(_text(source), source.name)
    if not isinstance(document.data, dict):
        raise PolicyError([Finding(Place(source.name), "the file holds keys and values")])
    return document


def _try(errors: list[Finding], parse: Callable[[], ResultT]) -> ResultT | None:
    """Run one parser; keep its findings and go on with the other files."""
    try:
        return parse()
    except PolicyError as error:
        errors.extend(error.findings)
        return None
