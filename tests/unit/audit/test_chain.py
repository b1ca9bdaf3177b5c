import hashlib
import json
from datetime import UTC, datetime

import pytest

from gateway.audit.chain import (
    GENESIS,
    MAX_LINE_BYTES,
    Head,
    Link,
    chain,
    entry_body,
    head_body,
    parse,
    parse_head,
    read_line,
    render,
)
from gateway.audit.entry import Entry, Phase
from gateway.domain.access import WindowState
from gateway.domain.act import Act
from gateway.domain.reason import Cause, Reason
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import Instant

AT = Instant(datetime(2026, 11, 21, 11, 31, tzinfo=UTC))


def an_entry(**changes):
    values = {
        "request_id": "r1",
        "at": AT,
        "phase": Phase.ANSWER,
        "method": "GET",
        "peer": "192.0.2.1",
        "policy": "abc",
    }
    return Entry(**{**values, **changes})


def a_full_entry():
    return an_entry(
        path="/api/x",
        route="GET /api/clients/{id}",
        resource="client",
        action="read",
        record="7",
        staff=StaffId("staff:mei"),
        salon="aoyama",
        roles=(Role("role:stylist"), Role("role:anyone")),
        device=DeviceId("phone-1"),
        app="phone",
        window=WindowState.GRACE,
        exempt=True,
        status=200,
        reason=Reason.RULE_ALLOWS,
        cause=Cause.EXPIRED,
        rules=(RuleRef("salon_rules.csv", 41),),
        ids=("8",),
        facts=("inside_window", "?approved_device"),
        record_salon="aoyama",
        record_facts=("own_client", "!dormant"),
        narrowed_to=(Role("role:stylist"),),
        unplaced=True,
        sent=("name",),
        whole=True,
        refused=2,
        unmatched=4,
        would=Reason.RULE_DENIES,
        would_by=(RuleRef("salon_rules.csv", 12),),
        would_hide=("email",),
        would_refuse=1,
        shown=("name",),
        hidden=("phone",),
        suppressed=3,
        grant="g1",
        act=Act.LOCK,
        whom=StaffId("staff:ken"),
    )


def a_head(**changes):
    values = {"worker": "0", "file": 1, "oldest": 1, "started": AT}
    return Head(**{**values, **changes})


def test_every_attribute_of_an_entry_stands_in_its_line():
    line, _ = render(a_full_entry(), GENESIS)
    names = set(Entry.__struct_fields__)
    assert set(parse(line)) == names | {"kind", "n", "prev", "hash"}


def test_a_line_says_what_the_entry_says():
    members = parse(render(a_full_entry(), GENESIS)[0])
    assert members["at"] == "2026-11-21T11:31:00.000000Z"
    assert members["rules"] == ["salon_rules.csv:41"]
    assert members["reason"] == "rule_allows"
    assert members["roles"] == ["role:stylist", "role:anyone"]
    assert members["suppressed"] == 3


def test_empty_members_are_left_out():
    members = parse(render(an_entry(), GENESIS)[0])
    assert list(members) == [
        "kind", "at", "request_id", "phase", "method", "peer", "policy", "n", "prev", "hash",
    ]  # fmt: skip


def test_the_hash_is_sha256_of_the_line_without_its_hash_member():
    line, link = render(an_entry(), Link(6, "ab" * 32))
    text = line.decode().removesuffix("\n")
    without = text.replace(f',"hash":"{link.hash}"', "")
    assert hashlib.sha256(without.encode()).hexdigest() == link.hash
    assert json.loads(text)["prev"] == "ab" * 32
    assert link.n == json.loads(text)["n"] == 7


def test_the_same_entry_elsewhere_in_the_chain_has_another_hash():
    places = [Link(0, "0" * 64), Link(0, "1" * 64), Link(1, "1" * 64)]
    assert len({render(an_entry(), place)[1].hash for place in places}) == 3


def test_a_line_is_one_line_whatever_its_texts_hold():
    line, _ = render(an_entry(path='/a\nb\r"\\\u2028\x1b'), GENESIS)
    assert line.count(b"\n") == 1
    assert parse(line)["path"] == '/a\nb\r"\\\u2028\x1b'


def test_a_text_that_looks_like_the_end_of_a_line_is_only_a_text():
    trick = '","n":9,"prev":"' + "0" * 64 + '","hash":"' + "0" * 64 + '"}'
    line, link = render(an_entry(path=trick), GENESIS)
    read = read_line(line)
    assert read is not None
    assert (read.link, read.prev, read.sound) == (link, GENESIS.hash, True)


def test_other_scripts_stand_as_they_are():
    assert "美咲".encode() in render(an_entry(record="美咲"), GENESIS)[0]


def test_an_entry_is_not_lost_for_bytes_that_are_no_utf8():
    line, _ = render(an_entry(path="/a\udc80b", shown=("x\udcff",)), GENESIS)
    assert parse(line)["path"] == "/a\\udc80b"
    assert parse(line)["shown"] == ["x\\udcff"]


def test_an_entry_longer_than_a_line_is_refused_not_cut():
    with pytest.raises(ValueError, match="too long"):
        entry_body(an_entry(record="x" * MAX_LINE_BYTES))


def test_the_longest_entry_that_is_taken_can_be_read_back():
    room = MAX_LINE_BYTES - 256 - len(entry_body(an_entry(record="x")))
    line, _ = render(an_entry(record="x" * room), Link(10**17, "f" * 64))
    assert len(parse(line)["record"]) == room


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: line.replace(b"GET", b"PUT"),
        lambda line: line.replace(b'"n":1,', b'"n":2,'),
        lambda line: line.replace(b'"prev":"0', b'"prev":"1'),
        lambda line: line.removesuffix(b"\n"),
        lambda line: line + b"\n",
        lambda line: b" " + line,
        lambda line: line.replace(b'"}\n', b'" }\n'),
        lambda line: line.replace(b'"n":1,', b'"n":01,'),
        lambda _: b"\n",
        lambda _: b"",
        lambda _: b"\0" * 200 + b"\n",
    ],
)
def test_a_line_that_was_touched_is_not_parsed(spoil):
    line, _ = render(an_entry(), GENESIS)
    parse(line)
    with pytest.raises(ValueError):
        parse(spoil(line))


def test_a_sound_line_that_is_no_strict_json_is_not_parsed():
    line, _ = chain(b'{"kind":"entry","a":1,"a":2', GENESIS)
    with pytest.raises(ValueError):
        parse(line)


def test_a_head_says_whose_file_it_is():
    head = parse_head(chain(head_body(a_head(file=17, oldest=3)), GENESIS)[0])
    assert (head["worker"], head["file"], head["oldest"]) == ("0", 17, 3)
    assert head["started"] == "2026-11-21T11:31:00.000000Z"


def test_an_entry_is_not_a_head():
    with pytest.raises(ValueError, match="must begin with a head"):
        parse_head(render(an_entry(), GENESIS)[0])


@pytest.mark.parametrize(
    ("typed", "match"),
    [
        (b'{"kind":"head","format":2,"worker":"0","file":1,"oldest":1,"started":"x"', "format"),
        (b'{"kind":"head","format":1,"worker":"0","oldest":1,"started":"x"', "`file`"),
        (b'{"kind":"head","format":1,"worker":"0","file":true,"oldest":1,"started":"x"', "`file`"),
    ],
)
def test_a_head_of_another_shape_is_refused(typed, match):
    with pytest.raises(ValueError, match=match):
        parse_head(chain(typed, GENESIS)[0])
