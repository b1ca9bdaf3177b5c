"""`salon-gateway staff`: who works here, who does not any more, and who is kept out."""

import asyncio
import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.app import document_store, load_settings
from gateway.backends.audit_file import FileAuditTrail
from gateway.backends.clock import SystemClock
from gateway.cli import acting
from gateway.ports import Kind

MORE = """
  - id: past
    name: Past Person
    salons: {aoyama: [role:stylist]}
    joined: 2020-01-01
    leaves_on: 2021-01-31
  - id: next
    name: 다음 사람
    salons: {aoyama: [role:stylist]}
    joined: 2999-01-01
  - id: leaving
    name: Leaving Person
    salons: {aoyama: [role:stylist, role:reception]}
    joined: 2020-01-01
    on_notice_since: 2021-01-01
"""


def listed(line):
    with (line.folder / "policies" / "staff.yaml").open("a", encoding="utf-8") as file:
        file.write(MORE)
    code, data = line.data("staff", "list")
    assert code == 0
    return {person["staff"]: person for person in data}


def test_everybody_is_listed_with_their_standing(line):
    standing = {staff: person["standing"] for staff, person in listed(line).items()}
    assert standing == {
        **dict.fromkeys(
            ["staff:hana", "staff:ken", "staff:mei", "staff:yuki", "staff:rei", "staff:oksana"],
            "works here",
        ),
        "staff:past": "left on 2021-01-31",
        "staff:next": "joins on 2999-01-01",
        "staff:leaving": "on notice since 2021-01-01",
    }


def test_given_and_inherited_roles_are_told_apart(line):
    hana = listed(line)["staff:hana"]
    assert hana["salons"] == {"aoyama": ["role:owner"]}
    assert hana["held"] == {
        "aoyama": ["role:anyone", "role:manager", "role:owner", "role:reception"]
    }


def test_the_table_has_a_heading_and_one_line_a_person_in_any_script(line):
    listed(line)
    code, out, _ = line("staff", "list")
    assert code == 0
    heading, *rows = out.splitlines()
    assert heading.split() == ["who", "name", "salon", "roles", "standing"]
    assert len(rows) == 9
    assert any("다음 사람" in row and "joins on 2999-01-01" in row for row in rows)
    assert any("role:owner (role:manager, role:reception)" in row for row in rows)


def lock_of(line, who):
    _, data = line.data("staff", "list")
    return {person["staff"]: person["lock"] for person in data}[f"staff:{who}"]


def acts(line):
    lines = [
        json.loads(text)
        for file in sorted((line.folder / "audit").glob("trail-cli-*.jsonl"))
        for text in file.read_text(encoding="utf-8").splitlines()
    ]
    return [(entry["act"], entry["whom"]) for entry in lines if entry["kind"] == "entry"]


def put(line, kind, key, value):
    async def work():
        documents = document_store(load_settings(str(line.config)), line.folder)
        try:
            return await documents.put(kind, key, value, replaces=None, now=SystemClock().now())
        finally:
            await documents.close()

    assert asyncio.run(work()) is not None


def test_a_lock_is_said_listed_entered_and_lifted(line):
    said = "mei is locked: every session has ended, and no other begins\n"
    assert line("staff", "lock", "mei") == (0, said, "")
    assert lock_of(line, "mei")["locked"] is True
    assert "works here; locked" in line("staff", "list")[1]
    said = "mei is not locked any more, and may sign in anew\n"
    assert line("staff", "unlock", "staff:mei") == (0, said, "")
    assert lock_of(line, "mei") is None
    assert line("staff", "unlock", "mei")[1] == "mei was not locked\n"
    assert acts(line) == [
        ("lock", "staff:mei"),
        ("unlock", "staff:mei"),
        ("unlock", "staff:mei"),
    ]


