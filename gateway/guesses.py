"""Tries at passwords, counted in the state: the rules of `identity/attempts.py`, step by step.

A try is on record before its password is looked at. Of tries at the same time each counts:
what was read and what is written is one step (compare and set), or it is read again.
"""

from dataclasses import dataclass

from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.identity.attempts import (
    NOBODY_YET,
    Strangers,
    Tries,
    bucket_of,
    gone_at,
    network_of,
    parse_strangers,
    parse_tries,
    render,
    stranger_tried,
    stranger_was_right,
    tried,
    wait_of_known,
    wait_of_stranger,
)
from gateway.ports import DocumentStore, Kept, Kind

ROUNDS = 32  # of those who change one document at once, each round lets one through


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a try comes from.

    Attributes:
        key: of the document that counts it.
        network: of a stranger; None = a known device of one person.
    """

    key: str
    network: str | None

    @property
    def known(self) -> bool:
        """Is it a device that signed in to this account before?"""
        return self.network is None


def known_device(staff: StaffId, device: DeviceId) -> Source:
    """A device that signed in as this person before."""
    return Source(key=f"known/{staff}/{device}", network=None)


def stranger(name: str, peer: str) -> Source:
    """Anybody who types this name from this address."""
    return Source(key=bucket_of(name), network=network_of(peer))


def code_of(staff: StaffId, device: DeviceId | None) -> Source:
    """Whoever has shown this person's password and is asked for their second factor.

    The network does not matter: nobody gets here without the password, so all who are not a
    known device are one, and nobody with many networks has more tries at six digits.

    Args:
        staff: whose password.
        device: a device that signed in as this person before; None = any other.
    """
    return Source(
        key=f"codes/{staff}" if device is None else f"codes/{staff}/{device}", network=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """The counts. Every method raises StateUnavailableError."""

    documents: DocumentStore

    async def count(self, source: Source, now: Instant) -> int:
        """Count a try, unless it is too early: then so many milliseconds to wait."""
        at = to_milliseconds(now)
        for _ in range(ROUNDS):
            kept = await self.documents.get(Kind.ATTEMPTS, source.key, now)
            after: Tries | Strangers
            if source.network is None:
                tries = None if kept is None else parse_tries(kept.value)
                wait, after = wait_of_known(tries, at), tried(tries, at)
            else:
                bucket = NOBODY_YET if kept is None else parse_strangers(kept.value)
                wait = wait_of_stranger(bucket, source.network, at)
                after = stranger_tried(bucket, source.network, at)
            if wait:
                return wait
            if await self._put(source, kept, after, now):
                return 0
        raise StateUnavailableError("tries came too many at once")

    async def forgive(self, source: Source, now: Instant) -> None:
        """The password was right: the count begins anew."""
        for _ in range(ROUNDS):
            kept = await self.documents.get(Kind.ATTEMPTS, source.key, now)
            if kept is None:
                return
            if source.network is None:
                done = await self.documents.remove(
                    Kind.ATTEMPTS, source.key, replaces=kept.revision, now=now
                )
            else:
                after = stranger_was_right(parse_strangers(kept.value), source.network)
                done = await self._put(source, kept, after, now)
            if done:
                return
        raise StateUnavailableError("tries came too many at once")

    async def _put(
        self, source: Source, kept: Kept | None, after: Tries | Strangers, now: Instant
    ) -> bool:
        written = await self.documents.put(
            Kind.ATTEMPTS,
            source.key,
            render(after),
            replaces=None if kept is None else kept.revision,
            now=now,
            expires=from_milliseconds(gone_at(to_milliseconds(now))),
        )
        return written is not None
