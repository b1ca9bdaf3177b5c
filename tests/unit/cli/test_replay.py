"""`salon-gateway replay` and `explain --entry`: a trail of invented requests, other policies."""

import asyncio
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from gateway.app import load_bundle
from gateway.audit.entry import Entry, Phase
from gateway.backends.audit_directory import list_trail
from gateway.backends.audit_file import FileAuditTrail
from gateway.cli import replay
from gateway.cli.changes import REASONS
from gateway.domain.act import Act
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId, Role, staff_id
from gateway.domain.time import Instant
from gateway.tools.recorded import Left

NOON = Instant(datetime(2026, 11, 25, 3, 0, tzinfo=UTC))  # a Wednesday in Tokyo
NIGHT = NOON + timedelta(hours=9, minutes=30)
BIRTHDAYS = "p, role:stylist, client.personal, read, , allow\n"
NO_LISTS = "p, role:stylist, client, list, , deny\n"


class StillClock:
    def now(self):
        return NOON

    def monotonic(self):
        return 0.0


class Trail:
    """A salon's folder with a trail, and the digest of its policy."""

    def __init__(self, line):
        self.line = line
        self.policy = "of-then"
        self.entries = []

    def in_force(self):
        """From now on, entries are judged by the policy in force."""
        self.policy = load_bundle(str(self.line.config)).digest

    def run(self, *words, output="text"):
        return self.line(*map(str, words), output=output)

    def data(self, *words):
        return self.line.data(*map(str, words))

    def add(self, request_id, *, minutes=0, **changes):
        entry = Entry(
            request_id=request_id,
            at=Instant(NOON + timedelta(minutes=minutes)),
            phase=Phase.ANSWER,
            method="GET",
            peer="192.0.2.7",
            policy=self.policy,
            route="GET /api/clients/{id}",
            resource="client",
            action="read",
            record="7",
            staff=staff_id("mei"),
            salon="aoyama",
            roles=(Role("role:stylist"),),
            device=DeviceId("phone-mei"),
            app="backoffice",
            status=200,
            reason=Reason.RULE_ALLOWS,
            shown=("name", "notes"),
            hidden=("birthday", "phone"),
        )
        self.entries.append(structs.replace(entry, **changes))

    def a_list(self, request_id, **changes):
        self.add(request_id, route="GET /api/clients", action="list", record=None, **changes)

    def write(self, **options):
        async def work():
            folder = self.line.folder / "audit"
            trail = await FileAuditTrail.open(folder, worker="0", clock=StillClock(), **options)
            for entry in self.entries:
                await trail.append(entry)
            await trail.close()

        asyncio.run(work())
        return self

    def candidate(self, *rows, name="next"):
        """Another folder of policies, with further rows."""
        folder = self.line.folder / name
        shutil.copytree(self.line.folder / "policies", folder)
        with (folder / "salon_rules.csv").open("a", encoding="utf-8") as rules:
            rules.write("".join(rows))
        return folder


@pytest.fixture
def trail(line):
    return Trail(line)


def test_under_the_files_as_they_are_nothing_changes(trail):
    trail.in_force()
    trail.add("r1")
    trail.a_list("r2")
    trail.add("r3", staff=staff_id("ken"), hidden=(), shown=("name", "phone"))
    code, out, err = trail.write().run("replay")
    assert (code, err) == (0, "")
    assert "3 requests asked again" in out
    assert "nothing changes" in out


def test_a_deny_shows_who_would_be_refused_and_how_often(trail):
    for number in range(3):
        trail.a_list(f"r{number}", minutes=number)
    trail.add("r9")
    trail.write()
    folder = trail.candidate(NO_LISTS)
    code, out, err = trail.run("replay", folder)
    assert (code, err) == (1, "")
    first, second, last = out.splitlines()
    assert first.startswith(
        "would be refused: 3 x GET /api/clients: rule_denies (salon_rules.csv:"
    )
    when = "2026-11-25 03:00:00Z to 2026-11-25 03:02:00Z"
    assert second == f"    {when}: staff:mei; explain --entry r0"
    assert last.startswith("4 requests asked again under policy ")
    assert last.endswith(": 3 of them would be answered otherwise")


