import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from gateway.audit.entry import Entry, Phase
from gateway.backends.audit_directory import Follower, list_trail
from gateway.backends.audit_file import FileAuditTrail
from gateway.cli import audit
from gateway.domain.act import Act
from gateway.domain.reason import Cause, Reason
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant

AT = Instant(datetime(2026, 11, 21, 11, 31, tzinfo=UTC))


class StillClock:
    def now(self):
        return AT

    def monotonic(self):
        return 0.0


def an_entry(number=0, **changes):
    entry = Entry(
        request_id=f"r{number}",
        at=Instant(AT + timedelta(seconds=number)),
        phase=Phase.ANSWER,
        method="GET",
        peer="192.0.2.1",
        policy="p",
        status=200,
        reason=Reason.RULE_ALLOWS,
        staff=StaffId("staff:mei"),
        resource="client",
        action="read",
        record="7",
        rules=(RuleRef("salon_rules.csv", 41),),
    )
    return structs.replace(entry, **changes)


def an_unmapped(number, path, method="GET"):
    return an_entry(
        number,
        method=method,
        path=path,
        status=404,
        reason=Reason.UNMAPPED,
        resource=None,
        action=None,
        record=None,
        rules=(),
    )


def enter(directory, *entries, worker="0", **options):
    """Write a trail as a gateway would."""

    async def work():
        trail = await FileAuditTrail.open(directory, worker=worker, clock=StillClock(), **options)
        for entry in entries:
            await trail.append(entry)
        await trail.close()

    asyncio.run(work())


def arguments(*words, output="text"):
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", default="gateway.yaml")
    parser.add_argument("--output", default="text")
    audit.register(parser.add_subparsers())
    return parser.parse_args(["--output", output, "audit", *map(str, words)])


def run(*words, output="text"):
    args = arguments(*words, output=output)
    return args.run(args)


def spoil(directory, old, new, index=0):
    path = list_trail(directory)[index].path
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


# tail


def test_tail_prints_one_line_an_entry_with_who_what_and_why(tmp_path, capsys):
    enter(tmp_path, an_entry())
    assert run("tail", "--dir", tmp_path) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split() == [
        "2026-11-21", "11:31:00Z", "staff:mei", "read", "client", "7", "200", "rule_allows",
        "salon_rules.csv:41",
    ]  # fmt: skip


