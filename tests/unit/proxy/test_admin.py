"""The admin port over real sockets on loopback."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.domain.errors import StateUnavailableError
from gateway.proxy.admin import AdminServer, Parts

PATIENCE = 10


async def good():
    pass


async def away():
    raise StateUnavailableError("no answer from the store")


async def odd():
    raise ZeroDivisionError("secret")


async def hung():
    await asyncio.Event().wait()


@asynccontextmanager
async def serving(**given):
    probes = given.pop("probes", {"policy": good})
    parts = Parts(probes, **{k: given.pop(k) for k in ("probe_seconds",) if k in given})
    options = {"render_metrics": metrics, "status": status} | given
    server = AdminServer(parts.ready, **options)
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop()


async def status():
    return {"policy": "abc123", "age": 5}


async def metrics():
    return b"salon_gateway_up 1\n", "text/plain; version=1.0.0; charset=utf-8"


async def ask(port, path="/healthz", method="GET", host="127.0.0.1", also=""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{also}\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(PATIENCE):
        raw = await reader.read()
    writer.transport.abort()
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


async def test_healthz_is_ok_while_the_loop_runs():
    async with serving(probes={"state": away}) as port:
        status, _, body = await ask(port)
    assert (status, body) == (200, b"ok\n")


async def test_ready_when_every_part_is():
    async with serving(probes={"policy": good, "state": good}) as port:
        status, headers, body = await ask(port, "/readyz")
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == [
        {"part": "policy", "ok": True, "detail": ""},
        {"part": "state", "ok": True, "detail": ""},
    ]


async def test_not_ready_when_one_part_is_not_and_says_which():
    async with serving(probes={"policy": good, "state": away, "upstream": good}) as port:
        status, _, body = await ask(port, "/readyz")
    assert status == 503
    policy, state, upstream = json.loads(body)
    assert state == {
        "part": "state",
        "ok": False,
        "detail": "state_unavailable: no answer from the store",
    }
    assert policy["ok"]
    assert upstream["ok"]


async def test_a_part_that_fails_oddly_is_named_without_its_message():
    async with serving(probes={"audit": odd}) as port:
        status, _, body = await ask(port, "/readyz")
    assert status == 503
    assert json.loads(body)[0]["detail"] == "ZeroDivisionError"


async def test_parts_that_hang_are_waited_for_together_and_not_for_long():
    probes = {f"part{n}": hung for n in range(200)}  # in turn they would take 20 s
    async with serving(probes=probes, probe_seconds=0.1) as port:
        status, _, body = await ask(port, "/readyz")
    assert status == 503
    assert {part["detail"] for part in json.loads(body)} == {"no answer within 0.1 s"}


async def test_a_part_may_say_more_of_itself():
    async def told():
        return {"detail": "stale", "digest": "abc", "stale": {"reason": "cases"}}

    async with serving(probes={"policy": told, "state": good}) as port:
        status, _, body = await ask(port, "/readyz")
    assert status == 200
    assert json.loads(body)[0] == {
        "part": "policy",
        "ok": True,
        "detail": "stale",
        "digest": "abc",
        "stale": {"reason": "cases"},
    }


class Reloads:
    """A policy that can be read again; counts how often it was."""

    def __init__(self, status=200):
        self.count, self.status = 0, status

    async def __call__(self):
        self.count += 1
        return self.status, {"policy": "abc"}


@pytest.mark.parametrize("status", [200, 409])
async def test_reload_answers_what_came_of_it(status):
    reloads = Reloads(status)
    async with serving(reload=reloads) as port:
        answered, headers, body = await ask(port, "/reload", "POST")
    assert (answered, json.loads(body), reloads.count) == (status, {"policy": "abc"}, 1)
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_reload_is_asked_for_with_post_only(method):
    reloads = Reloads()
    async with serving(reload=reloads) as port:
        status, headers, _ = await ask(port, "/reload", method)
    assert (status, headers["Allow"], reloads.count) == (405, "POST", 0)


@pytest.mark.parametrize(
    "mark",
    [
        "Origin: https://evil.example",
        "Origin: null",
        "origin: http://127.0.0.1:9180",
        "Origin:",
        "Referer: https://evil.example/",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: no-cors",
    ],
)
async def test_no_web_page_can_have_the_policy_read_again(mark):
    reloads = Reloads()
    async with serving(reload=reloads) as port:
        status, _, _ = await ask(port, "/reload", "POST", also=f"{mark}\r\n")
    assert (status, reloads.count) == (403, 0)


async def test_no_rebound_name_can_have_the_policy_read_again():
    reloads = Reloads()
    async with serving(reload=reloads) as port:
        status, _, _ = await ask(port, "/reload", "POST", host="evil.example")
    assert (status, reloads.count) == (421, 0)


async def test_a_reload_that_breaks_is_a_500_without_details():
    async def broken():
        raise ZeroDivisionError("secret")

    async with serving(reload=broken) as port:
        status, _, body = await ask(port, "/reload", "POST")
    assert (status, body) == (500, b"internal_error\n")


async def test_without_a_policy_to_read_there_is_no_reload():
    async with serving() as port:
        assert (await ask(port, "/reload"))[0] == 404
        assert (await ask(port, "/reload", "POST"))[0] == 405


async def test_metrics_come_with_their_own_type():
    async with serving() as port:
        status, headers, body = await ask(port, "/metrics?x=1")
    assert (status, body) == (200, b"salon_gateway_up 1\n")
    assert headers["Content-Type"] == "text/plain; version=1.0.0; charset=utf-8"


async def test_metrics_that_cannot_be_rendered_are_a_500_without_details():
    async def broken():
        raise ZeroDivisionError("secret")

    async with serving(render_metrics=broken) as port:
        status, _, body = await ask(port, "/metrics")
    assert (status, body) == (500, b"internal_error\n")


async def test_status_is_what_the_process_runs_on():
    async with serving() as port:
        _, _, body = await ask(port, "/status")
    assert json.loads(body) == {"policy": "abc123", "age": 5}


@pytest.mark.parametrize(
    "path", ["/", "/health", "/healthz/", "//healthz", "/%68ealthz", "/metrics/../healthz"]
)
async def test_anything_else_is_not_there(path):
    async with serving() as port:
        assert (await ask(port, path))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_the_port_is_read_only(method):
    async with serving() as port:
        status, headers, _ = await ask(port, "/metrics", method)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"


async def test_head_is_answered_without_a_body():
    async with serving() as port:
        status, headers, body = await ask(port, method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "3", b"")


async def test_no_banner_and_nothing_to_cache():
    async with serving() as port:
        _, headers, _ = await ask(port)
    assert "Server" not in headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9090",
        "[::1]:9090",
        "[::1]",
        "192.0.2.7:80",
        "localhost",
        "LocalHost:9090",
        "gateway.example:9090",
        "Gateway.Example",
    ],
)
async def test_it_answers_to_addresses_localhost_and_configured_names(host):
    async with serving(names=frozenset({"Gateway.example"})) as port:
        assert (await ask(port, host=host))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9090",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost.",
        "x@localhost",
        "localhost/",
        "localhost:",
        "localhost:99x",
        "[::1",
        "[localhost]",
        "127.0.0.1,evil.example",
        "127.1.1",
        "",
    ],
)
async def test_a_page_that_rebinds_its_name_to_loopback_learns_nothing(host):
    async with serving() as port:
        status, _, body = await ask(port, "/metrics", host=host)
    assert status == 421
    assert b"salon_gateway" not in body


async def test_a_malformed_request_is_a_bare_400():
    async with serving() as port:
        status, headers, body = await ask(port, "/healthz\r\nX : secret")
    assert (status, body) == (400, b"malformed_request\n")
    assert "Server" not in headers


async def test_an_admin_server_that_never_started_stops():
    await AdminServer(Parts({}).ready, metrics, status).stop()


async def test_it_also_listens_on_a_unix_socket_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "0.sock"
    server = AdminServer(Parts({"policy": good}).ready, metrics, status)
    await server.start_at(path)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        raw = await reader.read()
    writer.transport.abort()
    assert raw.startswith(b"HTTP/1.1 200 OK")
    await server.stop()
    assert not path.exists()


async def test_the_console_answers_what_is_its_own_and_nothing_else():
    async def console(request):
        if request.raw_path != "/":
            return None
        return web.Response(text=request.method, headers={"Content-Security-Policy": "own"})

    async with serving(console=console) as port:
        status, headers, body = await ask(port, "/", method="POST")
        assert (status, body, headers["Content-Security-Policy"]) == (200, b"POST", "own")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert (await ask(port, "/healthz"))[0] == 200
        assert (await ask(port, "/staff", method="POST"))[0] == 405
        assert (await ask(port, "/", host="evil.example"))[0] == 421
