"""What another policy would have changed, for people and for programs: alike ones together."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.audit.chain import stamp
from gateway.cli.audit import fold
from gateway.cli.trail import printable
from gateway.domain.subject import StaffId
from gateway.domain.time import Instant
from gateway.tools.recorded import Left, Recorded
from gateway.tools.replay import Change, Kind

MAX_GROUPS = 10_000  # nobody reads as many; what comes then is counted together
HEADLINES = {
    Kind.REFUSED: "would be refused",
    Kind.MAY_REFUSE: "may be refused",
    Kind.LET_THROUGH: "would be let through",
    Kind.MAY_LET_THROUGH: "may be let through",
    Kind.OTHER_REASON: "refused for another reason",
    Kind.MASK: "shows something else",
}
REASONS = {
    Left.QUESTION: "what a question asked about is not kept",
    Left.BODY: "what was wrong with a body is not kept",
    Left.WIRE: "no request that rules are asked about",
    Left.IDENTITY: "nobody known asked",
    Left.CRM: "the rules let it through, the CRM's answer failed",
    Left.GATEWAY: "the gateway failed",
    Left.TALLY: "refusals of strangers without a line of their own",
}
_ORDER = {kind: place for place, kind in enumerate(Kind)}


@dataclass(slots=True)
class Group:
    """Changes that differ only in who, when and which record."""

    example: Change
    first: Instant
    last: Instant
    count: int = 0
    people: set[StaffId] = field(default_factory=set)

    def add(self, recorded: Recorded) -> None:
        """One more."""
        self.count += 1
        self.first, self.last = min(self.first, recorded.at), max(self.last, recorded.at)
        if recorded.staff is not None:
            self.people.add(recorded.staff)


class Groups:
    """Every change that was found, as many as there are kinds of them."""

    def __init__(self) -> None:
        self._known: dict[object, Group] = {}
        self.count = 0

    def add(self, change: Change) -> None:
        """Put it to those that are alike."""
        key: object = _key(change)
        if key not in self._known and len(self._known) >= MAX_GROUPS:
            key = change.kind
        at = change.recorded.at
        self._known.setdefault(key, Group(change, at, at)).add(change.recorded)
        self.count += 1

    def listed(self) -> list[Group]:
        """By kind, most frequent first."""
        return sorted(
            self._known.values(),
            key=lambda group: (_ORDER[group.example.kind], -group.count, group.first),
        )


def _key(change: Change) -> object:
    then = change.recorded
    return (
        change.kind,
        then.method,
        asked(then),
        then.reason,
        then.would,
        change.reason,
        change.by,
        change.hides,
        change.shows,
        change.may_hide,
        change.may_show,
        change.fewer,
        change.more,
        change.unrecorded,
    )


def asked(recorded: Recorded) -> str:
    """The route, or the path of a request without one: `GET /api/clients/{id}`."""
    if recorded.route is not None:
        return recorded.route
    return printable(f"{recorded.method} {fold(recorded.path or '-')}")


def in_words(change: Change) -> str:
    """What becomes of it, in one sentence."""
    then = change.recorded
    said = list(_verdict(change))
    for names, does in (
        (change.hides, "hides {}"),
        (change.shows, "shows {}"),
        (change.may_hide, "may hide {} of some records"),
        (change.may_show, "may show {} of some records"),
    ):
        if names:
            said.append(does.format(", ".join(names)))
    if change.fewer:
        said.append("may keep records back")
    if change.more:
        said.append("may show records that were kept back")
    if change.unrecorded:
        said.append(f"it depends on {', '.join(change.unrecorded)}, which nobody noted")
    if then.would is not None:
        said.append(f"observed rules would have refused it: {then.would}")
    return "; ".join(said)


def _verdict(change: Change) -> Iterator[str]:
    by = f" ({', '.join(map(str, change.by))})" if change.by else ""
    if change.kind is Kind.OTHER_REASON:
        yield f"{change.recorded.reason} then, now {change.reason}{by}"
    elif change.kind in {Kind.LET_THROUGH, Kind.MAY_LET_THROUGH}:
        yield f"{change.recorded.reason} then{by}"
    elif change.kind is not Kind.MASK:
        yield f"{change.reason}{by}"


def lines_of(group: Group) -> Iterator[str]:
    """A group for people."""
    change = group.example
    yield (
        f"{HEADLINES[change.kind]}: {group.count} x {asked(change.recorded)}: {in_words(change)}"
    )
    first, last = _time(group.first), _time(group.last)
    when = first if first == last else f"{first} to {last}"
    yield (
        f"    {when}: {', '.join(sorted(group.people))}; "
        f"explain --entry {printable(change.recorded.request_id)}"
    )


def as_data(change: Change) -> dict[str, Any]:
    """A change for programs."""
    then = change.recorded
    return {
        "kind": change.kind.value,
        "asked": asked(then),
        "method": then.method,
        "resource": then.resource,
        "action": then.action,
        "then": then.reason.value,
        "would_then": then.would.value if then.would else None,
        "now": change.reason.value,
        "rules": list(map(str, change.by)),
        "hides": list(change.hides),
        "shows": list(change.shows),
        "may_hide": list(change.may_hide),
        "may_show": list(change.may_show),
        "may_keep_records_back": change.fewer,
        "may_show_more_records": change.more,
        "depends_on": list(change.unrecorded),
    }


def group_as_data(group: Group) -> dict[str, Any]:
    """A group for programs."""
    return as_data(group.example) | {
        "count": group.count,
        "first": stamp(group.first),
        "last": stamp(group.last),
        "people": sorted(group.people),
        "example": group.example.recorded.request_id,
    }


def _time(at: Instant) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
