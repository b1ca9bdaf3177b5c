"""The owner's files become one bundle, or a list of findings.

INVARIANT: a bundle is complete or does not exist: nothing is half built, and every finding in
every file is told at once. Reading files is the shell's business.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from ipaddress import ip_network
from typing import TypeVar

from gateway.bundle import Bundle, words_of
from gateway.domain.finding import Finding, Place, PolicyError, Severity
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import ANYONE
from gateway.enforcer.assertions import Assertion, parse_assertions
from gateway.enforcer.calendar import Calendar, parse_hours
from gateway.enforcer.cubes import TooManyError
from gateway.enforcer.desugar import check_hours, hours_rules
from gateway.enforcer.index import compile_index
from gateway.enforcer.matcher import Matcher
from gateway.enforcer.model import check_model
from gateway.enforcer.observe import (
    Observation,
    parse_observe,
    refuse_observed,
    trials,
)
from gateway.enforcer.proving import broken, counterexample
from gateway.enforcer.rules import Rule, RuleSet, Words, parse_rules
from gateway.identity.principal import people
from gateway.identity.roster import Roster, parse_roster
from gateway.mapping.adapter import Adapter, parse_adapter
from gateway.texts.encoding import decode
from gateway.texts.yamltext import Document, parse_yaml

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
        observe: observe.yaml, likewise.
    """

    rules: SourceFile
    model: SourceFile
    hours: SourceFile
    staff: SourceFile
    adapter: SourceFile
    apps: tuple[str, ...] = ()
    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assertions: SourceFile | None = None
    observe: SourceFile | None = None


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
    observed: tuple[Observation, ...] = ()
    if roster is not None and adapter is not None:
        words = words_of(adapter, roster, sources.apps, sources.networks)
        rules = _try(errors, lambda: parse_rules(_text(sources.rules), sources.rules.name, words))
        assertions = _try(errors, lambda: _assertions(sources.assertions, words)) or ()
        if matcher is not None:
            of_records = {name for names in words.conditions.facts.values() for name in names}
            errors += matcher.unknown_conditions(words.conditions.request(), of_records)
            errors += matcher.unknown_texts(words)
        if calendar is not None and hours is not None:
            errors += check_hours(calendar, hours, adapter.vocabulary, roster.roles)
        if rules is not None and calendar is not None:
            rows = (*rules.rules, *hours_rules(calendar))
            observed = _try(errors, lambda: _observed(sources.observe, rows)) or ()
    else:
        _try(errors, lambda: _text(sources.rules))
    complete = model_text and matcher and calendar and roster and adapter and rules
    if errors or not complete:
        raise PolicyError(errors)
    assert model_text and matcher and calendar and roster and adapter and rules  # noqa: S101, PT018  # for mypy
    bundle = _assemble(sources, model_text, matcher, calendar, roster, adapter, rules)
    bundle = replace(bundle, assertions=_proved(bundle, assertions))
    return _trying(bundle, observed)


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


def _observed(source: SourceFile | None, rows: tuple[Rule, ...]) -> tuple[Observation, ...]:
    return () if source is None else parse_observe(_yaml(source), rows)


def _trying(bundle: Bundle, observed: tuple[Observation, ...]) -> Bundle:
    """The bundle, with the rules that count as long as something is observed.

    Raises:
        PolicyError: an assertion rests on what would be observed.
    """
    if not observed:
        return bundle
    texts = [one.text for one in bundle.assertions]
    findings = refuse_observed(observed, texts, partial(_broken_without, bundle))
    if findings:
        raise PolicyError(findings)
    vocabulary, people_of = bundle.adapter.vocabulary, bundle.index.views
    return replace(
        bundle,
        observed=observed,
        trials=trials(
            observed,
            bundle.rules,
            lambda rows: compile_index(rows, vocabulary, people_of, bundle.matcher),
        ),
    )


def _broken_without(bundle: Bundle, rows: frozenset[RuleRef]) -> list[str]:
    """The assertions that nobody could prove any more without these rows."""
    if not bundle.assertions:
        return []
    everyone, found = bundle.everyone(), []
    for one in bundle.assertions:
        try:
            holds = counterexample(everyone, one, rows) is None
        except TooManyError:
            holds = False
        found += [] if holds else [one.text]
    return found


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


def _digest(sources: Sources) -> str:
    """A digest that changes when any source does. Lengths keep the parts apart."""
    files = (sources.rules, sources.model, sources.hours, sources.staff, sources.adapter)
    words = [repr(sources.apps), repr(sorted(sources.networks.items()))]
    parts = [*(file.data for file in files), *(word.encode() for word in words)]
    parts += [sources.assertions.data] if sources.assertions is not None else []
    parts += [b"observe", sources.observe.data] if sources.observe is not None else []
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
