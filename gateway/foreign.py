"""Who asks with a token of another issuer: chosen, verified, and given an epoch of ours.

choose (by the unverified `iss`) -> verify (under that issuer's keys, for its audience) -> seen?

INVARIANTS, each with a test of its name in tests/attacks/test_foreign.py:
* an issuer's key verifies that issuer's tokens only, whatever ids two of them give their keys;
* a key that its issuer has withdrawn verifies nothing, not even what it verified before;
* a token of before a forced logout is out, seen or not; and so is its session for good;
* who is not on the roster leaves nothing behind in the state.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final, Generic, TypeVar

from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.login import NOTHING_MORE, Passing
from gateway.domain.reason import Cause
from gateway.domain.subject import StaffId
from gateway.domain.time import Instant
from gateway.identity.claims import ClaimNames, Claims, ForeignClaims, TokenPolicy
from gateway.identity.compact import refuse
from gateway.identity.foreign import (
    Seen,
    claims_of,
    decode,
    device_of,
    encode,
    first_seen,
    issuer_named,
    lasting,
    remembered_until,
    session_key,
)
from gateway.identity.keys import KeyTable
from gateway.identity.verified import VerifiedForeign, VerifiedTokens
from gateway.ports import DocumentStore, EpochStore, Kept, KeySet, Kind

MAX_AT_HAND = 8192  # of each generation: sessions; whose tokens are
PUT_TRIES = 8

T = TypeVar("T")


class Missing(Enum):
    """Nothing was kept: also of what may be None."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignIssuer:
    """One other issuer, as gateway.yaml names it.

    Attributes:
        names: its claims; `epoch` None = it knows none of ours.
        leeway_seconds: for clocks that differ.
    """

    issuer: str
    audience: str
    keys: KeySet
    names: ClaimNames
    leeway_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """Who asks, by such a token. Nothing of the CRM's own passes with it."""

    claims: Claims
    passing: Passing = NOTHING_MORE


class Foreign:
    """The service, over the state.

    Args:
        issuers: each name once, none of them our own.
        documents: where sessions are remembered.
        epochs: after an `enrol` of it, its `floor` is the store's own.
        secret: the key under which sessions are hashed, 32 bytes or more.
    """

    def __init__(
        self,
        issuers: Iterable[ForeignIssuer],
        *,
        documents: DocumentStore,
        epochs: EpochStore,
        secret: bytes,
    ) -> None:
        self._verifiers = {one.issuer: _Verifier(one) for one in issuers}
        self._documents = documents
        self._epochs = epochs
        self._secret = secret
        self._chosen: _Recent[_Verifier | None] = _Recent()
        self._seen: _Recent[Seen] = _Recent()
        self._welcomed: dict[StaffId, int | None] = {}

    def __repr__(self) -> str:
        return f"Foreign({', '.join(self._verifiers)})"

    async def identify(
        self, token: str, members: Container[StaffId], now: Instant
    ) -> Recognised | None:
        """Whose token is this?

        Args:
            token: as presented.
            members: who is on the roster.
            now: when the request came.

        Returns:
            None: it is not of any of these issuers, so it is one of ours or nobody's. Of somebody
            who is not on the roster: claims with an epoch of 0, for the next stage to refuse.

        Raises:
            RequestError: UNAUTHENTICATED; INCIDENT, of a session that was not seen before.
            StateUnavailableError: the state cannot say.
        """
        verifier = self._choose(token)
        if verifier is None:
            return None
        told = await verifier.verify(token, now)
        if isinstance(told, Claims):
            return Recognised(claims=told)
        if told.claims.staff not in members:
            return Recognised(claims=told.claims)
        issuer = verifier.issuer
        key = session_key(self._secret, issuer.issuer, told.named_by, told.session)
        seen = self._seen.find(key)
        if isinstance(seen, Missing) or lasting(seen, told) is not None:
            seen = await self._remembered(key, issuer, told, now)
            self._seen.keep(key, seen)
        return Recognised(claims=claims_of(seen, told, device_of(key, told)))

    async def welcome(self, members: Iterable[StaffId], now: Instant) -> None:
        """Make everybody on the roster known to the epochs; call it again and again.

        Else the first token of each would be refused, being older than that moment. After a
        logout, too: the first enrolment after a lockdown ends what was before it.

        Raises:
            StateUnavailableError: it cannot be done now.
        """
        welcomed: dict[StaffId, int | None] = {}
        for staff in members:
            floor = await self._epochs.floor(staff, None)
            if floor is None or floor != self._welcomed.get(staff):
                try:
                    await self._epochs.enrol(staff, None, now)
                except RequestError:
                    continue  # a lockdown keeps them out; others it does not
                floor = await self._epochs.floor(staff, None)
            welcomed[staff] = floor
        self._welcomed = welcomed

    def _choose(self, token: str) -> "_Verifier | None":
        # By a digest: anybody may send any text, and what is kept of it must be small.
        digest = sha256(token.encode()).hexdigest()
        chosen = self._chosen.find(digest)
        if isinstance(chosen, Missing):
            named = issuer_named(token)
            chosen = None if named is None else self._verifiers.get(named)
            self._chosen.keep(digest, chosen)
        return chosen

    async def _remembered(
        self, key: str, issuer: ForeignIssuer, told: ForeignClaims, now: Instant
    ) -> Seen:
        """What stands in the state of this session, durably, from the first sight on."""
        for _ in range(PUT_TRIES):
            kept = await self._documents.get(Kind.SESSION_SEEN, key, now)
            if kept is None:
                seen = await self._first_seen(key, issuer, told, now)
            else:
                held = decode(kept.value)
                longer = None if held.staff != told.claims.staff else lasting(held, told)
                if longer is None:
                    return held
                seen = longer
            if await self._put(key, issuer, told, seen, kept, now):
                return seen
        raise StateUnavailableError("A session changes too fast to be kept.")

    async def _first_seen(
        self, key: str, issuer: ForeignIssuer, told: ForeignClaims, now: Instant
    ) -> Seen:
        staff = told.claims.staff
        # In this order: of a logout between the two, the epoch knows nothing but the floor does.
        epoch = await self._epochs.enrol(staff, None, now)
        floor = await self._epochs.floor(staff, device_of(key, told))
        if floor is None:
            refuse(Cause.SESSION_UNKNOWN)
        return first_seen(
            told, epoch=epoch, floor=floor, leeway_seconds=issuer.leeway_seconds, now=now
        )

    async def _put(
        self,
        key: str,
        issuer: ForeignIssuer,
        told: ForeignClaims,
        seen: Seen,
        kept: Kept | None,
        now: Instant,
    ) -> bool:
        written = await self._documents.put(
            Kind.SESSION_SEEN,
            key,
            encode(seen),
            replaces=None if kept is None else kept.revision,
            now=now,
            expires=remembered_until(seen, told.named_by, issuer.leeway_seconds),
        )
        return written is not None


