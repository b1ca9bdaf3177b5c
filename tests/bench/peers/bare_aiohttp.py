"""A plain proxy from aiohttp to aiohttp: it judges nothing and changes nothing.

Small answers in one piece, large ones piece by piece in constant memory.
"""

import asyncio
import json
import sys

import aiohttp
from aiohttp import web
from yarl import URL

WHOLE_BYTES = 64 * 1024
CLIENT = web.AppKey("client", aiohttp.ClientSession)
HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"}


async def forward(request: web.Request) -> web.StreamResponse:
    upstream = int(sys.argv[1])
    sent = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP]
    async with request.app[CLIENT].request(
        request.method,
        URL(f"http://127.0.0.1:{upstream}{request.raw_path}", encoded=True),
        headers=sent,
        data=request.content if request.can_read_body else None,
        allow_redirects=False,
    ) as answer:
        kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP]
        size = answer.content_length
        if size is not None and size <= WHOLE_BYTES:
            body = await answer.read()
            back = web.Response(status=answer.status, body=body)
            back.headers.extend(kept)
            return back
        stream = web.StreamResponse(status=answer.status)
        stream.headers.extend(kept)
        await stream.prepare(request)
        async for piece in answer.content.iter_any():
            await stream.write(piece)
        await stream.write_eof()
        return stream


async def main() -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    async with aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=0),
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
    ) as client:
        app[CLIENT] = client
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
