"""The owner's cases: does the policy do what these sentences say?

Each case is put to `explain`, which walks every stage of a request, so a case speaks of roles,
rules, hours, standing, questions and records alike. What a case leaves out is not asked.

True here: a case whose words the policy does not know (a person, a field, a row) fails. It
says nothing about this policy, and an expectation that says nothing must not look kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.build import SourceFile
from gateway.bundle import Bundle
from gateway.domain.finding import Finding, Place, PolicyError, did_you_mean
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED, Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.time import on_clock
from gateway.enforcer.rules import Rule
from gateway.texts.encoding import decode
from gateway.texts.yamltext import parse_yaml
from gateway.tools.case_file import Case, Row, parse_cases, row_of
from gateway.tools.explain import Explanation, HiddenField, Question, explain, home_clock

MAX_CASES = 10_000  # at some tenths of a millisecond each, a reload stays within seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """Every case of every file, in order."""

    cases: tuple[Case, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One expectation that is not met.

    Attributes:
        key: the key of the case that says so.
        place: where the key stands.
    """

    key: str
    place: Place
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.key}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one case.

    Attributes:
        mismatches: what was expected otherwise; none = the case passed.
        happened: the answer in a few words.
        resource, action: what rules were asked about; None = they were not asked.
        rules: the rows that determined it.
        used: every row that had a say: those, and what hides, shows or opens a field.
    """

    case: Case
    mismatches: tuple[Mismatch, ...]
    happened: str
    resource: str | None = None
    action: str | None = None
    rules: tuple[RuleRef, ...] = ()
    used: frozenset[RuleRef] = frozenset()

    @property
    def passed(self) -> bool:
        """Is everything as the case says?"""
        return not self.mismatches


def read_cases(files: Iterable[SourceFile]) -> Cases:
    """Read the case files.

    Raises:
        PolicyError: every finding in every file.
    """
    found: list[Case] = []
    findings: list[Finding] = []
    for file in files:
        try:
            found += parse_cases(parse_yaml(decode(file.data, file.name), file.name))
        except PolicyError as error:
            findings += error.findings
    if len(found) > MAX_CASES:
        findings.append(Finding(found[MAX_CASES].place, f"more than {MAX_CASES} cases"))
    if findings:
        raise PolicyError(findings)
    return Cases(cases=tuple(found))


def failed_cases(bundle: Bundle, cases: Cases) -> tuple[Finding, ...]:
    """The cases that a policy breaks, each as an error at its sentence."""
    return tuple(as_finding(result) for result in run_all(bundle, cases) if not result.passed)


def run_all(bundle: Bundle, cases: Cases) -> tuple[Result, ...]:
    """Put every case to a policy."""
    return tuple(run(bundle, case) for case in cases.cases)


def as_finding(result: Result) -> Finding:
    """A case that failed, on one line."""
    wrong = "; ".join(map(str, result.mismatches))
    rules = f" ({', '.join(map(str, result.rules))})" if result.rules else ""
    return Finding(result.case.place, f"the case `{result.case.says}` fails: {wrong}{rules}")


def run(bundle: Bundle, case: Case) -> Result:
    """Put one case to a policy, as if nothing of it were only observed."""
    bundle = bundle.under(None)
    strange = tuple(_strange_people(bundle, case))
    if strange:
        return Result(case=case, mismatches=strange, happened="not asked")
    answer = explain(bundle, question_of(bundle, case), advise=False)
    rules = answer.stops[0].by if answer.stops else answer.allowed_by
    used = {*rules}
    if answer.allowed:
        used.update(*answer.opened_by.values(), *(field.by for field in answer.hidden))
    strange = tuple(_strange_fields(bundle, case, answer))
    return Result(
        case=case,
        mismatches=strange or tuple(_mismatches(bundle, case, answer)),
        happened=_happened(answer),
        resource=answer.resource,
        action=answer.action,
        rules=rules,
        used=frozenset(used),
    )


def question_of(bundle: Bundle, case: Case) -> Question:
    """The case's request, as `explain` takes it."""
    return Question(
        staff=case.who,
        method=case.method,
        target=case.target,
        at=on_clock(case.at, home_clock(bundle, case.who)),
        device=case.device,
        app=case.app,
        roles=case.roles,
        peer=case.peer,
        record=case.record,
        sends=frozenset(case.sends),
    )


def _strange_people(bundle: Bundle, case: Case) -> Iterator[Mismatch]:
    """Who asks, as what and with what, must be somebody and something the policy knows."""
    if case.who not in bundle.people and case.reason is not Reason.NOT_ON_ROSTER:
        known = [staff.removeprefix("staff:") for staff in bundle.people]
        got = _unknown(case.who.removeprefix("staff:"), known)
        yield _mismatch(case, "who", "somebody in staff.yaml", got)
    if case.app is not None and case.app not in bundle.apps:
        yield _mismatch(case, "app", "an app of gateway.yaml", _unknown(case.app, bundle.apps))
    for role in sorted((case.roles or frozenset()) - bundle.roles):
        yield _mismatch(case, "roles", "roles of staff.yaml", _unknown(role, bundle.roles))