def test_who_is_seen_out_is_out_for_good_and_the_list_says_the_id_is_used_up(line):
    put(line, Kind.LEARNED, "credential-1", b'{"staff":"staff:mei"}')
    said = "mei has left: everything of theirs has ended, and the id is never used again\n"
    assert line("staff", "offboard", "mei") == (0, said, "")
    assert lock_of(line, "mei")["left"] is True
    code, out, _ = line("staff", "unlock", "mei")
    assert (code, out) == (1, "mei has left, and stays out; a new person gets a new id\n")
    assert line("staff", "lock", "mei")[1].startswith("mei has left already")
    out = line("staff", "list")[1]
    assert "staff.yaml:38:5: `mei` has left; give the new person another id" in out
    put(line, Kind.LEARNED, "credential-1", b"{}")  # the place is free: it was removed


def test_who_has_left_by_the_roster_too_is_no_warning(line):
    everybody = listed(line)
    assert everybody["staff:past"]["standing"] == "left on 2021-01-31"
    line("staff", "offboard", "past")
    assert "has left; give" not in line("staff", "list")[1]


def test_who_leaves_later_is_listed_with_the_moment_on_the_salons_clock(line):
    at = ("--at", "2998-11-30T20:00", "--notice-from", "2998-11-01")
    code, out, _ = line("staff", "offboard", "mei", *at)
    when = "Fri 2998-11-30 20:00 (Asia/Tokyo)"
    assert (code, out) == (
        0,
        f"mei leaves at {when}, on notice from 2998-11-01; nothing changes before\n",
    )
    assert f"works here; leaves at {when}" in line("staff", "list")[1]
    assert lock_of(line, "mei")["leaves_at"] == "2998-11-30T11:00:00+00:00"
    assert line("staff", "lock", "mei")[1].endswith(f"no other begins; leaves at {when}\n")
    assert f"works here; locked; leaves at {when}" in line("staff", "list")[1]
    line("staff", "offboard", "mei", "--at", "2998-12-24T20:00+01:00")
    assert lock_of(line, "mei")["leaves_at"] == "2998-12-24T19:00:00+00:00"


HOURS = """
salons:
  aoyama: {{timezone: Asia/Tokyo, weekly: {{{week}}}}}
  yoyogi: {{timezone: Asia/Tokyo, weekly: {{}}}}
protected: [client]
exempt_roles: [role:manager]
"""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def open_all_day(line, *days):
    week = ", ".join(f'{day}: ["00:00-24:00"]' for day in days)
    (line.folder / "policies" / "hours.yaml").write_text(HOURS.format(week=week), encoding="utf-8")


def test_the_end_of_the_shift_is_when_the_salon_closes_today(line):
    open_all_day(line, *DAYS)
    tomorrow = SystemClock().now().astimezone(ZoneInfo("Asia/Tokyo")) + timedelta(days=1)
    assert line("staff", "offboard", "mei", "--at", "end-of-shift")[0] == 0
    midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=ZoneInfo("Asia/Tokyo"))
    said = datetime.fromisoformat(lock_of(line, "mei")["leaves_at"])
    assert said - midnight in {timedelta(0), timedelta(days=1)}  # midnight may pass meanwhile


