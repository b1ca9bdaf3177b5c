"""What the core asks of the world: small Protocols, implemented in `backends/`.

Each has one contract suite in tests/contract/ that every implementation runs. None of
them decides anything. All of them fail by raising the error named here, in bounded time.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from gateway.audit.entry import Entry
from gateway.domain.access import WindowState
from gateway.domain.decision import Clearance
from gateway.domain.http import CanonicalTarget, Channel, Headers
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId, Principal, Role, StaffId
from gateway.domain.time import Instant
from gateway.identity.devices import Known
from gateway.identity.incident import Incident
from gateway.identity.keys import KeyTable
from gateway.identity.locks import Lock


class Clock(Protocol):
    """The only way to learn the time."""

    def now(self) -> Instant:
        """The current instant, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, for durations only."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """One line of `session list`.

    Attributes:
        device: None for the row that stands for the person.
        floor: a token is current iff its epoch is at least this.
        changed_at: when the row was enrolled or last revoked.
    """

    staff: StaffId
    device: DeviceId | None
    floor: int
    changed_at: Instant


DEVICE_FLOOR_DAYS = 400  # more than a year, so that a list of them shows one


class EpochStore(Protocol):
    """Device-session epochs: who has been logged out since which token.

    One counter per person, one floor per person and one per device of theirs. A token
    carries the counter's value at its issue and is current iff
    `token.epoch >= max(person floor, floor of its device)`.

    Counters start at the milliseconds of the enrolment, so a store that lost its memory
    can only ever start higher: a flush revives no revoked token. Where a store can come back with
    an older memory (a Redis), it raises StateUnavailableError until it has been repaired, and
    then knows nobody.

    A write also forgets devices of the same person whose floor says nothing that the person's
    does not say, unless they changed in the last DEVICE_FLOOR_DAYS. No floor changes by that.

    Every method raises StateUnavailableError when the store cannot answer in time.
    """

    async def floor(self, staff: StaffId, device: DeviceId | None) -> int | None:
        """The least epoch that is current, or None if the store does not know the person.

        None is refused by the caller, never taken for zero. A device never seen has no
        floor of its own: the person's counts.
        """
        ...

    async def enrol(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Make the person (and device) known, if new; return the epoch for a new token."""
        ...

    async def revoke(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Log out: raise the floor of the person, or of one device, above every issued epoch.

        Works for people the store does not know (they become known). Returns the new floor.
        """
        ...

    async def version(self) -> int | str:
        """Another value whenever any floor may have changed since it was last asked.

        By whomever, in this process or another; by the loss of everything, too. No value stands
        for two states, so equal answers mean that nothing changed between them, or that it was
        undone. To be compared with earlier answers of the same object only.
        """
        ...

    async def rows(self) -> Sequence[EpochRow]:
        """Everything known, people first, ordered by name."""
        ...

    async def check(self) -> None:
        """Raise StateUnavailableError unless the store can answer now (`/readyz`)."""
        ...

    async def close(self) -> None:
        """Release connections and files."""
        ...


class Kind(StrEnum):
    """What a document of the state is about."""

    LOCK = "lock"  # by person: locked, or seen out; under `incident`: the whole house
    ACCOUNT = "account"  # by person: how they sign in
    ATTEMPTS = "attempts"  # how often a sign-in failed lately
    SIGN_IN = "sign_in"  # a session of the console
    LEARNED = "learned"  # by keyed hash: a credential that the CRM issued
    DEVICE = "device"  # by person: their devices, seen when, approved by whom
    GRANT = "grant"  # by person: the last time that they broke the glass
    GRANT_PAST = "grant_past"  # by its id: a time that was reviewed
    NOTICE = "notice"  # by grant and channel: what managers are still to be told
    SPENT = "spent"  # by keyed hash: what counts once: a sign-in elsewhere, a logout token
    PROVIDER_SESSION = "provider_session"  # by keyed hash: which device a provider let in
    DEVICE_NOTICE = "device_notice"  # by device and channel: a new one, still to be told of
    SESSION_SEEN = "session_seen"  # by keyed hash: a session of another issuer, when first seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A document as the store has it.

    Attributes:
        revision: of this key, from 1, one more with each write.
        expires: when it is gone by itself; None = never. To the millisecond, rounded down.
    """

    value: bytes
    revision: int
    expires: Instant | None = None


class DocumentStore(Protocol):
    """Small documents, by kind and key: what the gateway was told, or has learned, of people.

    Every write compares and sets: it says which revision it replaces, and nothing is written
    if that is not the one that stands there. What expires is gone at that instant, and never
    told again. A document has at most MAX_DOCUMENT_BYTES, a key is 1 to 200 printable ASCII
    characters; ValueError otherwise.

    A store that lost its memory must not tell `None` for what was a lock: where it can lose it
    (a flushed or replaced Redis), it raises StateUnavailableError until an operator has said
    `salon-gateway state repair`.

    Every method raises StateUnavailableError when the store cannot answer in time.
    """

    async def get(self, kind: Kind, key: str, now: Instant) -> Kept | None:
        """The document, or None if there is none (any more)."""
        ...

    async def put(
        self,
        kind: Kind,
        key: str,
        value: bytes,
        *,
        replaces: int | None,
        now: Instant,
        expires: Instant | None = None,
    ) -> Kept | None:
        """Write it, durably; None = another one stands there than `replaces` says.

        `replaces` is the revision that was read, None where there was none; `expires` is when it
        is gone by itself, None = never.
        """
        ...

    async def remove(self, kind: Kind, key: str, *, replaces: int, now: Instant) -> bool:
        """Remove it; False = another one, or none, stands there. Nothing is removed then."""
        ...

    async def all(self, kind: Kind, now: Instant) -> Mapping[str, Kept]:
        """Every document of a kind, by key."""
        ...

    async def version(self) -> int | str:
        """As EpochStore's: another value whenever any document may have changed."""
        ...

    async def check(self) -> None:
        """Raise StateUnavailableError unless the store can answer now."""
        ...

    async def close(self) -> None:
        """Release connections and files."""
        ...


MAX_DOCUMENT_BYTES = 16 * 2**10


class Locks(Protocol):
    """Who is locked out or has left, at hand: one look for each request."""

    async def get(self, key: str) -> Lock | None:
        """What is said of a member of the staff; None = nothing.

        Raises:
            StateUnavailableError: it cannot be told, which is never taken for nothing.
        """
        ...


class Lockdown(Protocol):
    """The last incident, at hand: one look for each request."""

    async def current(self) -> Incident | None:
        """The last incident, active or not; None = there never was one.

        Raises:
            StateUnavailableError: it cannot be told, which is never taken for none.
        """
        ...


class Devices(Protocol):
    """What the registry of devices says of people, at hand: one look for each request."""

    async def of(self, staff: StaffId) -> Known:
        """What is known of a person's devices.

        Raises:
            StateUnavailableError: it cannot be told, which is never taken for nothing.
        """
        ...

    def seen(
        self, principal: Principal, known: Known, peer: str | None, now: Instant, *, admitted: bool
    ) -> None:
        """Note that somebody came; written down later, and no harm if it is lost.

        Args:
            principal: who, with which device and app.
            known: what `of` said of them for this request.
            peer: from which address; None = that cannot be told.
            now: when.
            admitted: were they let in? Whoever is not, is not seen.
        """
        ...


class KeySet(Protocol):
    """The keys of one other issuer of tokens, as far as they are known here."""

    def current(self) -> KeyTable | None:
        """The keys that count now; None = none does. The same object as long as they are the same.

        Never older than the owner allows: keys that cannot be asked for any more end.
        """
        ...

    async def renewed(self) -> KeyTable | None:
        """As `current`, after a fresh look if the last one is long enough ago.

        For a token that names an unknown key. Never raises, and returns in bounded time.
        """
        ...


class UpstreamAnswer(Protocol):
    """The CRM's answer: head at once, body once, whole or as a stream."""

    @property
    def status(self) -> int:
        """HTTP status code."""
        ...

    @property
    def headers(self) -> Headers:
        """Headers as they came, in order."""
        ...

    async def read(self, max_bytes: int) -> bytes:
        """The whole body, still encoded as it came.

        Raises:
            UpstreamError: ANSWER_TOO_LARGE, UPSTREAM_TIMEOUT, or UPSTREAM_INVALID when the
                connection broke before the announced end.
        """
        ...

    def arrived(self) -> bytes | None:
        """The whole body, if all of it is here already and is small; None = it is not.

        Takes the body, as `read` does, where it gives it.
        """
        ...

    def stream(self) -> AsyncIterator[bytes]:
        """Chunk by chunk; raises UpstreamError if the body breaks off."""
        ...

    async def close(self) -> None:
        """Give the connection back, or drop it if the body was not read. Safe to call twice."""
        ...


class Upstream(Protocol):
    """The CRM behind the gateway. Forwards; decides nothing."""

    async def send(
        self,
        clearance: Clearance,
        *,
        method: str,
        target: CanonicalTarget,
        headers: Headers,
        body: bytes | AsyncIterator[bytes] | None,
        length: int | None = None,
    ) -> UpstreamAnswer:
        """Forward one request: these headers and no others, these bytes of the target.

        Takes a clearance, so a refused request cannot be forwarded by mistake. `length` is that
        of a body that is streamed, None if nobody has said it; one that turns out to be another
        is never ended.

        Raises:
            UpstreamError: UPSTREAM_UNREACHABLE, UPSTREAM_TIMEOUT or UPSTREAM_INVALID.
        """
        ...

    async def converse(
        self,
        clearance: Clearance,
        *,
        target: CanonicalTarget,
        headers: Headers,
        subprotocols: tuple[str, ...],
    ) -> Channel:
        """Open a WebSocket to the CRM: these headers, the handshake's own, and no others.

        Raises:
            UpstreamError: as `send`; UPSTREAM_INVALID where the CRM does not shake hands.
        """
        ...

    async def check(self) -> None:
        """Raise UpstreamError unless a connection can be opened now (`/readyz`)."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class AuditTrail(Protocol):
    """Where audit entries go."""

    async def append(self, entry: Entry) -> None:
        """Make the entry durable: it is on disk when this returns.

        Raises:
            AuditUnavailableError: it is not, for whatever reason.
        """
        ...

    async def check(self) -> None:
        """Raise AuditUnavailableError unless an entry could be written now (`/readyz`)."""
        ...

    async def close(self) -> None:
        """Flush and close."""
        ...


class Labels(Struct, frozen=True, kw_only=True):
    """The labels of one answered request: all of closed sets, none of them a person or path."""

    role: Role | None
    resource: str | None
    action: str | None
    reason: Reason
    window: WindowState | None
    status: int


class LoadFault(StrEnum):
    """Why the files on disk did not become the policy in force."""

    UNREADABLE = "unreadable"  # a file is not there, or cannot be read as it stands
    FINDINGS = "findings"  # what `salon-gateway check` names
    CASES = "cases"  # it can be built, but a check of what it decides fails
    INTERNAL = "internal"  # a reader failed: a bug of ours


class BreakGlassStep(StrEnum):
    """What became of a card outside the window."""

    ASKED = "asked"
    REFUSED = "refused"  # asked for, and not given
    USED = "used"  # a request that was let through by it
    REVIEWED = "reviewed"


class NoticeOutcome(StrEnum):
    """What became of telling managers of it, one way."""

    TOLD = "told"
    FAILED = "failed"  # it is tried again
    GIVEN_UP = "given_up"


class Meter(Protocol):
    """Metrics. Every name stands in `backends/meter.py`. Never raises."""

    def answered(self, labels: Labels, seconds: float) -> None:
        """Count one request and its total duration."""
        ...

    def unauthenticated(self, cause: Cause) -> None:
        """Count a refused credential by what was wrong with it."""
        ...

    def decided(self, seconds: float) -> None:
        """Observe how long a decision took."""
        ...

    def forwarded(self, seconds: float) -> None:
        """Observe how long the CRM took, to the end of its answer."""
        ...

    def exempt_access(self, role: Role, resource: str) -> None:
        """Count an access outside hours that an exempt role allowed."""
        ...

    def after_hours_attempt(self, role: Role, resource: str) -> None:
        """Count an access that the window refused."""
        ...

    def dropped(self, resource: str, field_class: str, count: int) -> None:
        """Count values that left an answer, by field class (`-` for fields without one)."""
        ...

    def records_refused(self, resource: str, count: int) -> None:
        """Count records that were kept back: they exist, but their facts or salon refuse."""
        ...

    def records_unmatched(self, resource: str, count: int) -> None:
        """Count records left out since only what is hidden of them answers the question."""
        ...

    def would_deny(self, role: Role, resource: str, action: str, reason: Reason) -> None:
        """Count a request that passed because what would have refused it is only observed."""
        ...

    def would_hide(self, resource: str, field_class: str, count: int) -> None:
        """Count values that stayed because what would have hidden them is only observed."""
        ...

    def would_refuse_records(self, resource: str, count: int) -> None:
        """Count records that were shown because what would keep them back is only observed."""
        ...

    def would_unknown(self, resource: str) -> None:
        """Count a request of which nobody can say what observed rules would have done."""
        ...

    def observing(self, until: Sequence[tuple[str, Instant]]) -> None:
        """Set what is observed: `rule`, `hours` or `everything`, each until an instant."""
        ...

    def policy_loaded(self, digest: str, at: Instant) -> None:
        """A policy came into force."""
        ...

    def policy_load_failed(self, why: LoadFault, since: Instant) -> None:
        """A policy did not load; the one before stays in force, stale since then."""
        ...

    def break_glass(self, step: BreakGlassStep, resource: str) -> None:
        """Count a step on the way of a card outside the window."""
        ...

    def notice(self, way: str, outcome: NoticeOutcome) -> None:
        """Count a try at telling managers of it: `webhook` or `smtp`."""
        ...

    def stream_cut(self) -> None:
        """Count an answer that had begun and was cut off, because a new policy refuses it."""
        ...

    def calendars_missing(self, count: int) -> None:
        """Set how many salons have no calendar."""
        ...

    def incident(self, *, active: bool) -> None:
        """Set whether a lockdown keeps everybody but the owners out."""
        ...

    def up(self, part: str, *, ok: bool) -> None:
        """Set what the readiness check found: `policy`, `state`, `audit` or `upstream`."""
        ...
