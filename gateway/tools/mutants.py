"""Would the cases notice if a rule were gone, or did the opposite?

A case that passes proves little by itself: a policy that allows too much passes every case that
expects an allow. So each row is taken out, and each row of salon_rules.csv is turned round
(allow to deny, deny to allow), and the cases run again. A mutant that no case notices names a
row that no case holds.

Only the index is compiled anew: people, hours and the adapter are not what is changed. And
only cases are asked again whose questions the row can speak about; the others cannot tell.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.bundle import Bundle
from gateway.domain.resource import ANY, Vocabulary
from gateway.enforcer.index import READ, WRITE, compile_index, covers
from gateway.enforcer.rules import Effect, Origin, Rule
from gateway.tools.case_file import Case
from gateway.tools.cases import Result, run


class Change(StrEnum):
    """What is done to a row."""

    DELETED = "deleted"
    FLIPPED = "flipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Which rows had a say in some case.

    Attributes:
        rules: every row that there is.
    """

    rules: tuple[Rule, ...]
    uncovered: tuple[Rule, ...]

    @property
    def percent(self) -> int:
        """Rounded down: 100 is all of them."""
        return _percent(len(self.rules) - len(self.uncovered), len(self.rules))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One row changed.

    Attributes:
        noticed_by: a case that fails then; None = the mutant survives.
    """

    rule: Rule
    change: Change
    noticed_by: Case | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of all mutants."""

    mutants: tuple[Mutant, ...]

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """Those that no case notices."""
        return tuple(mutant for mutant in self.mutants if mutant.noticed_by is None)

    @property
    def killed(self) -> int:
        """How many some case notices."""
        return len(self.mutants) - len(self.survivors)

    @property
    def percent(self) -> int:
        """Rounded down: 100 is all of them."""
        return _percent(self.killed, len(self.mutants))


def coverage(bundle: Bundle, results: Iterable[Result]) -> Coverage:
    """Which rows had no say in any case?"""
    # With the card: `protected: [client, message]` on one line is two rows at one place.
    used = {
        (ref, card) for result in results for ref in result.used for card in (result.resource, ANY)
    }
    return Coverage(
        rules=bundle.rules,
        uncovered=tuple(
            rule
            for rule in bundle.rules
            if (rule.ref, rule.resource.partition(".")[0]) not in used
        ),
    )


def mutation_score(bundle: Bundle, results: Sequence[Result]) -> Score:
    """Change one row after the other and ask the cases again.

    Args:
        bundle: the policy.
        results: what became of the cases under it. Those that failed are left out: they
            would notice everything.
    """
    asked = [_Asked.of(bundle, result) for result in results if result.passed]
    mutants = []
    for rule in bundle.rules:
        for change in Change:
            rows = _changed(bundle, rule, change)
            if rows is not None:
                concerned = [case for case in asked if case.hears(rule, bundle.adapter.vocabulary)]
                noticed_by = _first_to_notice(bundle, rows, concerned)
                mutants.append(Mutant(rule=rule, change=change, noticed_by=noticed_by))
    return Score(mutants=tuple(mutants))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A case with everything that rows are asked for it.

    Attributes:
        subjects: the person's roles in each salon, with the person.
        questions: (target, action).
    """

    case: Case
    subjects: tuple[frozenset[str], ...] = ()
    questions: frozenset[tuple[str, str]] = frozenset()

    @staticmethod
    def of(bundle: Bundle, result: Result) -> "_Asked":
        """What a case asked; nothing where it did not come to the rules."""
        case = result.case
        if result.resource is None or result.action is None:
            return _Asked(case=case)
        resource = bundle.adapter.vocabulary.resources[result.resource]
        sent = [name for name in case.sends if name in resource.maskable]
        questions = [(resource.name, result.action)]
        questions += [(resource.target(name), READ) for name in resource.maskable]
        questions += [(resource.target(name), WRITE) for name in sent]
        return _Asked(
            case=case,
            subjects=tuple(post.held | {case.who} for post in bundle.people[case.who].posts),
            questions=frozenset(questions),
        )

    def hears(self, rule: Rule, vocabulary: Vocabulary) -> bool:
        """Can the row, or its opposite, speak about this case? A deny covers all of either."""
        return any(rule.who in subjects for subjects in self.subjects) and any(
            (ANY in rule.actions or action in rule.actions)
            and covers(rule.resource, target, Effect.DENY, vocabulary)
            for target, action in self.questions
        )


def _changed(bundle: Bundle, rule: Rule, change: Change) -> tuple[Rule, ...] | None:
    """All rows with one of them changed; None for a policy that would not load."""
    if change is Change.DELETED:
        return tuple(row for row in bundle.rules if row is not rule)
    if rule.origin is Origin.HOURS:
        return None  # hours.yaml has no way to write an allow
    effect = Effect.DENY if rule.effect is Effect.ALLOW else Effect.ALLOW
    if effect is Effect.DENY and not _may_deny(bundle.adapter.vocabulary, rule):
        return None
    flipped = replace(rule, effect=effect)
    return tuple(flipped if row is rule else row for row in bundle.rules)


def _may_deny(vocabulary: Vocabulary, rule: Rule) -> bool:
    """A deny on `*` may only ask for facts that every resource declares."""
    if rule.resource != ANY:
        return True
    facts = [{fact.name for fact in card.facts} for card in vocabulary.resources.values()]
    some, every = set().union(*facts), set[str]().union(*facts).intersection(*facts)
    return all(x.name in every or x.name not in some for x in rule.condition.literals)


def _first_to_notice(
    bundle: Bundle, rows: tuple[Rule, ...], concerned: list[_Asked]
) -> Case | None:
    if not concerned:
        return None
    people = dict.fromkeys(subjects for asked in concerned for subjects in asked.subjects)
    index = compile_index(rows, bundle.adapter.vocabulary, people, bundle.matcher)
    # Rulings are remembered from the rules as they are; nothing else in a bundle depends on them.
    mutated = replace(bundle, rules=rows, index=index)
    return next((a.case for a in concerned if not run(mutated, a.case).passed), None)


def _percent(part: int, whole: int) -> int:
    return part * 100 // whole if whole else 100
