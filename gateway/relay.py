"""Two WebSockets, one conversation: message by message, each judged before it goes on.

What is true:
- A message goes on only after `still` said yes for it, and only what `downward` or `upward`
  made of it. Once `still` has said no, nothing goes on in either direction.
- One message a direction is under way; who does not take it slows down who sends.
- However it ends, both sides are closed, and each is told why as far as it concerns it: the
  client gets the reason code; the CRM learns a number at most. What the one side says when it
  closes never reaches the other as text: nobody has cut it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.domain.errors import GatewayError
from gateway.domain.http import Channel, Close
from gateway.domain.reason import Reason

_NO_CODE = 1005  # RFC 6455 7.1.5: it closed and said no code
# What says something of the conversation. The others speak of one connection's framing
# (1002, 1010), or may not be sent at all (1004 to 1006, 1015).
_PASSED = frozenset({1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013})

Message = str | bytes
Judge = Callable[[], Awaitable[None]]


class _OverError(Exception):
    """Ends the other tasks of a conversation; the first end is the one that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """Why it is over.

    Attributes:
        client: close code for the client.
        crm: close code for the CRM.
        told: what the client reads beside the code.
        error: what ended it; None = one side has closed as it may.
    """

    client: int
    crm: int
    told: str = ""
    error: Exception | None = None


async def relay(
    client: Channel,
    crm: Channel,
    *,
    downward: Callable[[Message], Message | None],
    upward: Callable[[Message], Message],
    still: Judge,
    changed: Judge,
) -> None:
    """Let them talk until one side closes, breaks off, or may not go on.

    Args:
        client: the person's side.
        crm: the CRM's.
        downward: what of a message from the CRM may be seen; None = nothing, and it is left
            out. Raises GatewayError where that cannot be told: the client is closed with 1011.
        upward: what of a message from the client goes on. Raises RequestError: closed, 1008.
        still: raises GatewayError unless the person may go on; asked before every message and
            whenever `changed` returns. The client is closed with 1008.
        changed: waits until another policy, epoch or window may have come.

    Raises:
        GatewayError: what ended it, if it was not one side's closing; both are closed by then.
            So are they on anything else that is raised, and when this is cancelled.
    """
    over = _Conversation(client=client, crm=crm, still=still)
    try:
        await over.run(downward, upward, changed)
    except asyncio.CancelledError:
        await over.close(_End(client=Close.GOING_AWAY, crm=Close.GOING_AWAY))
        raise
    end = over.ends[0]
    await over.close(end)
    if end.error is not None:
        raise end.error


class _Conversation:
    """Both directions, and how they end.

    Attributes:
        ends: in the order in which they were noticed.
    """

    def __init__(self, *, client: Channel, crm: Channel, still: Judge) -> None:
        self.ends: list[_End] = []
        self._client = client
        self._crm = crm
        self._still = still

    async def run(
        self,
        downward: Callable[[Message], Message | None],
        upward: Callable[[Message], Message],
        changed: Judge,
    ) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._until_over(self._down(downward)))
                tasks.create_task(self._until_over(self._up(upward)))
                tasks.create_task(self._until_over(self._watch(changed)))
        except* _OverError:
            pass

    async def close(self, end: _End) -> None:
        """Both at once: none waits for the other's good-bye."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._client.close(end.client, end.told))
            tasks.create_task(self._crm.close(end.crm, ""))

    async def _until_over(self, direction: Awaitable[_End]) -> None:
        try:
            end = await direction
        except Exception as error:  # noqa: BLE001  # kept as what ended it, and raised by `relay`
            end = _End(client=Close.FAILED, crm=Close.GOING_AWAY, told=_told(error), error=error)
        self.ends.append(end)
        raise _OverError

    async def _down(self, downward: Callable[[Message], Message | None]) -> _End:
        while (message := await self._crm.receive()) is not None:
            if (refused := await self._refused()) is not None:
                return refused
            shown = downward(message)
            if shown is not None:
                await self._client.send(shown)
        code = self._crm.farewell
        return _End(client=_passed(code), crm=_echoed(code))

    async def _up(self, upward: Callable[[Message], Message]) -> _End:
        while (message := await self._client.receive()) is not None:
            if (refused := await self._refused()) is not None:
                return refused
            try:
                judged = upward(message)
            except GatewayError as error:
                return _refusal(error)
            await self._crm.send(judged)
        code = self._client.farewell
        return _End(client=_echoed(code), crm=_passed(code))

    async def _watch(self, changed: Judge) -> _End:
        refused = None
        while refused is None:
            await changed()
            refused = await self._refused()
        return refused

    async def _refused(self) -> _End | None:
        """Why nothing goes on any more; None = it does.

        The other direction may have been refused while we asked. Its end is looked at here,
        because its cancelling us comes a turn of the loop later.
        """
        try:
            await self._still()
        except GatewayError as error:
            return _refusal(error)
        return self.ends[0] if self.ends else None


def _refusal(error: GatewayError) -> _End:
    return _End(client=Close.POLICY, crm=Close.GOING_AWAY, told=str(error.reason), error=error)


def _told(error: Exception) -> str:
    return str(error.reason if isinstance(error, GatewayError) else Reason.INTERNAL_ERROR)


def _passed(code: int | None) -> int:
    """What one side is told of how the other one closed. RFC 6455 7.4.2: 3000 up are theirs."""
    if code is None or code == _NO_CODE:
        return Close.NORMAL
    return code if code in _PASSED or 3000 <= code <= 4999 else Close.FAILED


def _echoed(code: int | None) -> int:
    """RFC 6455 5.5.1: a close is answered with its own code."""
    return Close.NORMAL if code is None or code == _NO_CODE else code
