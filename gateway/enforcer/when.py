"""`when`: a conjunction of named conditions, judged in three values.

A condition is True, False or not known (None). A conjunction with a false part is False,
otherwise with an unknown part unknown (Kleene). **Unknown never fires an allow and always
fires a deny, negated or not**: `fires` is the only place that says so.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.domain.access import REQUEST_CONDITIONS, Facts
from gateway.domain.finding import did_you_mean
from gateway.domain.resource import ANY

# Known from the request or from the salon's hours, by name.
PLAIN = REQUEST_CONDITIONS
MAX_LITERALS = 16  # nobody can read more; bounds the work of one row


class Literal(NamedTuple):
    """One condition of a conjunction, negated or not."""

    name: str
    negated: bool = False

    def __str__(self) -> str:
        return f"!{self.name}" if self.negated else self.name

    def value(self, facts: Facts) -> bool | None:
        """True, False, or None if the fact is not known."""
        known = facts.get(self.name)
        if known is None:
            return None
        return known is not self.negated


@dataclass(frozen=True, slots=True)
class Condition:
    """A conjunction; the empty one always holds."""

    literals: tuple[Literal, ...] = ()

    def __str__(self) -> str:
        return " & ".join(map(str, self.literals))

    def value(self, facts: Facts) -> bool | None:
        """Kleene conjunction: False beats unknown beats True."""
        result: bool | None = True
        for literal in self.literals:
            value = literal.value(facts)
            if value is False:
                return False
            if value is None:
                result = None
        return result

    def fires(self, facts: Facts, *, deny: bool) -> bool:
        """Does a row with this condition fire? Doubt fires a deny and never an allow."""
        value = self.value(facts)
        return value is not False if deny else value is True


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionNames:
    """The names a `when` may use.

    Attributes:
        apps: values of the token's `app` claim, as `app:<name>`.
        networks: networks of gateway.yaml, as `network:<name>`.
        roles: every declared role, with its `role:` prefix.
        facts: resource → the facts that its adapter declares of its records.
    """

    apps: Collection[str] = field(default_factory=frozenset)
    networks: Collection[str] = field(default_factory=frozenset)
    roles: Collection[str] = field(default_factory=frozenset)
    facts: Mapping[str, Collection[str]] = field(default_factory=dict)

    def of(self, resource: str, *, deny: bool) -> frozenset[str]:
        """Every name that a row on this resource, or on a part of it, may use.

        On `*`, an allow may ask for a fact that some resource declares: it opens nothing else.
        A deny may not: it would fire on all the others, where the fact is never known.
        """
        card = resource.partition(".")[0]
        if card != ANY:
            return self.request().union(self.facts.get(card, ()))
        declared = [frozenset(names) for names in self.facts.values()]
        if deny:
            return self.request().union(frozenset.intersection(*declared) if declared else ())
        return self.request().union(*declared)

    def request(self) -> frozenset[str]:
        """Every name that is known before the CRM answers."""
        return frozenset(
            {
                *PLAIN,
                *(f"app:{name}" for name in self.apps),
                *(f"network:{name}" for name in self.networks),
                *self.roles,
            }
        )


class ConditionError(ValueError):
    """A `when` that cannot be read.

    Attributes:
        offset: counts characters from its start.
        name: the condition that is not known; "" if something else is wrong.
    """

    def __init__(self, message: str, offset: int, name: str = "") -> None:
        super().__init__(message)
        self.offset = offset
        self.name = name


def parse_condition(text: str, names: frozenset[str]) -> Condition:
    """Read a `when` column.

    Args:
        text: names joined by `&`, each optionally after one `!`; empty = always.
        names: every name that may stand in it.

    Raises:
        ConditionError: an unknown name, an empty part, `|` or too many conditions.
    """
    if not text.strip():
        return Condition()
    literals = []
    offset = 0
    for part in text.split("&"):
        at = offset + len(part) - len(part.lstrip())
        literals.append(_literal(part.strip(), names, at))
        offset += len(part) + 1
    if len(literals) > MAX_LITERALS:
        raise ConditionError(f"more than {MAX_LITERALS} conditions; split the rule", 0)
    return Condition(tuple(dict.fromkeys(literals)))


def _literal(typed: str, names: frozenset[str], at: int) -> Literal:
    """Read one condition, refusing whatever is not exactly a known name."""
    negated = typed.startswith("!")
    name = typed[1:].strip() if negated else typed
    if not name:
        raise ConditionError("a condition is missing; write names joined by `&`", at)
    if "|" in name:
        raise ConditionError(
            "conditions are joined by `&` only; write one rule per alternative", at
        )
    if name not in names:
        message = f"unknown condition `{name}`; {did_you_mean(name, names)}"
        raise ConditionError(message, at, name)
    return Literal(name, negated)