def test_the_end_of_the_shift_is_now_when_the_salon_is_closed(line):
    open_all_day(line)
    code, out, _ = line("staff", "offboard", "mei", "--at", "end-of-shift")
    assert (code, out.startswith("mei has left")) == (0, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mei", "--at", "2020-01-01T12:00"), "is over; `--at now`"),
        (("mei", "--at", "tomorrow"), "`now` or `end-of-shift`"),
        (("gone", "--unlisted", "--at", "2998-01-01T12:00"), "write a zone"),
        (("gone", "--unlisted", "--at", "end-of-shift"), "no shift is known"),
        (("kenn",), "did you mean `ken`?"),
        (("somebody",), "nobody knows `somebody`"),
    ],
)
def test_what_makes_no_sense_is_asked_back_and_nothing_is_done(line, words, said):
    code, out, err = line("staff", "offboard", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert acts(line) == []


@pytest.mark.parametrize("date", ["2998-11-31", "2998-11-30T20:00", "20981130", "soon"])
def test_a_notice_is_from_a_day(line, capsys, date):
    with pytest.raises(SystemExit) as stopped:
        line("staff", "offboard", "mei", "--notice-from", date)
    assert stopped.value.code == 2
    assert date in capsys.readouterr().err


def test_who_is_not_on_the_roster_any_more_can_still_be_seen_out(line):
    line("session", "enrol", "gone")
    assert line("staff", "offboard", "gone")[0] == 0
    assert line("staff", "offboard", "older", "--unlisted")[0] == 0
    out = line("staff", "list")[1]
    rows = [row.split() for row in out.splitlines() if "not on the roster" in row]
    assert [(row[0], " ".join(row[4:])) for row in rows] == [
        ("staff:gone", "not on the roster; has left"),
        ("staff:older", "not on the roster; has left"),
    ]


def test_a_policy_that_does_not_load_keeps_nobody_in(line):
    line("session", "enrol", "mei")
    rules = line.folder / "policies" / "salon_rules.csv"
    rules.write_text("nonsense\n", encoding="utf-8")
    code, out, err = line("staff", "offboard", "mei")
    assert (code, out.startswith("mei has left")) == (0, True)
    assert "the policy does not load" in err


def test_without_a_trail_nothing_is_done(line, monkeypatch):
    monkeypatch.setattr(acting, "PAUSE_SECONDS", 0.0)
    (line.folder / "audit").write_text("not a folder", encoding="utf-8")
    for act in ("lock", "offboard"):
        code, out, err = line("staff", act, "mei")
        assert (code, out) == (1, "")
        assert "nothing was done" in err
    assert lock_of(line, "mei") is None


def test_a_chain_that_somebody_else_holds_is_waited_for(line, monkeypatch):
    async def work():
        holder = await FileAuditTrail.open(
            line.folder / "audit", worker=acting.WORKER, clock=SystemClock()
        )
        tried = 0

        async def open_it():
            nonlocal tried
            tried += 1
            if tried == 3:
                await holder.close()
            return await FileAuditTrail.open(
                line.folder / "audit", worker=acting.WORKER, clock=SystemClock()
            )

        trail = await acting.own_chain(open_it)
        await trail.close()
        return tried

    monkeypatch.setattr(acting, "PAUSE_SECONDS", 0.0)
    assert asyncio.run(work()) == 3


def test_a_state_that_is_away_is_said_so(line):
    line.edit("gateway.yaml", "sqlite:state/epochs.sqlite3", "redis://:sesame@127.0.0.1:1/0")
    code, out, err = line("staff", "lock", "mei")
    assert (code, out) == (1, "")
    assert "it may not have been done" in err
    code, out, err = line("staff", "list")
    assert code == 1
    assert "works here; locks not known" in out
    assert "who is locked or has left is not known" in err
    assert "sesame" not in err


def test_somebody_who_was_away_for_long_is_let_in_again_and_it_is_entered(line, monkeypatch):
    monkeypatch.setattr(acting, "STALE_SECONDS", 0)
    assert line("staff", "reactivate", "mei") == (0, "mei counts as seen today\n", "")
    code, out, _ = line("audit", "tail", "--acts")
    assert code == 0
    assert "reactivate staff:mei" in out


def test_whoever_has_left_or_is_nobody_is_not_let_in_again(line, monkeypatch):
    monkeypatch.setattr(acting, "STALE_SECONDS", 0)
    line("staff", "offboard", "mei")
    code, out, err = line("staff", "reactivate", "mei")
    assert (code, out) == (2, "")
    assert "mei has left, and stays out" in err
    assert line("staff", "reactivate", "nobody-known")[0] == 2


def test_a_lock_stays_when_somebody_is_let_in_again(line, monkeypatch):
    monkeypatch.setattr(acting, "STALE_SECONDS", 0)
    line("staff", "lock", "mei")
    said = "mei counts as seen today, and is still locked\n"
    assert line("staff", "reactivate", "mei") == (0, said, "")
