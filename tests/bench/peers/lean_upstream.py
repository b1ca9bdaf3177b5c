"""A CRM that only says what it was given: whole answers from memory, large ones from a file.

Usage: lean_upstream.py FOLDER. It stands in where nginx is not installed. FOLDER/targets.json
names the file of each request target. Requests come one after the other on a connection, with
no body.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

IN_MEMORY_BYTES = 16 * 2**20


def _head(status: str, length: int) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


class Conversation(asyncio.Protocol):
    def __init__(self, answers: dict[bytes, bytes | Path]) -> None:
        self.answers = answers
        self.seen = b""
        self.sending: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.seen += data
        while b"\r\n\r\n" in self.seen:
            head, _, self.seen = self.seen.partition(b"\r\n\r\n")
            found = self.answers.get(head.split(b" ", 2)[1])
            if found is None:
                self.transport.write(_head("404 Not Found", 0))
            elif isinstance(found, bytes):
                self.transport.write(found)
            else:
                self.sending = asyncio.get_running_loop().create_task(self._send(found))

    async def _send(self, path: Path) -> None:
        with path.open("rb") as file:
            self.transport.write(_head("200 OK", os.fstat(file.fileno()).st_size))
            await asyncio.get_running_loop().sendfile(self.transport, file)


def _answers(folder: Path) -> dict[bytes, bytes | Path]:
    found: dict[bytes, bytes | Path] = {}
    for target, name in json.loads((folder / "targets.json").read_text()).items():
        path = folder / name
        size = path.stat().st_size
        whole = size <= IN_MEMORY_BYTES
        found[target.encode()] = _head("200 OK", size) + path.read_bytes() if whole else path
    return found


async def main() -> None:
    answers = _answers(Path(sys.argv[1]))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(answers), "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"event": "listening", "port": port}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