def test_an_allow_shows_which_fields_would_show(trail):
    trail.add("r1")
    trail.write()
    code, data = trail.data("replay", trail.candidate(BIRTHDAYS))
    assert code == 1
    (change,) = data["changes"]
    assert (change["kind"], change["shows"], change["hides"]) == ("mask", ["birthday"], [])
    assert (change["count"], change["people"], change["example"]) == (1, ["staff:mei"], "r1")


def test_whoever_was_refused_at_night_stays_refused_at_night(trail):
    shut = {"status": 403, "reason": Reason.OUTSIDE_HOURS, "at": NIGHT, "shown": (), "hidden": ()}
    trail.add("r1", **shut)
    trail.write()
    assert trail.run("replay", trail.candidate(BIRTHDAYS))[0] == 0
    folder = trail.candidate(name="late")
    hours = folder / "hours.yaml"
    hours.write_text(hours.read_text(encoding="utf-8").replace("-20:00", "-23:00")
                     .replace("-19:00", "-23:00"), encoding="utf-8")  # fmt: skip
    code, data = trail.data("replay", folder)
    assert (code, [change["kind"] for change in data["changes"]]) == (1, ["let_through"])


def test_what_cannot_be_asked_again_is_counted_by_reason(trail):
    nothing = {"shown": (), "hidden": ()}
    trail.add("r1", reason=Reason.HIDDEN_FIELD_ASKED, status=403, **nothing)
    trail.add("r2", reason=Reason.BODY_INVALID, status=400, **nothing)
    trail.add("r3", reason=Reason.UPSTREAM_TIMEOUT, status=504, **nothing)
    trail.add("r4", staff=None, reason=Reason.UNAUTHENTICATED, status=401, suppressed=5)
    trail.add("r5", phase=Phase.INTENT, status=None, reason=None)
    trail.add("r6", phase=Phase.TALLY, staff=None, reason=None, status=None, suppressed=2)
    trail.add("r7", reason=Reason.NOT_ON_ROSTER, status=403, route=None, path="/api/clients")
    code, data = trail.write().data("replay")
    assert code == 0
    assert data["asked"] == 0
    assert data["left_out"] == {"question": 1, "body": 1, "crm": 1, "identity": 2, "tally": 7}
    _, out, _ = trail.run("replay")
    assert "not asked again: 7: refusals of strangers without a line of their own" in out
    assert set(REASONS) == set(Left)


def test_a_line_that_was_changed_is_said_and_is_no_success(trail):
    trail.add("r1")
    trail.add("r2", record="8")
    trail.write()
    path = list_trail(trail.line.folder / "audit")[0].path
    path.write_bytes(path.read_bytes().replace(b'"record":"8"', b'"record":"9"'))
    code, out, err = trail.run("replay")
    assert code == 1
    assert "1 requests asked again" in out
    assert "1 line(s) are not as they were written" in err


def test_since_until_and_staff_choose(trail):
    for minutes, who in ((0, "mei"), (10, "mei"), (20, "ken"), (30, "mei")):
        trail.add(f"r{minutes}", minutes=minutes, staff=staff_id(who))
    trail.write(max_file_bytes=1500)

    def asked(*words):
        return trail.data("replay", *words)[1]["asked"]

    assert asked() == 4
    assert asked("--staff", "mei") == asked("--staff", "staff:mei") == 3
    assert asked("--since", "2026-11-25T12:10") == 3  # Tokyo's clock
    assert asked("--since", "2026-11-25T12:10", "--until", "2026-11-25T12:30") == 2
    assert asked("--since", "2026-11-26") == asked("--until", "2026-11-25T12:00") == 0


def test_files_that_can_hold_nothing_are_not_opened(trail, tmp_path):
    trail.add("r1")
    trail.write()
    (file,) = list_trail(trail.line.folder / "audit")
    days = [replace(file, number=n, day=file.day + timedelta(days=4 * n)) for n in range(4)]
    wanted = replay.Wanted(since=Instant(NOON + timedelta(days=6)))
    assert [one.number for one in wanted.files(days)] == [1, 2, 3]
    assert [one.number for one in replay.Wanted(until=NOON).files(days)] == [0]


