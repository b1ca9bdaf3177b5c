"""A server that speaks Redis's wire format and says what a test wants, on a free loopback port."""

import asyncio


def bulk(text):
    data = text.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


def array(*texts):
    return b"*%d\r\n" % len(texts) + b"".join(bulk(text) for text in texts)


class Speaker:
    """Answers each command with what `answer(words)` gives; None = it keeps silent."""

    def __init__(self, answer):
        self.answer = answer
        self.heard = []
        self.connections = 0

    async def __aenter__(self):
        self.listener = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        self.place = f"127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self.listener.close()
        await self.listener.wait_closed()

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while words := await read_command(reader):
                self.heard.append(words)
                reply = self.answer(words)
                if reply is not None:
                    writer.write(reply)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has gone: so may a server see it
        finally:
            writer.close()


async def read_command(reader):
    head = await reader.readline()
    if not head:
        return None
    words = []
    for _ in range(int(head[1:])):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2].decode())
    return words