class _Verifier:
    """One issuer's tokens, under the keys it has at this moment."""

    def __init__(self, issuer: ForeignIssuer) -> None:
        self.issuer = issuer
        self._table: KeyTable | None = None
        self._memory: VerifiedTokens | VerifiedForeign | None = None

    async def verify(self, token: str, now: Instant) -> Claims | ForeignClaims:
        """Check a token; if its key is not known, ask the issuer for its keys once more.

        Raises:
            RequestError: UNAUTHENTICATED.
        """
        try:
            return self._verified(token, self.issuer.keys.current(), now)
        except RequestError as error:
            if error.cause is not Cause.UNKNOWN_KEY:
                raise
        return self._verified(token, await self.issuer.keys.renewed(), now)

    def _verified(
        self, token: str, table: KeyTable | None, now: Instant
    ) -> Claims | ForeignClaims:
        if table is None:
            self._table = self._memory = None
            refuse(Cause.UNKNOWN_KEY)
        if self._memory is None or table is not self._table:
            # What other keys have verified is forgotten with them.
            self._table, self._memory = table, self._memory_for(table)
        return self._memory.verify(token, now)

    def _memory_for(self, table: KeyTable) -> VerifiedTokens | VerifiedForeign:
        issuer = self.issuer
        policy = TokenPolicy(
            issuer=issuer.issuer,
            audience=issuer.audience,
            keys=table,
            names=issuer.names,
            leeway_seconds=issuer.leeway_seconds,
            several_audiences=True,
        )
        known = issuer.names.epoch is not None
        return VerifiedTokens(policy) if known else VerifiedForeign(policy)


class _Recent(Generic[T]):
    """What was found lately and never changes, in two generations: a flood does not empty it."""

    def __init__(self) -> None:
        self._young: dict[str, T] = {}
        self._old: dict[str, T] = {}

    def find(self, key: str) -> T | Missing:
        """What was kept, or MISSING."""
        found = self._young.get(key, MISSING)
        return self._old.get(key, MISSING) if isinstance(found, Missing) else found

    def keep(self, key: str, value: T) -> None:
        """Keep it."""
        if len(self._young) >= MAX_AT_HAND:
            self._old, self._young = self._young, {}
        self._young[key] = value
