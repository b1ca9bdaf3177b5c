"""Where a rule stands, so that a person can go and look: `salon_rules.csv:41`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class RuleRef:
    """A file of the owner's and a line in it, 1-based, as editors count."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"
