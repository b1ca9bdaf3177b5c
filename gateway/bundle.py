"""The owner's files become one frozen, digested whole, or a list of findings.

INVARIANT: a bundle is complete or does not exist. Every request is judged by exactly one
bundle, whose digest stands in its audit entry. Reading files is the shell's business.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from ipaddress import ip_network
from typing import TypeVar

from gateway.domain.access import Facts, Window
from gateway.domain.finding import Finding, Place, PolicyError, Severity
from gateway.domain.subject import ANYONE, Principal, Role, RoleGraph, StaffId
from gateway.domain.time import Instant
from gateway.enforcer.calendar import Calendar, SalonHours, parse_hours
from gateway.enforcer.desugar import check_hours, hours_rules
from gateway.enforcer.facts import Network, known_facts
from gateway.enforcer.index import Index, compile_index
from gateway.enforcer.model import check_model
from gateway.enforcer.rules import Effect, Rule, RuleSet, Words, parse_rules
from gateway.enforcer.when import ConditionNames
from gateway.enforcer.window import HORIZON, local_date, window_at
from gateway.identity.principal import Person, attributes, people
from gateway.identity.roster import Roster, parse_roster
from gateway.mapping.adapter import Adapter, parse_adapter
from gateway.mapping.routes import Route
from gateway.masking.plan import Plan, build_plan
from gateway.texts.encoding import decode
from gateway.texts.yamltext import Document, parse_yaml

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
    """

    rules: SourceFile
    model: SourceFile
    hours: SourceFile
    staff: SourceFile
    adapter: SourceFile
    apps: tuple[str, ...] = ()
    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A policy, ready to decide.

    Attributes:
        digest: of every source, in hex; stands in each audit entry and in `policy_info`.
        people: everyone on the roster, with the roles they hold.
        roles: every declared role.
        rules: the rows of salon_rules.csv and hours.yaml.
        warnings: what is worth a look but does not keep the policy from loading.
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
    model_text: str
    apps: tuple[str, ...]
    networks: Mapping[str, tuple[Network, ...]]
    warnings: tuple[Finding, ...]
    _windows: dict[str, tuple[Instant, Window]] = field(default_factory=dict, repr=False)
    _plans: dict[tuple[str, frozenset[str]], Plan] = field(default_factory=dict, repr=False)

    def hours(self, salon: str) -> SalonHours | None:
        """The salon's hours; None if it has no calendar, which means closed."""
        return self.calendar.salons.get(salon)

    def window(self, salon: str, at: Instant) -> Window:
        """The salon's window, worked out anew only when it changes."""
        known = self._windows.get(salon)
        if known is not None:
            since, window = known
            # No change in sight is only true as far as `window_at` looked.
            if since <= at < (window.changes_at or since + HORIZON):
                return window
        window = window_at(self.hours(salon), at)
        if salon in self.calendar.salons:
            self._windows[salon] = (at, window)
        return window

    def today(self, salon: str, at: Instant) -> date:
        """The date on the salon's calendar."""
        return local_date(self.hours(salon), at)

    def facts(self, principal: Principal, window: Window, at: Instant, peer: str) -> Facts:
        """Every named condition that is known before the CRM answers."""
        return known_facts(
            principal,
            attributes(principal, self.today(principal.salon, at)),
            window,
            networks=self.networks,
            peer=peer,
            apps=self.apps,
            roles=self.roles,
        )

    def plan(self, route: Route, hidden: frozenset[str]) -> Plan:
        """How answers of a route are cut for someone with these hidden fields."""
        key = (route.template, hidden)
        plan = self._plans.get(key)
        if plan is None:
            plan = build_plan(route.resource, hidden, records=route.records, beside=route.beside)
            if len(self._plans) < MAX_PLANS:
                self._plans[key] = plan
        return plan

    @property
    def without_calendar(self) -> tuple[str, ...]:
        """Salons where people work but no hours are known: closed for all but exempt roles."""
        salons = {member.salon for member in self.roster.members.values()}
        return tuple(sorted(salons - set(self.calendar.salons)))


def build(sources: Sources) -> Bundle:
    """Read, check and compile everything.

    Raises:
        PolicyError: every finding in every file. Nothing is half built.
    """
    errors: list[Finding] = []
    model_text = _try(errors, lambda: _text(sources.model))
    if model_text is not None:
        _try(errors, lambda: check_model(model_text, sources.model.name))
    hours = _try(errors, lambda: _yaml(sources.hours))
    calendar = _try(errors, lambda: parse_hours(hours)) if hours else None
    roster = _try(errors, lambda: parse_roster(_yaml(sources.staff)))
    adapter = _try(errors, lambda: parse_adapter(_yaml(sources.adapter)))
    rules = None
    if roster is not None and adapter is not None:
        words = Words(
            vocabulary=adapter.vocabulary,
            staff=frozenset(roster.members),
            roles=roster.roles,
            conditions=ConditionNames(
                apps=sources.apps, networks=sources.networks.keys(), roles=roster.roles
            ),
        )
        rules = _try(errors, lambda: parse_rules(_text(sources.rules), sources.rules.name, words))
        if calendar is not None and hours is not None:
            errors += check_hours(calendar, hours, adapter.vocabulary, roster.roles)
    else:
        _try(errors, lambda: _text(sources.rules))
    complete = model_text and calendar and roster and adapter and rules
    if errors or not complete:
        raise PolicyError(errors)
    assert model_text and calendar and roster and adapter and rules  # noqa: S101, PT018  # for mypy
    return _assemble(sources, model_text, calendar, roster, adapter, rules)


def _assemble(
    sources: Sources,
    model_text: str,
    calendar: Calendar,
    roster: Roster,
    adapter: Adapter,
    rules: RuleSet,
) -> Bundle:
    """Put the parsed parts together; nothing can fail any more."""
    holders = people(roster, rules.graph)
    rows = (*rules.rules, *hours_rules(calendar))
    warnings = (*rules.warnings, *calendar.warnings, *roster.warnings, *adapter.warnings)
    everyone = (person.held | {staff} for staff, person in holders.items())
    return Bundle(
        digest=_digest(sources),
        adapter=adapter,
        calendar=calendar,
        roster=roster,
        graph=rules.graph,
        people=holders,
        roles=roster.roles,
        rules=rows,
        index=compile_index(rows, adapter.vocabulary, everyone),
        model_text=model_text,
        apps=sources.apps,
        networks={
            name: tuple(ip_network(text) for text in ranges)
            for name, ranges in sources.networks.items()
        },
        warnings=tuple(sorted((*warnings, *_salons_without_hours(roster, calendar, sources)))),
    )


def _salons_without_hours(
    roster: Roster, calendar: Calendar, sources: Sources
) -> Iterable[Finding]:
    """People who will always stand before a closed door."""
    for member in roster.members.values():
        if member.salon not in calendar.salons:
            yield Finding(
                member.place,
                f"salon `{member.salon}` has no hours in {sources.hours.name}: it counts as "
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
