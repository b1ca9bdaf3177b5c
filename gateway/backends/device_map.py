"""The devices of the people who come, at hand in front of the store; and who came, written later.

Ten thousand people have some thirty thousand devices: too many to read anew at every change, as
`document_map.py` does with locks. So this keeps the records of those who were asked for, and
hears of one small document (`gateway/devices.py`, NEWS) whether somebody has said something.

INVARIANTS
- What somebody said of a device is told here at most STALE_SECONDS after their act has returned;
  a store that cannot answer is never papered over for longer. What was only seen by other
  processes, or said by an act that broke off, may come KEEP_SECONDS later.
- `seen` waits for nothing. What it notes is written at most every SEEN_SECONDS for each device, a
  few people in each `write`; memory is bounded by MAX_PEOPLE and MAX_DEVICES, whoever comes.
- What was not written is lost with the process, and that does no harm: whoever comes again is
  seen again, and a new device that has to wait waits without being written down, too.
- Whoever is to hear of new devices has heard of one before it is written down as known.
"""

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Final

from gateway.backends.epoch_map import STALE_SECONDS
from gateway.devices import change, news
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, Principal, StaffId
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.events import Event, emit
from gateway.identity.devices import (
    MAX_DEVICES,
    MAX_PLACES,
    NOTHING,
    Known,
    Record,
    Span,
    parse_record,
)
from gateway.identity.sightings import (
    PAUSE_SECONDS,
    Sighting,
    newly_shared,
    place_of,
    sighted,
)
from gateway.ports import DocumentStore, Kind

KEEP_SECONDS: Final = 60
# Some hundred bytes for each of their devices. Beyond it what is kept begins anew, and whoever
# came longest ago is not watched.
MAX_PEOPLE: Final = 16_384
SEEN_SECONDS: Final = 300
WRITES: Final = 64  # people in one `write`
WRITE_SECONDS: Final = 1.0  # how often the shell calls `write`

# (person, device, app, when): somebody came with a device that they never came with. May raise
# StateUnavailableError; then it is not written down, and told when they come again.
Came = Callable[[StaffId, DeviceId, str | None, Instant], Awaitable[None]]

_NEVER: Final = from_milliseconds(0)
_MOMENT: Final = timedelta(seconds=1)
_place_of = lru_cache(maxsize=4096)(place_of)


@dataclass(slots=True)
class _Trace:
    """A device since it was written down last.

    Attributes:
        spans: place → first and last millisecond; MAX_PLACES of them.
        written: in milliseconds; None = not by this process.
        moved: has it been seen since?
        came, noted_until: what was noted last (address, app, let in or not); the same again
            before this instant tells nothing new.
    """

    app: str | None = None
    spans: dict[str, list[int]] = field(default_factory=dict)
    admitted: int | None = None
    written: int | None = None
    moved: bool = False
    came: tuple[str | None, str | None, bool] | None = None
    noted_until: Instant = _NEVER


_NONE: Final[Mapping[DeviceId | None, _Trace]] = {}


