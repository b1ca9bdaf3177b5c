"""`when`: a conjunction of named conditions, judged in three values.

A condition is True, False or not known (None). A conjunction with a false part is False,
otherwise with an unknown part unknown (Kleene). **Unknown never fires an allow and always
fires a deny, negated or not**: `fires` is the only place that says so.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from gateway.domain.access import Facts
from gateway.domain.finding import did_you_mean

# Known from the request or from the salon's hours, by name.
PLAIN = frozenset(
    {"approved_device", "on_notice", "nda_signed", "trained", "inside_window", "outside_window"}
)
MAX_LITERALS = 16  # nobody can read more; bounds the work of one row


@dataclass(frozen=True, slots=True)
class Literal:
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
    """

    apps: Collection[str] = field(default_factory=frozenset)
    networks: Collection[str] = field(default_factory=frozenset)
    roles: Collection[str] = field(default_factory=frozenset)

    def all(self) -> frozenset[str]:
        """Every usable name."""
        return frozenset(
            {
                *PLAIN,
                *(f"app:{name}" for name in self.apps),
                *(f"network:{name}" for name in self.networks),
                *self.roles,
            }
        )


class ConditionError(ValueError):
    """A `when` that cannot be read. `offset` counts characters from its start."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


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
        raise ConditionError(f"unknown condition `{name}`; {did_you_mean(name, names)}", at)
    return Literal(name, negated)