def test_a_candidate_is_a_folder_of_policies_or_one_with_gateway_yaml(trail):
    trail.a_list("r1")
    trail.write()
    folder = trail.candidate(NO_LISTS)
    whole = trail.line.folder / "whole"
    whole.mkdir()
    shutil.copytree(folder, whole / "policies")
    shutil.copytree(trail.line.folder / "adapters", whole / "adapters")
    settings = (trail.line.folder / "gateway.yaml").read_text(encoding="utf-8")
    (whole / "gateway.yaml").write_text(settings, encoding="utf-8")
    shutil.copytree(trail.line.folder / "secrets", whole / "secrets", dirs_exist_ok=True) if (
        trail.line.folder / "secrets"
    ).exists() else None
    answers = [
        trail.data("replay", one, "--dir", trail.line.folder / "audit")
        for one in (folder, whole, whole / "gateway.yaml")
    ]
    assert [code for code, _ in answers] == [1, 1, 1]
    assert len({data["policy"] for _, data in answers}) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere",), 2, "is in no git repository"),
        (("--since", "yesterday"), 2, "`yesterday` is not a moment"),
        (("--staff", "Mei Tanaka"), 2, "a staff id is"),
        (("--dir", "nowhere"), 2, "there is no directory"),
    ],
)
def test_a_wrong_question_is_a_usage_error(trail, words, code, said):
    trail.write()
    got, out, err = trail.run("replay", *words)
    assert (got, out) == (code, "")
    assert said in err


def test_a_candidate_that_does_not_load_is_said_with_its_findings(trail):
    trail.write()
    code, _, err = trail.run("replay", trail.candidate("p, role:stylst, client, read, , allow\n"))
    assert code == 3
    assert "did you mean `role:stylist`?" in err


def test_ci_gets_one_check_for_each_kind_of_change(trail):
    trail.a_list("r1")
    trail.write()
    folder = trail.candidate(NO_LISTS)
    _, out, _ = trail.run("replay", folder, output="github")
    assert out.startswith("::error::would be refused: GET /api/clients: rule_denies")
    _, out, _ = trail.run("replay", output="junit")
    assert 'tests="1" failures="0"' in out


def test_a_request_that_only_observed_rules_would_have_refused_counts_as_let_through(trail):
    trail.a_list("r1", reason=Reason.WOULD_DENY, would=Reason.RULE_DENIES, policy="an-older-one")
    trail.write()
    code, data = trail.data("replay", trail.candidate(NO_LISTS))
    assert code == 1
    (change,) = data["changes"]
    assert (change["then"], change["would_then"], change["now"]) == (
        "would_deny", "rule_denies", "rule_denies",
    )  # fmt: skip


def test_no_path_of_a_stranger_writes_on_the_terminal(trail):
    trail.add(
        "r1", reason=Reason.UNMAPPED, status=404, route=None, path="/api/\x1b[2J", record=None
    )
    trail.add(
        "r2", reason=Reason.UNMAPPED, status=404, route=None, path="/api/clients/7", record=None,
        resource=None, action=None, shown=(), hidden=(),
    )  # fmt: skip
    code, out, _ = trail.write().run("replay")
    assert code == 1  # the adapter has that route by now
    assert "would be let through: 1 x GET /api/clients/{n}: unmapped then" in out
    assert "\x1b" not in out


# -- explain --entry ---------------------------------------------------------------------------


def test_an_entry_is_told_and_explained(trail):
    trail.in_force()
    trail.add("r1", sent=(), facts=("app:backoffice", "?approved_device"))
    code, out, err = trail.write().run("explain", "--entry", "r1")
    assert (code, err) == (0, "")
    assert "recorded r1, 2026-11-25 03:00:00Z, policy " in out
    assert "  answer   200 rule_allows" in out
    assert "  facts    app:backoffice, ?approved_device" in out
    assert "the policy in force is the one that judged it:" in out
    assert "staff:mei GET /api/clients/7 goes through" in out
    assert "  at       Wed 2026-11-25 12:00 (Asia/Tokyo)" in out


