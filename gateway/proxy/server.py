"""The guarded port: sockets and HTTP/1.1 outside, `Inbound` → `Outcome` inside.

INVARIANT: every request the parser accepts reaches `pipeline.run` exactly once, or is refused
here and counted; whatever goes wrong on the way, the client gets a refusal or a cut
connection, never part of an answer that looks whole.

A conversation is begun exactly once, with the client or without (it holds the CRM's side),
and its connection ends with it.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, Protocol
from uuid import uuid4

from aiohttp import web

from gateway.channel import SocketLimits
from gateway.domain.decision import Refusal
from gateway.domain.errors import GatewayError, RequestError
from gateway.domain.http import Answer, BodySource, Close, Conversation, Inbound, Outcome
from gateway.domain.reason import STATUS, Reason
from gateway.domain.time import Instant
from gateway.events import Event, emit
from gateway.proxy.body import WireBody
from gateway.proxy.limits import PortLimits
from gateway.proxy.refusals import render, render_problem
from gateway.proxy.reply import require_sendable, send
from gateway.proxy.socket import Departed, accept, require_acceptable
from gateway.proxy.wire import WireRequest, WireServer, require_c_parser, reset

# After these the bytes that follow on the connection are not to be trusted.
_CLOSING = frozenset(
    {
        Reason.MALFORMED_REQUEST,
        Reason.AMBIGUOUS_TARGET,
        Reason.METHOD_REFUSED,
        Reason.HOST_REFUSED,
        Reason.BODY_TOO_LARGE,
        Reason.BODY_TIMEOUT,
        Reason.INTERNAL_ERROR,
    }
)
_CLOSE_SECONDS = 2.0  # for TLS to say good-bye; a silent peer must not hold up a stop


class RunsRequests(Protocol):
    """What this shell needs of the pipeline. It promises not to raise."""

    async def run(self, inbound: Inbound, body: BodySource) -> Outcome:
        """Judge one request and answer it."""
        ...


class AnswersOwn(Protocol):
    """What answers the gateway's own addresses on this port. It promises not to raise."""

    async def answer(self, inbound: Inbound, body: BodySource) -> Outcome | None:
        """Answer a request; None = it is for the pipeline."""
        ...

    async def renewed(self, inbound: Inbound, answer: Answer) -> Answer:
        """The answer, with a new session for somebody whose own grows old."""
        ...


class AnswersAsking(Protocol):
    """What answers the address where cards are asked for. It promises not to raise."""

    async def answer(self, inbound: Inbound, body: BodySource) -> Outcome | None:
        """Answer a request; None = it is for somebody else."""
        ...