def _strange_fields(bundle: Bundle, case: Case, answer: Explanation) -> Iterator[Mismatch]:
    """Fields must be of the resource that the request is about."""
    for key in ("hidden", "shown", "sends"):
        names = getattr(case, key)
        if not names:
            continue
        if answer.resource is None:
            yield _mismatch(case, key, "a route under rules", f"{answer.route or 'no route'}")
            continue
        resource = bundle.adapter.vocabulary.resources[answer.resource]
        known = (
            {*resource.maskable} if key == "sends" else {*resource.maskable, *_classes(resource)}
        )
        for name in names:
            if name not in known:
                expected = f"fields of `{resource.name}`"
                yield _mismatch(case, key, expected, _unknown(name, known))


def _mismatches(bundle: Bundle, case: Case, answer: Explanation) -> Iterator[Mismatch]:
    """Every expectation that is not met; what follows from a wrong decision is not told."""
    if case.allowed != answer.allowed:
        expected = "allow" if case.allowed else "deny"
        yield _mismatch(case, "decision", expected, _happened(answer))
        return
    if case.reason is not None and answer.stops[0].reason is not case.reason:
        yield _mismatch(case, "reason", case.reason, _stopped(answer))
    yield from _rule(bundle, case, answer)
    if answer.resource is not None:
        resource = bundle.adapter.vocabulary.resources[answer.resource]
        yield from _fields(case, resource, answer)


def _rule(bundle: Bundle, case: Case, answer: Explanation) -> Iterator[Mismatch]:
    """Is the named row one of those that determined the answer?"""
    if case.rule is None:
        return
    named = {rule.ref for rule in bundle.rules if _is(rule, case.rule)}
    said = case.rule if isinstance(case.rule, RuleRef) else _row_text(case.rule)
    by = list(answer.stops[0].by if answer.stops else answer.allowed_by)
    if answer.allowed:
        by += [ref for field in answer.hidden for ref in field.by]
    if not named:
        yield _mismatch(case, "rule", f"`{said}`", "no such row in the policy")
    elif named.isdisjoint(by):
        listed = ", ".join(dict.fromkeys(map(str, by))) or "no row at all"
        yield _mismatch(case, "rule", f"`{said}`", listed)


def _is(rule: Rule, named: RuleRef | Row) -> bool:
    return named == (rule.ref if isinstance(named, RuleRef) else row_of(*rule.row))


def _row_text(row: Row) -> str:
    who, resource, actions, when, effect = row
    return ", ".join(
        ("p", who, resource, "|".join(sorted(actions)), " & ".join(sorted(when)), effect)
    )


def _fields(case: Case, resource: Resource, answer: Explanation) -> Iterator[Mismatch]:
    """What shows and what does not."""
    hidden = {field.name: field for field in answer.hidden}
    if case.hidden is not None:
        wanted = _expand(resource, case.hidden)
        shows = [
            f"{name} ({', '.join(map(str, answer.opened_by.get(name, ())))})"
            for name in resource.maskable
            if name in wanted and name not in hidden
        ]
        more = [_why(field) for name, field in hidden.items() if name not in wanted]
        said = [f"not hidden: {', '.join(shows)}"] if shows else []
        said += [f"hidden too: {', '.join(more)}"] if more else []
        if said:
            expected = f"exactly {', '.join(case.hidden) or 'nothing'}"
            yield _mismatch(case, "hidden", expected, "; ".join(said))
    if case.shown is not None:
        wanted = _expand(resource, case.shown)
        less = [_why(field) for name, field in hidden.items() if name in wanted]
        if less:
            yield _mismatch(case, "shown", ", ".join(case.shown), f"hidden: {', '.join(less)}")


def _classes(resource: Resource) -> frozenset[str]:
    """Its classes that hold something; `unmapped` is a name of its own."""
    return resource.classes - {UNMAPPED}


def _expand(resource: Resource, names: Iterable[str]) -> frozenset[str]:
    """Fields, and the fields of classes."""
    wanted = frozenset(names)
    inside = (n for n, field in resource.fields.items() if field.field_class in wanted)
    return frozenset((*(wanted - _classes(resource)), *inside))


def _why(field: HiddenField) -> str:
    if field.unless:
        return f"{field.name} unless {field.unless} (give the case a `record`)"
    by = ", ".join(map(str, field.by)) or "no row shows it"
    return f"{field.name} ({by})"


def _happened(answer: Explanation) -> str:
    return "allow" if answer.allowed else f"deny, {_stopped(answer)}"


def _stopped(answer: Explanation) -> str:
    return f"{answer.stops[0].reason}: {answer.stops[0].detail}"


def _unknown(typed: str, known: Iterable[str]) -> str:
    return f"`{typed}`; {did_you_mean(typed, known)}"


def _mismatch(case: Case, key: str, expected: str, got: str) -> Mismatch:
    return Mismatch(key=key, place=case.at_key(key), expected=expected, got=got)
