"""How an adapter writes a route's address: `GET /api/clients/{id}`, `GET /assets/**`.

A segment is literal, or `{name}` for exactly one plain segment, or a final `**` for one or
more of any kind. `{id}` names the record. What ends with `/` matches addresses that do. No
regular expressions: an owner cannot see what one lets through. Nothing begins with `/_salon`:
that is the gateway's own.
"""

import string
from dataclasses import dataclass

from gateway.domain.subject import is_name
from gateway.mapping.target import is_segment

RESERVED = "_salon"  # the first segment of the gateway's own pages on the guarded port
RECORD = "id"  # the parameter that names the record
REST = "**"
# HEAD is not here: a GET route answers it.
ROUTE_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Slot:
    """`{name}`: one segment, whatever it is."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the CRM reads addresses, as its adapter says (`paths`).

    Attributes:
        any_case: `/Clients` is `/clients` to it, of the letters A to Z. Of others nobody knows.
        any_end: `/clients/` is `/clients` to it.
    """

    any_case: bool = False
    any_end: bool = False

    def literal(self, segment: str) -> str:
        """One spelling for all those of a literal segment that are the same to the CRM."""
        return segment.translate(_LOWER) if self.any_case else segment

    def ending(self, *, slash: bool) -> bool:
        """Does a trailing slash make another address?"""
        return slash and not self.any_end


EXACT = Reading()
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
Shape = tuple[str, tuple[str | None, ...], bool, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A route's method and path.

    Attributes:
        text: as written.
        steps: literal segments, decoded, and slots.
        rest: it ends in `**`, which is not among the steps.
        slash: it ends in `/`; never of `/` itself.
    """

    text: str
    method: str
    steps: tuple[str | Slot, ...]
    rest: bool
    slash: bool = False

    @property
    def shape(self) -> Shape:
        """What it matches, as written."""
        return self.shape_to(EXACT)

    def shape_to(self, reading: Reading) -> Shape:
        """What it matches to this CRM: equal shapes match the same requests."""
        bare = tuple(None if isinstance(s, Slot) else reading.literal(s) for s in self.steps)
        return self.method, bare, self.rest, reading.ending(slash=self.slash)

    @property
    def record_at(self) -> int | None:
        """Which segment names the record."""
        return self.steps.index(Slot(RECORD)) if Slot(RECORD) in self.steps else None


def parse_pattern(text: str) -> Pattern:
    """Read a `match`.

    Raises:
        ValueError: what is wrong, as a finding says it.
    """
    method, _, path = text.partition(" ")
    if method == "HEAD":
        raise ValueError("a `GET` route answers `HEAD` too; write `GET`")
    if method not in ROUTE_METHODS or not path.startswith("/"):
        known = ", ".join(ROUTE_METHODS)
        raise ValueError(f"`{text}` must be a method ({known}), one space and a path")
    if "?" in path:
        raise ValueError(f"`{text}` holds a `?`; declare parameters under `query`")
    slash = path.endswith("/") and path != "/"
    parts = (path[1:-1] if slash else path[1:]).split("/") if path != "/" else []
    rest = bool(parts) and parts[-1] == REST
    steps = tuple(_step(part, text) for part in (parts[:-1] if rest else parts))
    # In any case: to a CRM that reads it so, it would be the same address.
    if steps and isinstance(steps[0], str) and steps[0].lower() == RESERVED:
        raise ValueError(
            f"`{text}` would never reach the CRM: `/{RESERVED}` is the gateway's own; if the CRM "
            "has an address like that, it cannot be served"
        )
    slots = [step.name for step in steps if isinstance(step, Slot)]
    twice = sorted({name for name in slots if slots.count(name) > 1})
    if twice:
        raise ValueError(f"`{text}` has two segments named `{{{twice[0]}}}`")
    return Pattern(text=text, method=method, steps=steps, rest=rest, slash=slash)


def _step(part: str, text: str) -> str | Slot:
    if not part:
        raise ValueError(f"`{text}` has an empty segment; `//` is refused")
    if part == REST:
        raise ValueError(f"`{text}` has a `**` that is not last")
    if part.startswith("{") and part.endswith("}"):
        if not is_name(part[1:-1]):
            raise ValueError(f"`{part}` must name its segment: `{{id}}`, `{{client}}`")
        return Slot(part[1:-1])
    if "*" in part or "{" in part or "}" in part:
        raise ValueError(f"`{part}` must be plain text, `{{name}}` or a final `**`")
    if not is_segment(part):
        raise ValueError(f"`{part}` can never arrive as a path segment; write it decoded")
    return part
