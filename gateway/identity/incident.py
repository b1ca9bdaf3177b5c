"""A lockdown: nobody but owners passes, and no session from before it is ever current again.

    nothing     there never was one
    active      whoever does not hold one of the owners' roles is refused, whatever else is so
    ended       everybody may sign in anew; the floor stays, so that nothing comes back by itself

One document says it for everybody, so it begins for all at once, however many they are. It is
kept after its end: `floor` is an epoch below which no session counts, whoever's it is. It begins
above the clock, and is *settled* once it is above every epoch that anybody was given before the
start, by a gateway whose clock is ahead, too. Until it is settled nobody begins a session, and
the lockdown cannot end.

THEOREMS (tests/properties/test_incident.py, against tests/oracles/slow_incident.py):
  between a start and its end only owners pass, whatever else is done meanwhile;
  the floor never sinks, and after a settled start it is above every epoch given out before;
  starting again what is active, and ending what has ended, changes nothing but the contact line.

House rules: pure. No clock is asked: it begins when it is written, also where a clock is behind.
A document is read back exactly as it was written, or not at all: what cannot be read is a state
store that cannot answer, never the absence of a lockdown.
"""

from collections.abc import Iterable

import msgspec

from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import Reason
from gateway.domain.subject import Principal, Role, is_name
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.settings import MAX_CONTACT

# Among the locks, so that it is kept as they are: what forgets no lock forgets no incident. No
# person's key is like it, they begin with `staff:`.
KEY = "incident"
OWNERS = frozenset({Role("role:owner")})
MAX_REASON = 300  # characters
_LAST = 253_370_764_800_000  # milliseconds: the year 9999 begins
_MAX_FLOOR = _LAST + 86_400_000  # a day into it: an instant is still to be made of it


class Incident(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The last lockdown there was.

    Attributes:
        number: 1 for the first one ever, one more for each that begins.
        since: milliseconds since 1970: when it began.
        by: who began it; None = somebody on the gateway's own machine.
        reason: one line for those who read it later; nobody is shown it who is kept out.
        contact: one line for those who are kept out: whom to call. "" = none.
        floor: no session with a lesser epoch is current, now or later.
        settled: the floor is above every epoch given out before the start.
        ended: milliseconds since 1970; None = it is active.
        ended_by: as `by`.
    """

    number: int
    since: int
    by: str | None
    reason: str
    contact: str
    floor: int
    settled: bool = False
    ended: int | None = None
    ended_by: str | None = None

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError("incidents are counted from 1")
        if not is_reason(self.reason):
            raise ValueError(f"a reason has 1 to {MAX_REASON} printable characters")
        if not is_contact(self.contact):
            raise ValueError(f"a contact line has up to {MAX_CONTACT} printable characters")
        for who in (self.by, self.ended_by):
            if who is not None and (who[:6] != "staff:" or not is_name(who[6:])):
                raise ValueError("an incident is begun and ended by `staff:...`, or by nobody")
        for moment in (self.since, self.ended):
            if moment is not None and not 0 <= moment <= _LAST:
                raise ValueError("an instant lies between 1970 and 9999")
        if not self.since < self.floor <= _MAX_FLOOR:
            raise ValueError("the floor is above the clock")
        if self.ended is None:
            if self.ended_by is not None:
                raise ValueError("nobody has ended what is active")
        elif not self.settled:
            raise ValueError("only what is settled has ended")

    @property
    def is_active(self) -> bool:
        """Is everybody but the owners kept out?"""
        return self.ended is None

    @property
    def began(self) -> Instant:
        """When it began."""
        return from_milliseconds(self.since)


def is_reason(text: str) -> bool:
    """May this be the reason of an incident?"""
    return 1 <= len(text) <= MAX_REASON and text.isprintable() and not text.isspace()


def is_contact(text: str) -> bool:
    """May this be its contact line? "" is none."""
    return len(text) <= MAX_CONTACT and text.isprintable()


def require_admitted(
    held: Iterable[Role], incident: Incident | None, owners: frozenset[Role]
) -> None:
    """Let pass whoever holds one of the owners' roles, and everybody where nothing is active.

    Args:
        held: every role of the person, in whatever salon, inherited ones included.
        incident: what the state says; None = there never was one.
        owners: the roles that are let pass.

    Raises:
        RequestError: INCIDENT; its detail is the contact line.
    """
    if incident is None or not incident.is_active or not owners.isdisjoint(held):
        return
    raise RequestError(Reason.INCIDENT, incident.contact)


def require_no_incident(
    principal: Principal, incident: Incident | None, owners: frozenset[Role]
) -> None:
    """The same, of somebody who asks.

    What they *hold* counts, as for denies: a token that narrows an owner to fewer roles still
    is an owner's, and gets no more than these roles allow.

    Raises:
        RequestError: as `require_admitted`.
    """
    held = (role for post in principal.posts for role in post.held)
    require_admitted(held, incident, owners)


# -- what an act makes of what was said before --------------------------------------------


def begun(
    before: Incident | None, now: Instant, by: str | None, *, reason: str, contact: str
) -> Incident:
    """Begin one. Of one that is active it leaves all but the contact line, if one is given."""
    if before is not None and before.is_active:
        return msgspec.structs.replace(before, contact=contact or before.contact)
    since = to_milliseconds(now)
    earlier = 0 if before is None else before.floor
    return Incident(
        number=1 if before is None else before.number + 1,
        since=since,
        by=by,
        reason=reason,
        contact=contact,
        floor=max(earlier, since) + 1,
    )


def settled(before: Incident | None, number: int, highest: int) -> Incident | None:
    """Put the floor above every epoch there is.

    Args:
        before: as it stands.
        number: of the incident whose start the epochs were looked at for; another is left alone.
        highest: the highest epoch of anybody, read when every gateway had heard of the start.

    Raises:
        StateUnavailableError: no floor is above that.
    """
    if before is None or before.number != number or before.settled:
        return before
    if not 0 <= highest < _MAX_FLOOR:
        raise StateUnavailableError("the state holds an epoch that none can be above")
    return msgspec.structs.replace(before, settled=True, floor=max(before.floor, highest + 1))


def ended(before: Incident | None, now: Instant, by: str | None) -> Incident | None:
    """End it. What is not settled yet stays active; what has ended stays as it is."""
    if before is None or not before.is_active or not before.settled:
        return before
    return msgspec.structs.replace(before, ended=to_milliseconds(now), ended_by=by)


# -- as a document ------------------------------------------------------------------------


def render_incident(incident: Incident) -> bytes:
    """The one form in which it is kept."""
    return _ENCODER.encode(incident)


def parse_incident(data: bytes) -> Incident:
    """Read it back.

    Raises:
        StateUnavailableError: it is not exactly what `render_incident` writes. Whether somebody
            has closed the house is not known then.
    """
    try:
        incident = _DECODER.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StateUnavailableError("the incident in the state cannot be read") from None
    if _ENCODER.encode(incident) != data:
        raise StateUnavailableError("the incident in the state is written in another form")
    return incident


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Incident)
