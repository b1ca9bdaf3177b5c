"""Telling managers: what was queued durably is sent, or tried again.

Of somebody who broke the glass, and of somebody who came with a new device.

True here:
* a notice is claimed (compare and set) before it is sent, so of several workers one sends it; a
  worker that dies on the way leaves it to the next, when its time comes. So it is told at least
  once, and seldom twice: its key tells that apart;
* one way that does not answer holds up no other;
* it is tried with growing pauses, for a day. Then it is given up, which is logged and counted;
  of a grant it stays to be seen in the console.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from gateway.domain.time import Instant, to_milliseconds
from gateway.events import Event, emit
from gateway.identity.device_notice import DeviceNotice
from gateway.identity.grant import Notice, parse_notice, render
from gateway.ports import Clock, DocumentStore, Kind, Meter, NoticeOutcome

FIRST_PAUSE_SECONDS = 30  # longer than any way takes: until then nobody else claims it
LONGEST_PAUSE_SECONDS = 15 * 60
GIVE_UP_SECONDS = 24 * 60 * 60
AT_ONCE = 8  # the others are sent at the next beat
BEAT_SECONDS = 1.0


Told = Notice | DeviceNotice


class NotToldError(Exception):
    """It was not told, for whatever reason; nobody knows whether it arrived. Try again."""


class Notifier(Protocol):
    """One way to tell people."""

    async def tell(self, notice: Told) -> None:
        """Tell it; when this returns, it was taken. In less than FIRST_PAUSE_SECONDS.

        Raises:
            NotToldError: it was not.
        """
        ...


class _Gone:
    """A way that gateway.yaml does not have any more."""

    async def tell(self, notice: Told) -> None:
        raise NotToldError(f"there is no way `{notice.to}`")


GONE = _Gone()


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Sends what is due, at each beat.

    Attributes:
        queued: every notice by its key, at hand.
        ways: `webhook`, `smtp` → how.
        kind, parse: where notices are kept, and how they are read.
        keeps: what was given up is kept to be shown; False = it is removed.
    """

    documents: DocumentStore
    queued: Callable[[], Awaitable[Mapping[str, Told]]]
    ways: Mapping[str, Notifier]
    clock: Clock
    meter: Meter
    kind: Kind = Kind.NOTICE
    parse: Callable[[bytes], Told] = parse_notice
    keeps: bool = True

    async def beat(self) -> None:
        """Send what is due now.

        Raises:
            StateUnavailableError: what is due cannot be told.
        """
        now = to_milliseconds(self.clock.now())
        waiting = (await self.queued()).items()
        due = sorted((n.due, key) for key, n in waiting if not n.given_up and n.due <= now)
        await asyncio.gather(*(self._try(key) for _, key in due[:AT_ONCE]))

    async def _try(self, key: str) -> None:
        """Claim one, tell it, and have done with it."""
        now = self.clock.now()
        kept = await self.documents.get(self.kind, key, now)
        if kept is None:
            return
        notice = self.parse(kept.value)
        moment = to_milliseconds(now)
        if notice.given_up or notice.due > moment:
            return  # somebody else has it
        claimed = replace(
            notice, tries=notice.tries + 1, due=moment + 1000 * pause_seconds(notice.tries)
        )
        mine = await self.documents.put(
            self.kind, key, render(claimed), replaces=kept.revision, now=now
        )
        if mine is None:
            return
        if await self._told(claimed):
            await self.documents.remove(
                self.kind, key, replaces=mine.revision, now=self.clock.now()
            )
            return
        if moment >= notice.asked + 1000 * GIVE_UP_SECONDS:
            await self._give_up(claimed, mine.revision, now)

    async def _told(self, notice: Told) -> bool:
        way = self.ways.get(notice.to, GONE)
        try:
            await way.tell(notice)
        except NotToldError as error:
            emit(Event.NOTICE_FAILED, error, way=notice.to, tries=notice.tries)
            self.meter.notice(notice.to, NoticeOutcome.FAILED)
            return False
        self.meter.notice(notice.to, NoticeOutcome.TOLD)
        return True

    async def _give_up(self, notice: Told, revision: int, now: Instant) -> None:
        if self.keeps:
            await self.documents.put(
                self.kind,
                notice.key,
                render(replace(notice, given_up=True)),
                replaces=revision,
                now=now,
            )
        else:
            await self.documents.remove(self.kind, notice.key, replaces=revision, now=now)
        emit(Event.NOTICE_GIVEN_UP, way=notice.to, tries=notice.tries)
        self.meter.notice(notice.to, NoticeOutcome.GIVEN_UP)


def pause_seconds(tries: int) -> int:
    """From the start of one try to the next: 30 s, 60 s, 120 s, ... up to a quarter of an hour."""
    return int(min(FIRST_PAUSE_SECONDS * 2 ** min(tries, 16), LONGEST_PAUSE_SECONDS))
