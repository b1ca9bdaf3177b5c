"""The gateway that one writes in an afternoon: aiohttp, PyJWT, pycasbin and json.

Usage: usual_gateway.py UPSTREAM_PORT SECRET_FILE POLICY_CSV LOG_FILE

Every library is used as its own first page shows it. It verifies the token, compares an epoch,
asks pycasbin once for the card and once for each class of fields, cuts the answer, counts, and
writes a log line. It does less than ours: no opening hours, no record judged, no question
refused, no ambiguous address noticed, and nobody waits until its log is on disk.
"""

import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import casbin
import jwt
from aiohttp import web
from prometheus_client import Counter

CLASSES = {
    "contact": ("phone", "email", "address"),
    "health": ("notes",),
    "personal": ("birthday",),
}
MODEL = """\
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""
EPOCHS: dict[str, int] = {}  # who was logged out: a token must be of this epoch or a later one
SEEN = Counter("usual_requests_total", "Requests.", ["action", "status"])
log = logging.getLogger("usual")


def guard(
    upstream: int, secret: str, rules: casbin.Enforcer, client: aiohttp.ClientSession
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(
                token, secret, ["HS256"], issuer="salon-gateway", audience="salon-crm"
            )
        except jwt.InvalidTokenError:
            raise web.HTTPUnauthorized from None
        who = claims["sub"]
        if claims["epoch"] < EPOCHS.get(who, 0):
            raise web.HTTPUnauthorized
        action = "list" if request.path == "/api/clients" else "read"
        if not rules.enforce(who, "client", action):
            raise web.HTTPForbidden
        hidden = [
            field
            for name, fields in CLASSES.items()
            if not rules.enforce(who, f"client.{name}", "read")
            for field in fields
        ]
        async with client.get(f"http://127.0.0.1:{upstream}{request.path_qs}") as answer:
            document = json.loads(await answer.read())
        for record in document if isinstance(document, list) else [document]:
            for field in hidden:
                record.pop(field, None)
        SEEN.labels(action=action, status=answer.status).inc()
        log.info(json.dumps({"who": who, "what": request.path, "status": answer.status}))
        return web.json_response(document, status=answer.status)

    return handle


def rules_of(policy: str) -> casbin.Enforcer:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as model:
        model.write(MODEL)
        model.flush()
        return casbin.Enforcer(model.name, policy)


def set_up_logging(log_file: str) -> None:
    log.addHandler(logging.FileHandler(log_file))
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.disable(logging.DEBUG)  # pycasbin writes two lines a question otherwise
    logging.getLogger("casbin").setLevel(logging.WARNING)


async def main(upstream: int, secret: str, policy: str) -> None:
    async with aiohttp.ClientSession() as client:
        app = web.Application()
        app.router.add_get("/{path:.*}", guard(upstream, secret, rules_of(policy), client))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    port, secret_file, policy_file, requests_file = sys.argv[1:]
    set_up_logging(requests_file)
    text = Path(secret_file).read_text(encoding="utf-8").strip()
    asyncio.run(main(int(port), text, policy_file))