def test_tail_aligns_its_columns(tmp_path, capsys):
    enter(tmp_path, an_entry(1), an_entry(2, staff=StaffId("staff:a-person-with-a-long-name-123")))
    run("tail", "--dir", tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert len({line.index("read client") for line in lines}) == 1


def test_tail_says_why_strangers_were_refused_and_how_many_more(tmp_path, capsys):
    stranger = an_entry(
        staff=None,
        status=401,
        reason=Reason.UNAUTHENTICATED,
        cause=Cause.EXPIRED,
        suppressed=12,
        rules=(),
    )
    enter(tmp_path, stranger)
    run("tail", "--dir", tmp_path)
    assert "unauthenticated (expired) +12 more" in capsys.readouterr().out


def test_tail_marks_the_end_of_what_flowed(tmp_path, capsys):
    enter(tmp_path, an_entry(), an_entry(1, phase=Phase.END, status=None))
    run("tail", "--dir", tmp_path)
    begun, ended = capsys.readouterr().out.splitlines()
    assert "(end)" not in begun
    assert "rule_allows (end)" in ended


def an_act(number, act, **changes):
    entry = Entry(
        request_id=f"a{number}",
        at=Instant(AT + timedelta(seconds=number)),
        phase=Phase.ACT,
        method="-",
        peer="192.0.2.1",
        policy="p",
        staff=StaffId("staff:hana"),
        act=act,
        whom=StaffId("staff:mei"),
    )
    return structs.replace(entry, **changes)


def test_tail_shows_who_did_what_to_whom(tmp_path, capsys):
    enter(
        tmp_path,
        an_act(1, Act.LOCK),
        an_act(2, Act.LOG_OUT, device=DeviceId("phone-1")),
        an_act(3, Act.OFFBOARD, staff=None, peer="-"),
        an_act(4, Act.SIGN_IN, whom=None, staff=StaffId("staff:mei")),
    )
    assert run("tail", "--dir", tmp_path) == 0
    told = [line.split()[2:] for line in capsys.readouterr().out.splitlines()]
    assert told == [
        ["staff:hana", "lock", "staff:mei", "-", "-", "act", "-"],
        ["staff:hana", "log_out", "staff:mei", "on", "phone-1", "-", "-", "act", "-"],
        ["(command", "line)", "offboard", "staff:mei", "-", "-", "act", "-"],
        ["staff:mei", "sign_in", "-", "-", "act", "-"],
    ]


def test_tail_shows_only_acts_and_all_acts_of_a_person_or_on_them(tmp_path, capsys):
    mine = an_act(2, Act.UNLOCK, staff=StaffId("staff:mei"), whom=StaffId("staff:ken"))
    others = an_act(3, Act.LOCK, whom=StaffId("staff:ken"))
    enter(tmp_path, an_entry(0), an_act(1, Act.LOCK), mine, others)
    run("tail", "--dir", tmp_path, "--acts", output="json")
    found = [json.loads(line)["request_id"] for line in capsys.readouterr().out.splitlines()]
    assert found == ["a1", "a2", "a3"]
    run("tail", "--dir", tmp_path, "--acts", "--staff", "mei", output="json")
    found = [json.loads(line)["request_id"] for line in capsys.readouterr().out.splitlines()]
    assert found == ["a1", "a2"]


def test_an_act_is_nothing_unmapped(tmp_path, capsys):
    enter(tmp_path, an_act(1, Act.LOCK))
    run("unmapped", "--dir", tmp_path)
    assert capsys.readouterr().out == "nothing was refused as unmapped\n"


def test_tail_shows_what_would_have_been(tmp_path, capsys):
    row = RuleRef("salon_rules.csv", 12)
    enter(
        tmp_path,
        an_entry(1, reason=Reason.WOULD_DENY, would=Reason.RULE_DENIES, would_by=(row,)),
        an_entry(2, would_hide=("email", "phone")),
    )
    run("tail", "--dir", tmp_path)
    first, second = capsys.readouterr().out.splitlines()
    assert "would_deny (rule_denies, salon_rules.csv:12)" in first
    assert "rule_allows (would hide email, phone)" in second


def test_tail_shows_the_intent_of_a_write_and_exempt_access(tmp_path, capsys):
    enter(
        tmp_path,
        an_entry(1, phase=Phase.INTENT, status=None, reason=None),
        an_entry(2, exempt=True),
    )
    run("tail", "--dir", tmp_path)
    first, second = capsys.readouterr().out.splitlines()
    assert "intent" in first
    assert "rule_allows (exempt)" in second


def test_tail_shows_the_last_n_across_files(tmp_path, capsys):
    enter(tmp_path, *(an_entry(n, record=f"rec{n}") for n in range(30)), max_file_bytes=1500)
    assert len(list_trail(tmp_path)) > 3
    run("tail", "-n", "7", "--dir", tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[5] for line in lines] == [f"rec{n}" for n in range(23, 30)]


def test_tail_of_nothing_and_of_zero_is_empty(tmp_path, capsys):
    assert run("tail", "--dir", tmp_path) == 0
    enter(tmp_path, an_entry())
    assert run("tail", "-n", "0", "--dir", tmp_path) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("typed", ["mei", "staff:mei"])
def test_tail_of_one_person_looks_back_until_it_has_enough(tmp_path, capsys, typed):
    others = [an_entry(n, staff=StaffId("staff:ken")) for n in range(2, 40)]
    enter(tmp_path, an_entry(1), *others)
    run("tail", "-n", "3", "--staff", typed, "--dir", tmp_path)
    (line,) = capsys.readouterr().out.splitlines()
    assert "staff:mei" in line


def test_tail_of_one_reason(tmp_path, capsys):
    late = an_entry(2, reason=Reason.OUTSIDE_HOURS, status=403)
    enter(tmp_path, an_entry(1), late, an_entry(3))
    run("tail", "--reason", "outside_hours", "--dir", tmp_path)
    (line,) = capsys.readouterr().out.splitlines()
    assert "outside_hours" in line


def test_tail_of_a_reason_that_does_not_exist_is_a_usage_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        run("tail", "--reason", "outside_hour", "--dir", tmp_path)
    assert caught.value.code == 2
    assert "outside_hours" in capsys.readouterr().err


def test_tail_as_json_prints_the_lines_as_they_stand(tmp_path, capsys):
    enter(tmp_path, an_entry(1, record="美咲"), an_entry(2))
    run("tail", "--dir", tmp_path, output="json")
    printed = capsys.readouterr().out
    _, *entries = list_trail(tmp_path)[0].path.read_text().splitlines(keepends=True)
    assert printed == "".join(entries)


def test_tail_puts_the_workers_lines_in_the_order_of_time(tmp_path, capsys):
    enter(tmp_path, an_entry(1, record="a"), an_entry(4, record="d"), worker="0")
    enter(tmp_path, an_entry(2, record="b"), an_entry(3, record="c"), worker="1")
    run("tail", "-n", "3", "--dir", tmp_path)
    assert [line.split()[5] for line in capsys.readouterr().out.splitlines()] == ["b", "c", "d"]


def test_tail_lets_no_path_write_on_the_terminal(tmp_path, capsys):
    enter(tmp_path, an_unmapped(1, "/\x1b[2J\n\u202e/x"))
    run("tail", "--dir", tmp_path)
    run("unmapped", "--dir", tmp_path)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "/\\x1b[2J\\n\\u202e/x" in printed


def test_tail_does_not_show_a_changed_line_as_if_it_were_true(tmp_path, capsys):
    enter(tmp_path, an_entry(1), an_entry(2), an_entry(3))
    spoil(tmp_path, b'"request_id":"r2","phase":"answer","method":"GET"', b'"method":"PUT"')
    assert run("tail", "--dir", tmp_path) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert "1 line(s) are not as they were written" in captured.err


def test_tail_follows_what_is_written_next_into_new_files(tmp_path, capsys):
    enter(tmp_path, an_entry(1, record="before"), max_file_bytes=1)
    looks = iter(range(3))

    def pause():
        look = next(looks)
        if look == 2:
            raise KeyboardInterrupt
        enter(tmp_path, an_entry(5 + look, record=f"look{look}"), max_file_bytes=1)

    args = arguments("tail", "--follow", "--dir", tmp_path)
    assert audit.run_tail(args, pause=pause) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[5] for line in lines] == ["before", "look0", "look1"]
    assert len({line.index("rule_allows") for line in lines}) == 1