class GuardedServer:
    """One listening guarded port.

    Args:
        pipeline: answers every request.
        now: the clock, for `Retry-After` and the lock screen.
        ssl_context: TLS to the clients; None = plain HTTP (a TLS end point stands before us).
        limits: sizes and times.
        socket_limits: the same of a WebSocket.
        own: the sign-in; None = everything is for the pipeline.
        break_glass: where a card is asked for outside the window; None = nowhere.
        on_shell_refusal: told the reason of every refusal that the pipeline did not make:
            requests the parser or the shell could not accept, and failures of the pipeline.
    """

    def __init__(
        self,
        pipeline: RunsRequests,
        *,
        now: Callable[[], Instant],
        ssl_context: ssl.SSLContext | None = None,
        limits: PortLimits | None = None,
        socket_limits: SocketLimits | None = None,
        own: AnswersOwn | None = None,
        break_glass: AnswersAsking | None = None,
        on_shell_refusal: Callable[[Reason], None] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._sign_in = own
        self._break_glass = break_glass
        self._now = now
        self._ssl = ssl_context
        self._limits = limits or PortLimits()
        self._socket_limits = socket_limits or SocketLimits()
        self._conversations: set[asyncio.Task[object]] = set()
        self._told = on_shell_refusal
        self._wire: WireServer | None = None
        self._listener: asyncio.Server | None = None
        self._stopping = False
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def turned_away(self) -> int:
        """Connections closed at once because there were too many."""
        return self._wire.turned_away if self._wire is not None else 0

    async def start(self, host: str, port: int, *, reuse_port: bool = False) -> int:
        """Listen; returns the actual port, which differs when `port` is 0.

        Args:
            host: where.
            port: where.
            reuse_port: other processes listen there, too; the system shares connections out.

        Raises:
            ParserMissingError: aiohttp's C parser is not in use.
            OSError: the address cannot be bound.
        """
        require_c_parser()
        self._wire = WireServer(self._handle, self._limits, self._malformed)
        self._listener = await asyncio.get_running_loop().create_server(
            self._wire,
            host,
            port,
            reuse_port=reuse_port or None,
            ssl=self._ssl,
            ssl_handshake_timeout=self._limits.handshake_seconds if self._ssl else None,
            ssl_shutdown_timeout=_CLOSE_SECONDS if self._ssl else None,
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self, grace_seconds: float) -> None:
        """Stop listening, let open requests finish for at most this long, then cut them.

        A request that still comes on an open connection is served, as the last one there.
        Conversations have no end to wait for: they are closed at once (1001, going away).
        """
        if self._listener is None or self._wire is None:
            return
        self._stopping = True
        self._listener.close()
        for conversation in self._conversations:
            conversation.cancel()
        try:
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
        except TimeoutError:
            # Not `close`: to an HTTP/1.0 client half an answer would look like a whole one.
            for connection in self._wire.connections:
                if connection.transport is not None:
                    reset(connection.transport)
        await self._wire.shutdown(0.1)  # 0 means "wait for ever" to aiohttp
        await self._listener.wait_closed()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, WireRequest)  # noqa: S101  # WireServer makes no others
        self._busy += 1
        self._idle.clear()
        try:
            return await self._serve(request)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _serve(self, request: WireRequest) -> web.StreamResponse:
        inbound = request.heads.inbound_of(request.raw, request.transport)
        body = WireBody(request, self._limits)
        outcome = await self._judge(request, inbound, body)
        answer, last = await self._worded(outcome, request, inbound)
        if isinstance(answer, Conversation):
            await self._converse(request, answer)
        close = last or body.unread or request.is_last or self._stopping
        return await send(request, answer, close=close)

    async def _judge(self, request: WireRequest, inbound: Inbound, body: WireBody) -> Outcome:
        try:
            request.heads.require_plain(request.raw)
        except RequestError as error:
            return self._own(error.reason, error.detail)
        try:
            for page in (self._break_glass, self._sign_in):
                own = None if page is None else await page.answer(inbound, body)
                if own is not None:
                    return own
            return await self._pipeline.run(inbound, body)
        except Exception as error:  # noqa: BLE001  # the last door: a refusal, never a stack trace
            emit(Event.PIPELINE_FAILED, error)
            return self._own(Reason.INTERNAL_ERROR)

    async def _converse(self, request: WireRequest, conversation: Conversation) -> NoReturn:
        """Shake hands, and let them talk until it is over; the connection ends with it."""
        try:
            if self._stopping:
                raise ConnectionResetError("the gateway is stopping")
            channel = accept(request, conversation, self._socket_limits)
        except ConnectionError:
            await _drop(conversation)
            raise
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # this is a coroutine
        self._conversations.add(task)
        code = Close.FAILED
        try:
            await conversation.converse(channel)
            code = Close.NORMAL
        except GatewayError:
            pass  # entered, counted and told to both ends by whoever raised it
        except asyncio.CancelledError:  # `stop`
            code = Close.GOING_AWAY
            raise
        except Exception as error:  # noqa: BLE001  # the last door, as below
            emit(Event.PIPELINE_FAILED, error)
        finally:
            self._conversations.discard(task)
            await channel.close(code, "")
        raise ConnectionResetError("the conversation is over")  # to aiohttp: no more HTTP here

    async def _worded(
        self, outcome: Outcome, request: WireRequest, inbound: Inbound
    ) -> tuple[Answer | Conversation, bool]:
        """An answer that can be sent, and whether the connection ends with it."""
        try:
            if isinstance(outcome, Refusal):
                sign_in = self._sign_in is not None
                answer = render(outcome, inbound, now=self._now(), sign_in=sign_in)
                return answer, outcome.reason in _CLOSING
            if isinstance(outcome, Conversation):
                require_acceptable(outcome, request, inbound)
            else:
                if self._sign_in is not None:
                    outcome = await self._sign_in.renewed(inbound, outcome)
                require_sendable(outcome)
        except Exception as error:  # noqa: BLE001  # as above; the plain form needs no template
            emit(Event.ANSWER_INVALID, error)
            await _drop(outcome)
            return render_problem(self._own(Reason.INTERNAL_ERROR), now=self._now()), True
        return outcome, False

    def _own(self, reason: Reason, detail: str = "") -> Refusal:
        """A refusal that this shell makes by itself."""
        if self._told is not None:
            self._told(reason)
        return Refusal(reason=reason, request_id=str(uuid4()), detail=detail)

    def _malformed(self, _request: web.BaseRequest, reason: Reason) -> web.StreamResponse:
        """What aiohttp's parser refused, before there was a request to speak of."""
        answer = render_problem(self._own(reason), now=self._now())
        assert isinstance(answer.body, bytes)  # noqa: S101  # render_problem makes no streams
        response = web.Response(
            status=STATUS[reason], headers=dict(answer.headers), body=answer.body
        )
        response.force_close()
        return response


async def _drop(outcome: Outcome) -> None:
    """Let go of what stands behind an outcome that will not be sent: the CRM's side of it."""
    if isinstance(outcome, Conversation):
        with suppress(GatewayError):  # it says that the client is gone
            await outcome.converse(Departed())
        return
    finish = getattr(outcome.body, "aclose", None) if isinstance(outcome, Answer) else None
    if finish is not None:
        await finish()
