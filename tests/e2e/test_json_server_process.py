"""The REST server that is not ours runs, keeps what it is given, and our upstream speaks to it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.backends.upstream import LeanUpstream
from gateway.domain.decision import Passage
from gateway.domain.http import CanonicalPath, CanonicalTarget
from gateway.domain.reason import Reason
from tests.e2e.json_server_process import is_available, json_server

pytestmark = pytest.mark.skipif(not is_available(), reason="node and npm are not installed")

CLIENTS = [
    {"id": 1, "name": "山田 美咲", "phone": "+81-90-0000-0001", "stylist_id": "mei"},
    {"id": 2, "name": "Олена", "phone": "+380-00-000-0002", "stylist_id": "yuki"},
]


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[str]:
    with json_server({"clients": CLIENTS}, tmp_path) as url:
        yield url


async def ask(
    upstream: LeanUpstream, method: str, wire: str, body: bytes | None = None
) -> tuple[int, object]:
    path = CanonicalPath(wire.partition("?")[0])
    answer = await upstream.send(
        Passage(reason=Reason.PASSED),
        method=method,
        target=CanonicalTarget(path=path, segments=(), query=(), wire=wire),
        headers=(("Content-Type", "application/json"),) if body else (),
        body=body,
    )
    data = await answer.read(2**20)
    return answer.status, json.loads(data) if data else None


async def test_it_lists_filters_creates_changes_and_deletes(crm: str, tmp_path: Path) -> None:
    upstream = LeanUpstream(base_url=crm)
    try:
        assert await ask(upstream, "GET", "/clients") == (200, CLIENTS)
        assert await ask(upstream, "GET", "/clients?stylist_id=mei") == (200, CLIENTS[:1])
        assert (await ask(upstream, "GET", "/clients/9"))[0] == 404
        created = await ask(upstream, "POST", "/clients", '{"name": "민지"}'.encode())
        assert created == (201, {"id": 3, "name": "민지"})
        changed = await ask(upstream, "PATCH", "/clients/3", b'{"name": "Minji"}')
        assert changed == (200, {"id": 3, "name": "Minji"})
        assert (await ask(upstream, "DELETE", "/clients/2"))[0] == 200
        names = [row["name"] for row in json.loads((tmp_path / "db.json").read_text())["clients"]]
        assert names == ["山田 美咲", "Minji"]
    finally:
        await upstream.close()


def test_two_run_side_by_side_and_neither_is_left_behind(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with (
        json_server({"clients": []}, tmp_path / "a") as first,
        json_server({"clients": []}, tmp_path / "b") as second,
    ):
        assert first != second
        assert is_listening(first)
        assert is_listening(second)
    assert not is_listening(first)
    assert not is_listening(second)


def is_listening(origin: str) -> bool:
    host, _, port = origin.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True