def test_tail_shows_what_comes_between_its_two_looks_once(tmp_path, capsys, monkeypatch):
    enter(tmp_path, an_entry(1, record="before"))

    def follower(directory):
        made = Follower(directory)
        enter(tmp_path, an_entry(2, record="between"))
        return made

    pauses = []

    def pause():
        if pauses:
            raise KeyboardInterrupt
        pauses.append(1)

    monkeypatch.setattr(audit, "Follower", follower)
    audit.run_tail(arguments("tail", "--follow", "--dir", tmp_path), pause=pause)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[5] for line in lines] == ["before", "between"]


def test_tail_that_follows_one_person_leaves_the_others_out(tmp_path, capsys):
    enter(tmp_path, an_entry(1))
    pauses = []

    def pause():
        if pauses:
            raise KeyboardInterrupt
        pauses.append(1)
        enter(tmp_path, an_entry(2, staff=StaffId("staff:ken")), an_entry(3, record="mine"))

    args = arguments("tail", "-n", "0", "--follow", "--staff", "mei", "--dir", tmp_path)
    audit.run_tail(args, pause=pause)
    assert [line.split()[5] for line in capsys.readouterr().out.splitlines()] == ["mine"]


# verify


def test_verify_of_a_whole_trail_exits_0_and_prints_its_head(tmp_path, capsys):
    enter(tmp_path, an_entry(1), an_entry(2))
    assert run("verify", "--dir", tmp_path) == 0
    first, head = capsys.readouterr().out.splitlines()
    assert first == "worker 0: whole: 3 lines in 1 file(s)"
    last = json.loads(list_trail(tmp_path)[0].path.read_text().splitlines()[-1])
    assert head == f"  head 0:3:{last['hash']}"


def test_verify_exits_1_and_names_the_first_broken_place(tmp_path, capsys):
    enter(tmp_path, an_entry(1), an_entry(2), an_entry(3))
    spoil(tmp_path, b'"record":"7"', b'"record":"8"')
    spoil(tmp_path, b'"record":"7"', b'"record":"9"')
    assert run("verify", "--dir", tmp_path) == 1
    name = list_trail(tmp_path)[0].path.name
    assert capsys.readouterr().out == (
        f"worker 0: BROKEN: {name}:2: changed: the line's hash does not fit its content\n"
    )


def test_verify_as_json_is_one_object_a_worker(tmp_path, capsys):
    enter(tmp_path, an_entry(1), worker="0")
    enter(tmp_path, an_entry(1), worker="1")
    spoil(tmp_path, b'"record":"7"', b'"record":"8"', index=1)
    assert run("verify", "--dir", tmp_path, output="json") == 1
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    assert (good["worker"], good["whole"], good["lines"], good["files"]) == ("0", True, 2, 1)
    assert (bad["worker"], bad["whole"], bad["line"], bad["fault"]) == ("1", False, 2, "changed")


def test_verify_against_a_head_kept_elsewhere_sees_lines_cut_off_the_end(tmp_path, capsys):
    enter(tmp_path, an_entry(1), an_entry(2))
    run("verify", "--dir", tmp_path)
    head = capsys.readouterr().out.split("head ")[1].strip()
    assert run("verify", "--expect", head, "--dir", tmp_path) == 0
    path = list_trail(tmp_path)[0].path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    (tmp_path / "trail-0.head").unlink()
    assert run("verify", "--dir", tmp_path) == 0  # alone, the files cannot tell
    assert run("verify", "--expect", head, "--dir", tmp_path) == 1
    assert "known to have had line 3" in capsys.readouterr().out


