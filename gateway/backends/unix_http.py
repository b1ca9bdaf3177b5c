"""One exchange with the admin port of another process of this gateway, over a Unix socket.

House rules: one connection for one exchange, so no answer is ever taken for another's. The other
side is our own `AdminServer`: an answer that is not framed as it frames them is none.
"""

import asyncio
from asyncio import LimitOverrunError
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Pairs = tuple[tuple[str, str], ...]

MAX_ANSWER_BYTES: Final = 64 * 2**20  # ten times the metrics that there can be


class SilentError(Exception):
    """A worker that does not answer, or not as our admin port does."""


class UnreachedError(SilentError):
    """It was not even asked: there is nobody at the socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What it answered."""

    status: int
    headers: Pairs
    body: bytes


async def exchange(
    path: Path,
    method: str,
    target: str,
    headers: Pairs,
    body: bytes = b"",
    *,
    seconds: float,
    most: int = MAX_ANSWER_BYTES,
) -> Told:
    """Ask one thing.

    Args:
        path: of the socket.
        method: any but HEAD, whose answers are framed in another way.
        target: as it is to stand in the request line.
        headers: besides those of the framing. No name and no value holds a line break.
        body: goes along.
        seconds: for all of it.
        most: bytes of the answer's body.

    Raises:
        SilentError: see there.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _exchange(path, method, target, headers, body, most)
    except (OSError, ValueError, EOFError, TimeoutError, LimitOverrunError) as error:
        raise SilentError("no answer") from error


async def _exchange(
    path: Path, method: str, target: str, headers: Pairs, body: bytes, most: int
) -> Told:
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise UnreachedError("nobody is there") from error
    try:
        framing = (("Connection", "close"), ("Content-Length", str(len(body))))
        lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in (*headers, *framing))]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a line is a line")
        writer.write("\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape") + body)
        return await _answer(reader, most)
    finally:
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader, most: int) -> Told:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    _, status, _ = lines[0].split(" ", 2)
    headers = tuple((n, v) for n, _, v in (line.partition(": ") for line in lines[1:-2]))
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    length = int(lengths[0]) if len(lengths) == 1 else -1
    if not 0 <= length <= most:
        raise ValueError("not an answer of ours")
    return Told(status=int(status), headers=headers, body=await reader.readexactly(length))
