"""What flows is judged again: answers and WebSockets that last longer than the verdict on them.

A verdict is good for one policy, until one instant (the window's next boundary, the person's
last day), and for a session that nobody has ended. So what has begun is looked at

* before each piece: has the policy changed, is the instant over?
* at each beat of the shell, also while it is silent: the same, and is the session current, does
  the person stand as they did?

and judged anew, or ended. INVARIANT: after a verdict against it, no further piece goes out.
Whatever cannot be judged does not flow on; only a state store that is away has a moment's
grace, since for that moment nobody was logged out by it either.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from gateway.audit.entry import Entry
from gateway.bundle import Bundle
from gateway.domain.errors import GatewayError, OperatorError, StateUnavailableError
from gateway.domain.http import CanonicalTarget
from gateway.domain.login import NOTHING_MORE, Passing
from gateway.domain.reason import Reason
from gateway.domain.subject import Principal
from gateway.domain.time import Instant
from gateway.events import Event, emit
from gateway.identity.claims import Claims
from gateway.learning import Identified
from gateway.mapping.guard import Guarded
from gateway.ports import Clock, Meter
from gateway.showing import TURN_SECONDS, Sight

BEAT_SECONDS = 0.025  # how often the shell calls `beat`
CUT_BYTES = 512  # of a stream, in one go: some thirty of the smallest events
GRACE_SECONDS = 2.0  # without an answer of the state store
# For the store in one beat. Asked for each session in turn, one that is away could take minutes.
PATIENCE_SECONDS = 1.0


class Asked(Struct, frozen=True, kw_only=True):
    """What a request is judged by again while its answer still flows.

    Attributes:
        claims, principal: who asked; None on a `public` route, where nobody said so.
        entry: of the request, to be entered once more when it ends.
        cuttable: what flows is cut message by message, so a stricter verdict can be honoured.
        passing: of the CRM's own login, what may go on to it.
        identified: by which of its credentials; None = by a token, or not at all.
    """

    guarded: Guarded
    target: CanonicalTarget
    entry: Entry
    claims: Claims | None = None
    principal: Principal | None = None
    cuttable: bool = False
    passing: Passing = NOTHING_MORE
    identified: Identified | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """It may flow on.

    Attributes:
        bundle: under this policy.
        until: until this instant; None = for good.
        sight: what of it may be seen; None = all of it, by no rule.
    """

    bundle: Bundle
    until: Instant | None = None
    sight: Sight | None = None


class BundleSource(Protocol):
    """Where the current policy is."""

    def current(self) -> Bundle:
        """The last good bundle."""
        ...


Judge = Callable[[Asked], Awaitable[Verdict]]  # raises GatewayError against it
# The person as they stand by now; raises GatewayError if they are not in any more.
StillIn = Callable[[Principal], Awaitable[Principal]]


@dataclass(slots=True, eq=False)
class Flow:
    """One answer or conversation under way.

    Attributes:
        error: what ended it; None = it goes on, or came to its own end.
        person: who asked, as they stood when it was judged last.
    """

    flows: "Flows"
    asked: Asked
    verdict: Verdict
    error: GatewayError | None = None
    person: Principal | None = field(init=False)
    _waiting: asyncio.Timeout | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _unsure_since: float | None = None

    def __post_init__(self) -> None:
        self.person = self.asked.principal

    async def still(self) -> None:
        """Let the next piece pass, or raise what ended the flow.

        Raises:
            GatewayError: the policy in force now refuses it, or the session was ended.
        """
        if self.error is None and self.flows.is_over(self.verdict):
            await self._judge_again()
        if self.error is not None:
            raise self.error

    async def ended(self) -> None:
        """Wait until the flow was ended from outside; `still` tells by what."""
        await self._ended.wait()

    def pieces(
        self,
        chunks: AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]],
        through: "Through | None" = None,
    ) -> "Pieces":
        """The pieces, as long as they may flow.

        Args:
            chunks: as they come.
            close: called once when it is over, however it ends.
            through: what cuts them on the way; None = they go out as they come.
        """
        return Pieces(self, chunks, close, through)

    async def next_of(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        """The next piece, if it may go out; None at the end.

        Raises:
            GatewayError: as `still`, also while the CRM is silent.
        """
        try:
            async with asyncio.timeout(None) as self._waiting:
                piece = await anext(chunks, None)
        except TimeoutError:
            if self.error is not None:
                raise self.error from None
            raise  # the CRM's own
        finally:
            self._waiting = None
        if piece is not None:
            await self.still()
        return piece

    async def beat(self, still_in: StillIn) -> None:
        """Look whether it may still flow, and end it if not. Never raises."""
        if self.error is not None:
            return
        if self.flows.is_over(self.verdict):
            await self._judge_again()
            return
        if self.person is None:
            return
        try:
            person = await still_in(self.person)
            self._unsure_since = None
        except StateUnavailableError as error:
            now = self.flows.clock.monotonic()
            if self._unsure_since is None:
                self._unsure_since = now
            elif now - self._unsure_since >= GRACE_SECONDS:
                self.end(error)
        except Exception as error:  # noqa: BLE001  # what cannot be judged does not flow on
            self.end(_as_refusal(error))
        else:
            if person != self.person:  # on notice since: the rules may say something else
                self.person = person
                await self._judge_again()

    async def _judge_again(self) -> None:
        try:
            self.verdict = await self.flows.judge(self.asked)
        except Exception as error:  # noqa: BLE001  # also a bug of ours ends it
            self.end(_as_refusal(error))

    def end(self, error: GatewayError) -> None:
        """End it: nothing more goes out. Event, counter; the first reason stays."""
        if self.error is not None:
            return
        self.error = error
        self._ended.set()
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())
        self.flows.meter.stream_cut()
        request_id = self.asked.entry.request_id
        why = error.__cause__ if isinstance(error.__cause__, Exception) else error
        emit(Event.STREAM_CUT_OFF, why, request_id=request_id, reason=error.reason)


class Through(Protocol):
    """Cuts a stream on its way, piece by piece, without waiting for anything."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """What of it may go out by now; raises GatewayError if it cannot be cut."""
        ...

    def finish(self) -> None:
        """The stream has come to its end."""
        ...


class Pieces:
    """An answer's body under way: an async iterator that its reader closes.

    Not a generator: closing one that nobody began to read would run nothing of it.
    """

    def __init__(
        self,
        flow: Flow,
        chunks: AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]],
        through: Through | None,
    ) -> None:
        self._flow = flow
        self._chunks = chunks
        self._through = through
        self._rest = b""  # of a piece that is being cut
        self._close: Callable[[], Awaitable[None]] | None = close

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        if self._close is None:
            raise StopAsyncIteration
        try:
            piece = await self._piece()
        except BaseException:
            await self.aclose()
            raise
        if piece is None:
            await self.aclose()
            raise StopAsyncIteration
        return piece

    async def _piece(self) -> bytes | None:
        while True:
            if self._rest:
                await asyncio.sleep(0)
                await self._flow.still()
            else:
                piece = await self._flow.next_of(self._chunks)
                if piece is None:
                    break
                if self._through is None:
                    return piece
                self._rest = piece
            shown = self._cut_some()
            if shown:
                return shown
        if self._through is not None:
            self._through.finish()
        return None

    def _cut_some(self) -> bytes:
        """As much of what came as may take its turn now; at least a little of it.

        It waits for nothing: what was let pass is cut by the verdict that let it pass.
        """
        assert self._through is not None  # noqa: S101  # else nothing is kept
        clock = asyncio.get_running_loop().time
        pause = clock() + TURN_SECONDS
        shown: list[bytes] = []
        at = 0
        while at < len(self._rest):
            shown += self._through.feed(self._rest[at : at + CUT_BYTES])
            at += CUT_BYTES
            if clock() >= pause:
                break
        self._rest = self._rest[at:]
        return b"".join(shown)

    async def aclose(self) -> None:
        """End it. Safe to call twice."""
        close, self._close = self._close, None
        if close is None:
            return
        self._flow.flows.forget(self._flow)
        try:
            finish = getattr(self._chunks, "aclose", None)
            if finish is not None:
                await finish()
        finally:
            await close()


class Flows:
    """Everything that flows through this process.

    Args:
        judge: every stage up to the decision, as if it were asked now.
        still_in: the person as they stand by now; raises if their session is not current any
            more, or they are locked.
    """

    def __init__(
        self,
        *,
        bundles: BundleSource,
        clock: Clock,
        meter: Meter,
        judge: Judge,
        still_in: StillIn,
    ) -> None:
        self.clock = clock
        self.meter = meter
        self.judge = judge
        self._bundles = bundles
        self._still_in = still_in
        self._open: set[Flow] = set()

    def begin(self, asked: Asked, verdict: Verdict) -> Flow:
        """Something begins to flow; `forget` it when it has ended."""
        flow = Flow(self, asked, verdict)
        self._open.add(flow)
        return flow

    def forget(self, flow: Flow) -> None:
        """It has ended. Safe to call twice."""
        self._open.discard(flow)

    def is_over(self, verdict: Verdict) -> bool:
        """Must it be judged again: another policy, or another moment?"""
        if self._bundles.current() is not verdict.bundle:
            return True
        return verdict.until is not None and self.clock.now() >= verdict.until

    async def beat(self) -> None:
        """Look at everything that flows. The state store is asked once for each session."""
        known: dict[tuple[object, ...], Principal | GatewayError] = {}
        late = self.clock.monotonic() + PATIENCE_SECONDS

        async def still_in(principal: Principal) -> Principal:
            notice = principal.on_notice_since
            session = (principal.staff, principal.device, principal.epoch, notice)
            found = known.get(session)
            if found is None:
                found = known[session] = await self._ask(principal, late)
            if isinstance(found, GatewayError):
                raise found
            if found.on_notice_since == notice:
                return principal
            # Not `found` itself: of two flows of one session each has its own roles and app.
            return dataclasses.replace(principal, on_notice_since=found.on_notice_since)

        for flow in tuple(self._open):
            await flow.beat(still_in)

    async def _ask(self, principal: Principal, late: float) -> Principal | GatewayError:
        if self.clock.monotonic() >= late:
            return StateUnavailableError("the state store took too long over others")
        try:
            return await self._still_in(principal)
        except GatewayError as error:
            return error


def _as_refusal(error: Exception) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    failed = OperatorError(Reason.INTERNAL_ERROR, "The gateway failed; it let nothing by.")
    failed.__cause__ = error
    return failed
