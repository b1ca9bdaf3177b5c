"""The admin port: alive, ready, metrics, status. For ops, on loopback or an inner network.

Only for a `Host` that no web page can bring about: an IP literal, `localhost` or a configured
name. A page in an operator's browser that rebinds its own name to 127.0.0.1 still sends that
name. Read only but for `POST /reload`, which no web page may ask for: browsers mark what a page
sends (`Origin` on every POST, Fetch metadata), and whatever is so marked is refused. The owner's
console, if it is there, is made of web pages: it has addresses and checks of its own.
"""

import asyncio
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.domain.errors import GatewayError
from gateway.domain.reason import STATUS, Reason
from gateway.domain.relayed import PEER_HEADER
from gateway.events import Event, emit
from gateway.proxy.limits import PortLimits
from gateway.proxy.wire import WireServer, require_c_parser

Probe = Callable[[], Awaitable[Mapping[str, Any] | None]]
Ready = Callable[[], Awaitable[tuple[bool, Sequence[Mapping[str, Any]]]]]
Reload = Callable[[], Awaitable[tuple[int, Mapping[str, Any]]]]
Rooms = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | None]]

PROBE_SECONDS = 1.0  # an orchestrator asks every few seconds and gives up after a few

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\],]+)(?::\d{1,5})?", re.ASCII)
_OF_A_PAGE = ("Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode")
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Parts:
    """What a process is made of, asked one by one whether it can serve now.

    Args:
        probes: by part (policy, state, audit, upstream); each raises unless its part can
            serve now, and may return members to be shown beside `part`, `ok` and `detail`.
            They run at the same time, `probe_seconds` each at most.
    """

    def __init__(
        self, probes: Mapping[str, Probe], *, probe_seconds: float = PROBE_SECONDS
    ) -> None:
        self._probes = dict(probes)
        self._probe_seconds = probe_seconds

    async def ready(self) -> tuple[bool, Sequence[Mapping[str, Any]]]:
        """Are all of them, and what each one says."""
        parts = await asyncio.gather(*(self._probe(name) for name in self._probes))
        return all(part["ok"] for part in parts), parts

    async def _probe(self, name: str) -> dict[str, Any]:
        """Ask one part. Never raises: an answer that cannot be had is `ok: false`."""
        try:
            async with asyncio.timeout(self._probe_seconds):
                told = await self._probes[name]()
        except TimeoutError:
            detail = f"no answer within {self._probe_seconds:g} s"
        except GatewayError as error:
            detail = str(error)
        except Exception as error:  # noqa: BLE001  # a part that fails oddly is not ready either
            emit(Event.PROBE_FAILED, error, part=name)
            detail = type(error).__qualname__
        else:
            return {"part": name, "ok": True, "detail": "", **(told or {})}
        return {"part": name, "ok": False, "detail": detail}


class AdminServer:
    """One listening admin port: `/healthz`, `/readyz`, `/metrics`, `/status`, `/reload`.

    Args:
        ready: is everything, and a list of its parts with `part`, `ok` and `detail`.
        render_metrics: the exposition and its content type.
        status: what this process runs on (policy version, its age, ...), as JSON values.
        names: host names to answer to besides IP literals and `localhost`.
        reload: reads the policy again; returns the status and the JSON to answer with.
            None = there is no `/reload`.
        console: answers what is the console's, and None to everything else; never raises.
            None = there is no console.
        inner: by path, JSON values for the other processes of this gateway: on a Unix socket,
            and only if nobody else is asked for.
    """

    def __init__(
        self,
        ready: Ready,
        render_metrics: Callable[[], Awaitable[tuple[bytes, str]]],
        status: Callable[[], Awaitable[Mapping[str, Any]]],
        *,
        names: frozenset[str] = frozenset(),
        reload: Reload | None = None,
        console: Rooms | None = None,
        inner: Mapping[str, Callable[[], Awaitable[Any]]] | None = None,
    ) -> None:
        self._ready = ready
        self._render_metrics = render_metrics
        self._status = status
        self._names = frozenset(name.lower() for name in names) | {"localhost"}
        self._reload = reload
        self._console = console
        self._inner = dict(inner or {})
        self._wire: WireServer | None = None
        self._listener: asyncio.Server | None = None
        self._path: Path | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the actual port, which differs when `port` is 0."""
        require_c_parser()
        self._wire = WireServer(self._handle, PortLimits(), _malformed)
        self._listener = await asyncio.get_running_loop().create_server(self._wire, host, port)
        return int(self._listener.sockets[0].getsockname()[1])

    async def start_at(self, path: Path) -> None:
        """Listen on a Unix socket, for whoever may enter its folder."""
        require_c_parser()
        self._wire = WireServer(self._handle, PortLimits(), _malformed)
        self._path = path
        self._listener = await asyncio.get_running_loop().create_unix_server(self._wire, path)

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        if self._listener is None or self._wire is None:
            return
        self._listener.close()
        await self._wire.shutdown(0.1)
        await self._listener.wait_closed()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._answer(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._is_ours(request.headers.get("Host", "")):
            return _text(421, "unknown host name; ask by IP address or as localhost\n")
        path = request.raw_path.partition("?")[0]
        if path == "/reload" and self._reload is not None:
            return await self._reloaded(request, self._reload)
        inner = self._inner.get(path) if self._path is not None else None
        if inner is not None and PEER_HEADER not in request.headers:
            return _json(200, await inner())
        page = None if self._console is None else await self._console(request)
        if page is not None:
            return page
        if request.method not in {"GET", "HEAD"}:
            return _not_allowed("read only\n", "GET, HEAD")
        match path:
            case "/healthz":
                return _text(200, "ok\n")
            case "/readyz":
                ready, parts = await self._ready()
                return _json(200 if ready else 503, parts)
            case "/metrics":
                body, content_type = await self._render_metrics()
                return web.Response(body=body, headers={"Content-Type": content_type})
            case "/status":
                return _json(200, await self._status())
            case _:
                return _text(404, "not found; try /healthz, /readyz, /metrics or /status\n")

    async def _reloaded(self, request: web.BaseRequest, reload: Reload) -> web.Response:
        if request.method != "POST":
            return _not_allowed("ask with POST\n", "POST")
        if any(name in request.headers for name in _OF_A_PAGE):
            return _text(403, "not for web pages; ask with curl -X POST\n")
        status, told = await reload()
        return _json(status, told)

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower()
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name in self._names
        return True


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)


def _not_allowed(text: str, allowed: str) -> web.Response:
    refused = _text(405, text)
    refused.headers["Allow"] = allowed
    return refused


def _json(status: int, value: Any) -> web.Response:
    body = json.dumps(value, ensure_ascii=False, default=str).encode()
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json"})


def _malformed(_request: web.BaseRequest, reason: Reason) -> web.StreamResponse:
    """What the parser refused, or a handler that failed."""
    response = _text(STATUS[reason], f"{reason}\n")
    response.force_close()
    return response