class DevicesAtHand:
    """Implements ports.Devices.

    Call `poll` every POLL_SECONDS (`epoch_map.py`), `write` every WRITE_SECONDS and at the end.

    Args:
        waits: new devices wait for somebody's approval.
        monotonic: seconds that never jump.
        now: the current instant.
        came: who hears of new devices; None = nobody.
    """

    def __init__(
        self,
        documents: DocumentStore,
        *,
        waits: bool,
        came: Came | None = None,
        monotonic: Callable[[], float],
        now: Callable[[], Instant],
    ) -> None:
        self._documents = documents
        self._waits = waits
        self._came = came
        self._monotonic = monotonic
        self._now = now
        self._kept: dict[StaffId, tuple[float, Known]] = {}
        self._version: int | str | None = None
        self._news: int | None = None
        self._began: Instant | None = None
        self._confirmed = -math.inf
        self._polls = self._heard = self._generation = 0
        self._traces: OrderedDict[StaffId, dict[DeviceId | None, _Trace]] = OrderedDict()
        self._due: dict[StaffId, None] = {}

    def __repr__(self) -> str:
        return f"DevicesAtHand({self._documents!r})"

    async def of(self, staff: StaffId) -> Known:
        """What is known of a person's devices.

        Raises:
            StateUnavailableError: the store cannot answer in time, or what it has cannot be read.
        """
        now = self._monotonic()
        confirmed = now - self._confirmed < STALE_SECONDS
        if confirmed:
            kept = self._kept.get(staff)
            if kept is not None and now < kept[0]:
                return kept[1]
        generation, began = self._generation, self._began
        if began is None:
            _, began = await news(self._documents, self._now())
        found = await self._documents.get(Kind.DEVICE, staff, self._now())
        record = NOTHING if found is None else parse_record(found.value)
        known = Known(record=record, began=began)
        if confirmed and generation == self._generation:
            self._keep(staff, known, now)
        return known

    async def poll(self) -> None:
        """Ask once whether somebody said something, and if so forget what is kept."""
        self._polls += 1
        number, asked = self._polls, self._monotonic()
        found: tuple[int, Instant] | None = None
        try:
            version = await self._documents.version()
            if version != self._version:
                found = await news(self._documents, self._now())
        except StateUnavailableError:
            return  # nothing is confirmed, and each request gets the store's own refusal
        if number < self._heard:
            return  # a poll that began later has told us more
        self._heard = number
        if found is not None:
            self._version = version
            if found[0] != self._news or found[1] != self._began:
                self._news, self._began = found
                self._generation += 1
                self._kept.clear()
                self._traces.clear()  # else what was forgotten would be written down again
                self._due.clear()
        self._confirmed = asked

    def seen(
        self, principal: Principal, known: Known, peer: str | None, now: Instant, *, admitted: bool
    ) -> None:
        """Note that somebody came. See ports.Devices."""
        staff, device, app = principal.staff, principal.device, principal.app
        came = (peer, app, admitted)
        before = self._traces.get(staff, _NONE).get(device)
        if before is not None and before.came == came and now < before.noted_until:
            return
        moment = to_milliseconds(now)
        trace = self._trace(staff, device)
        trace.came, trace.noted_until = came, Instant(now + _MOMENT)
        trace.app = app
        if admitted:
            trace.admitted = max(moment, trace.admitted or 0)
        place = _place_of(peer, app)
        _extend(trace.spans, place, moment)
        trace.moved = True
        if trace.written is not None and moment - trace.written < SEEN_SECONDS * 1000:
            return
        if _is_news(known.record, device, place, moment, admitted=admitted):
            self._due[staff] = None

    async def write(self) -> None:
        """Write down who came, of the people whose turn it is.

        What cannot be written is noted again when they come again.
        """
        now = self._now()
        for staff in list(self._due)[:WRITES]:
            self._due.pop(staff, None)
            try:
                await self._write(staff, now)
            except StateUnavailableError:
                return  # the others have their turn in the next one

    async def _write(self, staff: StaffId, now: Instant) -> None:
        generation, asked = self._generation, self._monotonic()
        traces = {
            device: trace for device, trace in self._traces.get(staff, {}).items() if trace.moved
        }
        seen = [_sighting(device, trace, waits=self._waits) for device, trace in traces.items()]
        for trace in traces.values():
            trace.moved = False  # what comes while it is written moves it again
        try:
            await self._tell_of_new(staff, seen, now)
            before, after = await change(
                self._documents, staff, now, lambda record: sighted(record, seen)
            )
        except StateUnavailableError:
            for trace in traces.values():
                trace.moved = True
                trace.came = None
            raise
        for trace in traces.values():
            trace.written = to_milliseconds(now)
        if generation == self._generation and self._began is not None:
            self._keep(staff, Known(record=after, began=self._began), asked)
        for _ in newly_shared(before, after):
            emit(Event.DEVICE_SHARED, staff=staff)

    async def _tell_of_new(self, staff: StaffId, seen: list[Sighting], now: Instant) -> None:
        """Of the devices that the store does not know; another process may have told meanwhile."""
        if self._came is None:
            return
        kept = await self._documents.get(Kind.DEVICE, staff, now)
        known = NOTHING if kept is None else parse_record(kept.value)
        for one in seen:
            if one.device is not None and one.device not in known.devices:
                await self._came(staff, one.device, one.app, now)

    def _trace(self, staff: StaffId, device: DeviceId | None) -> _Trace:
        """What was seen of a device; the one that came last stands last."""
        traces = self._traces.get(staff)
        if traces is None:
            traces = self._traces[staff] = {}
            if len(self._traces) > MAX_PEOPLE:
                gone, _ = self._traces.popitem(last=False)
                self._due.pop(gone, None)
        else:
            self._traces.move_to_end(staff)
        trace = traces.pop(device, None) or _Trace()
        traces[device] = trace
        if len(traces) > MAX_DEVICES:
            del traces[next(iter(traces))]
        return trace

    def _keep(self, staff: StaffId, known: Known, now: float) -> None:
        if len(self._kept) >= MAX_PEOPLE and staff not in self._kept:
            self._kept.clear()
        self._kept[staff] = (now + KEEP_SECONDS, known)


def _extend(spans: dict[str, list[int]], place: str, moment: int) -> None:
    """Somebody is at this place now; of others the MAX_PLACES - 1 newest stay."""
    span = spans.get(place)
    if span is not None and moment - span[1] <= PAUSE_SECONDS * 1000:
        span[0], span[1] = min(span[0], moment), max(span[1], moment)
        return
    spans[place] = [moment, moment]
    if len(spans) > MAX_PLACES:
        del spans[min(spans, key=lambda one: spans[one][1])]


def _sighting(device: DeviceId | None, trace: _Trace, *, waits: bool) -> Sighting:
    spans = tuple(
        Span(place=place, first=first, last=last) for place, (first, last) in trace.spans.items()
    )
    return Sighting(
        device=device, app=trace.app, spans=spans, admitted=trace.admitted, waits=waits
    )


def _is_news(
    record: Record, device: DeviceId | None, place: str, moment: int, *, admitted: bool
) -> bool:
    """Does the record not say already that they were there just now?"""
    long_ago = moment - SEEN_SECONDS * 1000
    if admitted and (record.seen or 0) <= long_ago:
        return True
    if device is None:
        return False
    known = record.devices.get(device)
    if known is None:
        return True
    return all(span.place != place or span.last <= long_ago for span in known.spans)
