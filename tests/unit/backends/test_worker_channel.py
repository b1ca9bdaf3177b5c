"""What the supervisor and a worker say to each other, and how each notices the other's end."""

import os
import socket
import threading

import msgspec
import pytest

from gateway.backends import worker_channel
from gateway.backends.worker_channel import Lifeline, Listening, Orders

SECONDS = 30
ORDERS = Orders(
    worker=2,
    admin="/run/2.sock",
    settings='{"secret": "' + "x" * 200_000 + '"}',
    base="/srv/salon",
    settings_file="/srv/salon/gateway.yaml",
    output="text",
    again=False,
)


@pytest.fixture
def exits(monkeypatch):
    """Instead of the end of this process: with which code it would have ended."""
    codes = []
    monkeypatch.setattr(worker_channel, "ORPHAN_SECONDS", 0)
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


@pytest.fixture
def pair(exits):
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    lifeline = Lifeline(theirs.detach())
    with ours, lifeline._socket:
        yield ours, lifeline
        ours.close()
        joined()


def joined():
    for thread in threading.enumerate():
        if thread.name == "lifeline":
            thread.join(SECONDS)


def written(ours, *lines):
    """From another thread, as a process would: the pair holds less than a whole gateway.yaml."""
    writer = threading.Thread(target=lambda: [ours.sendall(line) for line in lines])
    writer.start()
    return writer


def test_orders_arrive_whole_and_what_follows_is_not_lost(pair):
    ours, lifeline = pair
    writer = written(ours, msgspec.json.encode(ORDERS) + b"\nreload\n")
    assert lifeline.orders() == ORDERS
    writer.join()
    heard, stopped = threading.Event(), threading.Event()
    lifeline.follow(reload=heard.set, stop=stopped.set)
    assert heard.wait(SECONDS)
    assert not stopped.is_set()
    assert not lifeline.gone


def test_what_is_said_is_one_line(pair):
    ours, lifeline = pair
    lifeline.say(Listening(policy="abc"))
    assert ours.recv(1000) == b'{"policy":"abc"}\n'


def test_the_end_is_noticed_before_the_orders(pair):
    ours, lifeline = pair
    ours.sendall(b'{"worker": 1')
    ours.close()
    with pytest.raises(EOFError):
        lifeline.orders()


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b'{"worker": "1"}\n', b"hello\n"])
def test_orders_that_are_none_are_refused(pair, line):
    ours, lifeline = pair
    ours.sendall(line)
    with pytest.raises(msgspec.MsgspecError):
        lifeline.orders()


def test_a_line_without_an_end_is_not_read_for_ever(pair, monkeypatch):
    monkeypatch.setattr(worker_channel, "MAX_LINE_BYTES", 1000)
    ours, lifeline = pair
    ours.sendall(b"x" * 70_000)
    with pytest.raises(EOFError):
        lifeline.orders()


def test_the_end_of_the_supervisor_stops_and_in_the_end_kills(pair, exits):
    stopped = threading.Event()
    ours, lifeline = pair
    lifeline.follow(reload=lambda: None, stop=stopped.set)
    ours.sendall(b"reload\nwhat is this\n")
    assert not stopped.is_set()
    ours.close()
    joined()
    assert stopped.is_set()
    assert lifeline.gone
    assert exits == [1]


def test_to_speak_to_a_supervisor_that_is_gone_is_no_error(pair):
    ours, lifeline = pair
    ours.close()
    lifeline.say(Listening(policy="abc"))


def test_the_line_goes_to_no_grandchild(pair):
    _, lifeline = pair
    assert not lifeline._socket.get_inheritable()