def test_an_entry_of_another_policy_is_held_against_the_one_in_force(trail):
    trail.a_list("r1", policy="0123456789abcdef")
    trail.write()
    with (trail.line.folder / "policies" / "salon_rules.csv").open("a") as rules:
        rules.write(NO_LISTS)
    code, out, _ = trail.run("explain", "--entry", "r1")
    assert code == 1
    assert "another policy judged it than the one in force" in out
    assert "  would be refused: rule_denies (salon_rules.csv:" in out
    _, data = trail.data("explain", "--entry", "r1")
    assert (data["same_policy"], data["change"]["kind"]) == (False, "refused")
    assert data["explanation"]["stops"][0]["reason"] == "rule_denies"


def test_a_policy_that_says_something_else_than_it_said_is_an_error(trail):
    trail.in_force()
    trail.add(
        "r1", staff=staff_id("mei"), reason=Reason.RULE_DENIES, status=403, shown=(), hidden=()
    )
    code, out, err = trail.write().run("explain", "--entry", "r1")
    assert code == 1
    assert "goes through" in out
    assert "differs from what was recorded: rule_denies then" in err


def test_a_refusal_of_nobody_known_is_told_without_an_explanation(trail):
    trail.add(
        "r1", staff=None, salon=None, roles=(), reason=Reason.UNAUTHENTICATED, cause=Cause.EXPIRED,
        status=401, route=None, path="/api/clients", shown=(), hidden=(),
    )  # fmt: skip
    code, out, _ = trail.write().run("explain", "--entry", "r1")
    assert code == 1
    assert "  answer   401 unauthenticated (expired)" in out
    assert out.endswith("nothing more can be said of it\n")


def test_an_unmapped_request_is_explained_by_its_path(trail):
    trail.add("r1", reason=Reason.UNMAPPED, status=404, route=None, path="/api/odd", record=None)
    code, out, _ = trail.write().run("explain", "--entry", "r1")
    assert code == 1
    assert "staff:mei GET /api/odd is refused: unmapped" in out


def test_of_a_change_the_outcome_is_told_or_that_there_is_none(trail):
    trail.add("r1", phase=Phase.INTENT, method="PATCH", status=None, reason=None)
    trail.write()
    code, _, err = trail.run("explain", "--entry", "r1")
    assert (code, "only an intent was entered" in err) == (2, True)


def test_an_act_is_no_request_and_is_left_out(trail):
    trail.add("r1", phase=Phase.ACT, act=Act.LOCK, whom=staff_id("mei"), status=None, reason=None)
    trail.write()
    code, _, err = trail.run("explain", "--entry", "r1")
    assert (code, "the entry is an act, no request" in err) == (2, True)
    code, data = trail.data("replay")
    assert (code, data["asked"], data["left_out"]) == (0, 0, {})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--entry", "r1", "--who", "mei"), "`--entry` stands alone"),
        (("--entry", "r1", "GET", "/api/clients"), "`--entry` stands alone"),
        (("--who", "mei"), "say who and what"),
        (("GET", "/api/clients"), "say who and what"),
    ],
)
def test_an_entry_and_a_question_are_two_things(trail, capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        trail.run("explain", *words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_an_entry_that_is_not_there_is_a_usage_error(trail):
    trail.add("r1")
    code, out, err = trail.write().run("explain", "--entry", "r9")
    assert (code, out) == (2, "")
    assert "no entry `r9`" in err


def test_an_entry_that_was_changed_is_not_told(trail):
    trail.add("r1")
    trail.write()
    path = list_trail(trail.line.folder / "audit")[0].path
    path.write_bytes(path.read_bytes().replace(b'"record":"7"', b'"record":"9"'))
    code, out, err = trail.run("explain", "--entry", "r1")
    assert (code, out) == (1, "")
    assert "not as they were written" in err


def test_the_json_has_the_entry_as_it_stands(trail):
    trail.add("r1")
    trail.write()
    _, data = trail.data("explain", "--entry", "r1")
    assert data["entry"]["request_id"] == "r1"
    assert data["explanation"]["allowed"] is True
    assert json.dumps(data["change"]) == "null"