def test_verify_against_a_head_of_a_worker_that_is_gone(tmp_path, capsys):
    enter(tmp_path, an_entry(1))
    assert run("verify", "--expect", f"9:1:{'0' * 64}", "--dir", tmp_path) == 1
    assert "worker 9: BROKEN" in capsys.readouterr().out


@pytest.mark.parametrize("typed", ["", "0", "0:1", "0:x:" + "0" * 64, "0:1:abc", ":1:" + "0" * 64])
def test_verify_takes_no_half_typed_head(tmp_path, capsys, typed):
    with pytest.raises(SystemExit) as caught:
        run("verify", "--expect", typed, "--dir", tmp_path)
    assert caught.value.code == 2
    assert "WORKER:N:HASH" in capsys.readouterr().err


def test_verify_of_a_changed_seal_says_so(tmp_path, capsys):
    enter(tmp_path, an_entry(1))
    (tmp_path / "trail-0.head").write_text("{}")
    assert run("verify", "--dir", tmp_path) == 1
    assert "trail-0.head:1: changed" in capsys.readouterr().out


def test_verify_says_what_retention_has_deleted(tmp_path, capsys):
    class LaterClock(StillClock):
        def now(self):
            return Instant(AT + timedelta(days=5))

    enter(tmp_path, an_entry(1))

    async def work():
        trail = await FileAuditTrail.open(tmp_path, clock=LaterClock(), retention_days=1)
        await trail.append(an_entry(2))
        await trail.close()

    asyncio.run(work())
    assert run("verify", "--dir", tmp_path) == 0
    assert "older than line 3: deleted by retention" in capsys.readouterr().out


def test_verify_of_an_empty_directory_is_not_good(tmp_path, capsys):
    assert run("verify", "--dir", tmp_path) == 1
    assert "no audit trail" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["tail", "verify", "unmapped"])
def test_a_directory_that_is_not_there_is_a_usage_error(tmp_path, capsys, verb):
    assert run(verb, "--dir", tmp_path / "nowhere") == 2
    assert "there is no directory" in capsys.readouterr().err


# unmapped


def test_unmapped_counts_by_method_and_path_with_the_last_time(tmp_path, capsys):
    enter(
        tmp_path,
        an_unmapped(1, "/api/reports"),
        an_unmapped(2, "/api/clients/17/notes"),
        an_entry(3),
        an_unmapped(4, "/api/clients/4/notes"),
        an_unmapped(5, "/api/clients/4/notes", method="POST"),
    )
    assert run("unmapped", "--dir", tmp_path) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["count", "last", "seen", "method", "path"],
        ["2", "2026-11-21", "11:31:04Z", "GET", "/api/clients/{n}/notes"],
        ["1", "2026-11-21", "11:31:01Z", "GET", "/api/reports"],
        ["1", "2026-11-21", "11:31:05Z", "POST", "/api/clients/{n}/notes"],
    ]


def test_unmapped_as_json(tmp_path, capsys):
    enter(tmp_path, an_unmapped(1, "/x/1"))
    run("unmapped", "--dir", tmp_path, output="json")
    assert json.loads(capsys.readouterr().out) == {
        "method": "GET",
        "path": "/x/{n}",
        "count": 1,
        "last_seen": "2026-11-21T11:31:01.000000Z",
    }


def test_unmapped_with_nothing_to_say_says_so(tmp_path, capsys):
    enter(tmp_path, an_entry(1))
    assert run("unmapped", "--dir", tmp_path) == 0
    assert capsys.readouterr().out == "nothing was refused as unmapped\n"


@pytest.mark.parametrize(
    ("path", "folded"),
    [
        ("/clients/17", "/clients/{n}"),
        ("/clients/17/", "/clients/{n}/"),
        ("/1/2/3", "/{n}/{n}/{n}"),
        ("/v2/clients", "/v2/clients"),
        ("/clients/17a", "/clients/17a"),
        ("/clients/١٧", "/clients/١٧"),  # digits, but not of an id
        ("/", "/"),
        ("", ""),
    ],
)
def test_only_segments_of_digits_are_folded(path, folded):
    assert audit.fold(path) == folded


# settings


def test_the_directory_comes_from_gateway_yaml_relative_to_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    (tmp_path / "gateway.yaml").write_text(
        "upstream: {url: 'http://127.0.0.1:1', adapter: salon-demo}\n"
        "audit: {directory: trail-here}\n"
        "tokens: {secret: '0123456789abcdef0123456789abcdef'}\n"
    )
    enter(tmp_path / "trail-here", an_entry(1))
    args = arguments("verify")
    args.config = str(tmp_path / "gateway.yaml")
    assert args.run(args) == 0
    assert "2 lines" in capsys.readouterr().out
