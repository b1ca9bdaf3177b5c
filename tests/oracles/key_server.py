"""An identity provider's key set behind real TLS, on loopback."""

import ssl
from contextlib import asynccontextmanager

import trustme
from aiohttp import web


class KeyServer:
    """What it answers may be changed at any time; it counts who asks."""

    def __init__(self):
        self.asked = []
        self.status = 200
        self.body = b""
        self.headers = {"Content-Type": "application/json"}
        self.answer = None  # a coroutine function (request) -> response, instead of the above
        self.authority = trustme.CA()
        self.url = ""

    def trusting(self, authority=None):
        context = ssl.create_default_context()
        (authority or self.authority).configure_trust(context)
        return context

    async def _answer(self, request):
        self.asked.append((request.path, dict(request.headers)))
        if self.answer is not None:
            return await self.answer(request)
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    @asynccontextmanager
    async def listening(self, name="localhost"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        runner = web.ServerRunner(web.Server(self._answer))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"https://localhost:{port}/keys"
        try:
            yield self
        finally:
            await runner.cleanup()
