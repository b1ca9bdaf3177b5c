"""A request's body on its way to the CRM, piece by piece, beside the waiting for its answer.

House rules:
- While we wait for the client the clock of the answer is stopped: a slow phone is not the CRM's
  fault, and the body's source has its own deadline. With each piece the CRM's time starts anew.
- One piece at a time: the next is asked for once the CRM has taken the last.
- A body that breaks off is never ended: without the last chunk, or with less than its length,
  nobody can take it for whole.
"""

import asyncio
from collections.abc import AsyncIterator

from gateway.backends.upstream_connection import Connection
from gateway.backends.upstream_exchange import Exchange
from gateway.domain.errors import GatewayError, RequestError
from gateway.domain.reason import Reason

PIECE_BYTES = 64 * 2**10


async def upload_stream(
    connection: Connection,
    exchange: Exchange,
    source: AsyncIterator[bytes],
    length: int | None,
    seconds: float,
) -> None:
    """Write a streamed body until it ends or the exchange does.

    Args:
        connection: the one that was asked.
        exchange: the request whose head is written.
        source: the body.
        length: of the body in bytes, as the head announces it; None = it goes in chunks.
        seconds: how long the CRM may take for a piece, and for the answer after the last.
    """
    clock = asyncio.get_running_loop().time
    try:
        connection.expect(exchange, None)
        async for piece in _measured(source, length):
            framed = piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece)
            connection.expect(exchange, clock() + seconds)
            if not await connection.write(exchange, framed):
                return
            connection.expect(exchange, None)
    except GatewayError as error:
        connection.drop(exchange, error)
    except Exception as error:  # noqa: BLE001  # whatever the client's side raises: it broke off
        failure = RequestError(Reason.BODY_INVALID, "the request body broke off")
        failure.__cause__ = error
        connection.drop(exchange, failure)
    else:
        connection.expect(exchange, clock() + seconds)
        if length is not None or await connection.write(exchange, b"0\r\n\r\n"):
            connection.sent(exchange)


class _NotAsAnnouncedError(Exception):
    """The body is longer or shorter than the head that is written already says."""


async def _measured(source: AsyncIterator[bytes], length: int | None) -> AsyncIterator[bytes]:
    """The pieces with anything in them, together as long as was announced."""
    left = length
    async for piece in source:
        if not piece:
            continue  # an empty chunk would end the body
        if left is not None:
            left -= len(piece)
            if left < 0:
                raise _NotAsAnnouncedError
        yield piece
    if left:
        raise _NotAsAnnouncedError


async def upload_whole(connection: Connection, exchange: Exchange, body: bytes) -> None:
    """Write a large body of known length in pieces, so that it blocks nobody."""
    view = memoryview(body)
    for start in range(0, len(view), PIECE_BYTES):
        if not await connection.write(exchange, view[start : start + PIECE_BYTES]):
            return
    connection.sent(exchange)
