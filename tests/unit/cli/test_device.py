"""`salon-gateway device`: sentences for people, JSON for programs, exit codes for scripts."""

import argparse
import asyncio
import json

import pytest

from gateway.app import document_store, load_settings
from gateway.cli import acting, device
from gateway.devices import change
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds, to_milliseconds
from gateway.identity.devices import Span
from gateway.identity.sightings import Sighting, sighted

SETTINGS = """
upstream: {{url: "http://127.0.0.1:9", adapter: salon-demo}}
tokens: {{secret: 0123456789abcdef0123456789abcdef}}
state: {{url: "{url}"}}
"""
NOON = from_milliseconds(1_795_000_000_000)
MEI = StaffId("staff:mei")


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch):
    monkeypatch.setattr(acting, "STALE_SECONDS", 0)


@pytest.fixture
def run(tmp_path, capsys):
    def run(*words, output="text", url="sqlite:state/epochs.sqlite3"):
        config = tmp_path / "gateway.yaml"
        config.write_text(SETTINGS.format(url=url), encoding="utf-8")
        parser = argparse.ArgumentParser()
        device.register(parser.add_subparsers())
        args = parser.parse_args(["device", *words])
        args.config, args.output = str(config), output
        code = args.run(args)
        said = capsys.readouterr()
        return int(code), said.out, said.err

    return run


@pytest.fixture
def came(tmp_path, run):
    """A device came and waits."""

    def came(name, *, waits=True):
        run("list")  # writes gateway.yaml
        at = to_milliseconds(NOON)
        span = Span(place="00000001", first=at, last=at)
        seen = Sighting(
            device=DeviceId(name), app="phone", spans=(span,), admitted=None, waits=waits
        )

        async def write():
            settings = load_settings(str(tmp_path / "gateway.yaml"))
            documents = document_store(settings, tmp_path)
            try:
                await change(documents, MEI, NOON, lambda record: sighted(record, [seen]))
            finally:
                await documents.close()

        asyncio.run(write())

    return came


def as_json(answer):
    code, out, err = answer
    assert (code, err) == (0, "")
    return json.loads(out)


def test_an_empty_list_says_so(run):
    assert run("list") == (0, "no device was seen yet\n", "")
    assert run("list", "--waiting") == (0, "no device waits for approval\n", "")


def test_a_list_shows_name_state_app_and_when_it_was_seen(run, came):
    came("phone-1")
    code, out, _ = run("list")
    assert code == 0
    assert out.splitlines()[1].split() == [
        *("mei", "phone-1", "-", "waiting", "phone"),
        *("2026-11-18", "11:06", "UTC", "2026-11-18", "11:06", "UTC"),
    ]


def test_what_waits_and_whose_can_be_chosen(run, came):
    came("phone-1")
    came("desk", waits=False)
    waiting = as_json(run("list", "--waiting", output="json"))
    assert [one["device"] for one in waiting] == ["phone-1"]
    assert as_json(run("list", "--staff", "ken", output="json")) == []
    assert len(as_json(run("list", "--staff", "staff:mei", output="json"))) == 2


def test_a_device_is_approved_named_refused_and_forgotten(run, came):
    came("phone-1")
    assert run("approve", "mei", "phone-1") == (0, "phone-1 of mei is approved\n", "")
    (one,) = as_json(run("list", output="json"))
    assert (one["state"], one["by"]) == ("approved", None)
    assert one["said_at"]
    assert run("rename", "mei", "phone-1", " Front desk ")[1] == (
        "phone-1 of mei is called Front desk\n"
    )
    assert as_json(run("list", output="json"))[0]["name"] == "Front desk"
    assert run("rename", "mei", "phone-1")[1] == "phone-1 of mei has no name any more\n"
    refused = as_json(run("refuse", "mei", "phone-1", output="json"))
    assert (refused["state"], refused["name"]) == ("refused", None)
    assert as_json(run("forget", "mei", "phone-1", output="json")) is None
    assert as_json(run("list", output="json")) == []


def test_a_device_that_nobody_came_with_is_named_back(run, came):
    came("phone-1")
    code, out, err = run("refuse", "mei", "phone-2")
    assert (code, out) == (2, "")
    assert err == (
        "salon-gateway device: mei has no device `phone-2`; `salon-gateway device list` names "
        "those they came with\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("approve", "mei", "a device"),
        ("approve", "Mei!", "phone-1"),
        ("rename", "mei", "phone-1", "x" * 41),
        ("rename", "mei", "phone-1", "\x1b[31m"),
    ],
)
def test_what_is_no_name_is_a_usage_error(run, words):
    with pytest.raises(SystemExit) as caught:
        run(*words)
    assert caught.value.code == 2


def test_a_state_that_does_not_answer_is_a_broken_promise(run, came, tmp_path):
    came("phone-1")
    (tmp_path / "state" / "epochs-documents.sqlite3").write_bytes(b"not a database, not at all")
    for words in (("list",), ("approve", "mei", "phone-1")):
        code, out, err = run(*words)
        assert (code, out) == (1, "")
        assert "no answer" in err
