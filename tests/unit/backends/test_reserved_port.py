"""A port that is held for several who listen at it, and for nobody else."""

import socket
from contextlib import closing

import pytest

from gateway.backends.reserved_port import ReservedPort

LEVEL = socket.SOL_SOCKET
HOST = "127.0.0.1"


def listener(port, *, reuse_address=1, reuse_port=0, host=HOST):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family)
    try:
        opened.setsockopt(LEVEL, socket.SO_REUSEADDR, reuse_address)
        opened.setsockopt(LEVEL, socket.SO_REUSEPORT, reuse_port)
        opened.bind((host, port))
        opened.listen()
    except OSError:
        opened.close()
        raise
    return opened


def worker(port, host=HOST):
    return listener(port, reuse_port=1, host=host)


@pytest.fixture(params=["any", "named"])
async def held(request):
    port = 0
    if request.param == "named":
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
    held = await ReservedPort.claim(HOST, port)
    assert held.port == port or not port
    yield held
    held.close()


async def test_several_workers_listen_there_and_those_after_them(held):
    for _ in range(2):
        opened = [worker(held.port) for _ in range(3)]
        with closing(socket.create_connection((HOST, held.port))):
            pass
        for one in opened:
            one.close()


async def test_before_a_worker_listens_nobody_is_let_in(held):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, held.port))


@pytest.mark.parametrize("serving", [False, True])
async def test_nobody_else_can_have_it_whether_a_worker_lives_or_not(held, serving):
    workers = [worker(held.port)] if serving else []
    for reuse_address in (0, 1):
        with pytest.raises(OSError):
            listener(held.port, reuse_address=reuse_address)
    with pytest.raises(OSError):
        await ReservedPort.claim(HOST, held.port)
    for one in workers:
        one.close()


async def test_what_somebody_serves_cannot_be_claimed():
    with closing(listener(0)) as other, pytest.raises(OSError):
        await ReservedPort.claim(HOST, other.getsockname()[1])


async def test_connections_of_an_earlier_run_are_not_in_the_way():
    first = listener(0)
    port = first.getsockname()[1]
    client = socket.create_connection((HOST, port))
    served, _ = first.accept()
    served.close()  # first: the port stays in TIME_WAIT
    client.recv(1)
    client.close()
    first.close()
    (await ReservedPort.claim(HOST, port)).close()


async def test_every_address_of_a_name_has_the_same_port():
    held = await ReservedPort.claim("", 0)
    opened = [worker(held.port)]
    if socket.has_ipv6:
        with pytest.raises(OSError):
            listener(held.port, host="::1")
    for one in opened:
        one.close()
    held.close()
    listener(held.port).close()  # it is free again
