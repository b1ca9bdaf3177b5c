"""An answer that still flows is judged again by every policy that comes into force meanwhile."""

import json
import logging
from dataclasses import replace

import pytest

from gateway.build import SourceFile, Sources, build
from gateway.domain.errors import GatewayError
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import staff_id
from tests.unit.test_pipeline import Salon, source

SOURCES = Sources(
    rules=source("policies/salon_rules.csv"),
    model=source("policies/model.conf"),
    hours=source("policies/hours.yaml"),
    staff=source("policies/staff.yaml"),
    adapter=SourceFile(
        name="salon-demo.yaml",
        data=source("adapters/salon-demo.yaml")
        .data.replace(b"asset: { sensitive: false }", b"asset: {sensitive: false, fields: {a: a}}")
        .replace(b"resource: asset, action: read, pass: true", b"resource: asset, action: read"),
    ),
    apps=("phone", "backoffice"),
)
# The starter policy, but what lies under /assets goes by rules. It is not sensitive: it flows.
POLICY = build(SOURCES)
FILM = "/assets/film.mp4"


def changed(part, *pairs):
    """The starter policy with other texts in one of its files."""
    file = getattr(SOURCES, part)
    text = file.data.decode()
    for old, new in pairs:
        assert old in text, f"{file.name} has changed: write down another line of it"
        text = text.replace(old, new)
    return build(replace(SOURCES, **{part: SourceFile(name=file.name, data=text.encode())}))


def rules(*rows):
    """The starter policy with more rows."""
    last = "# Managers: everything."
    return changed("rules", (last, "\n".join([*rows, last])))


def adapter(old, new):
    return changed("adapter", (old, new))


class Streaming(Salon):
    """The CRM answers in three pieces; a test may change the policy before each."""

    def __init__(self):
        super().__init__()
        self.bundle = POLICY
        self.closed = 0
        self.crm.send = self._send
        self.pieces = [b'{"id": 7, ', b'"name": ', b'"Aoi"}']

    def current(self):
        self.asked_bundles += 1
        return self.bundle

    async def _send(self, _clearance, **_asked):
        salon = self

        class Answer:
            status, headers = 200, (("Content-Type", "application/json"),)

            def arrived(self):
                return None

            async def stream(self):
                try:
                    for piece in salon.pieces:
                        yield piece
                finally:
                    salon.closed += 1

            async def close(self):
                """Safe to call twice, and after the stream."""

        return Answer()


async def flow(salon, answer, policies):
    """Take the pieces, each under the next of these policies; what came, and why it ended."""
    came = []
    chunks = aiter(answer.body)
    for policy in policies:
        salon.bundle = policy
        try:
            came.append(await anext(chunks))
        except GatewayError as error:
            return came, error
        except StopAsyncIteration:
            break
    return came, None


@pytest.fixture
def salon():
    return Streaming()


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "gateway")
    return lambda: [json.loads(record.getMessage()) for record in caplog.records]


NOTED = rules("# a note")
STAFF = "    salons: {aoyama: [role:manager]}"
NOW_REFUSED = {
    "a deny": (rules("p, role:manager, asset, read, , deny"), Reason.RULE_DENIES),
    "no allow any more": (
        changed("rules", ("p, role:manager,   *,", "p, role:owner,   *,")),
        Reason.NO_RULE_ALLOWS,
    ),
    "a deny of one field": (
        rules("p, role:manager, asset.a, read, , deny"),
        Reason.ANSWER_NOT_CUT,
    ),
    "nobody any more": (
        changed("staff", ("id: ken\n", "id: kenji\n"), ("id: mei\n", "id: meiko\n")),
        Reason.NOT_ON_ROSTER,
    ),
    "a person who has left": (
        changed("staff", (f"{STAFF}\n", f"{STAFF}\n    leaves_on: 2026-11-24\n")),
        Reason.HAS_LEFT,
    ),
    "an address that is gone": (
        adapter("  - { match: GET /assets/**, resource: asset, action: read }\n", ""),
        Reason.UNMAPPED,
    ),
}


@pytest.mark.parametrize("why", NOW_REFUSED)
async def test_what_the_new_policy_refuses_is_cut_off_before_the_next_piece(salon, log, why):
    policy, reason = NOW_REFUSED[why]
    answer = await salon.ask("GET", FILM, "ken")
    came, error = await flow(salon, answer, [POLICY, policy])
    assert came == salon.pieces[:1]
    assert error.reason is reason
    assert salon.meter.named("stream_cut") == [()]
    (event,) = [line for line in log() if line["event"] == "stream_cut_off"]
    assert event["reason"] == error.reason
    assert event["request_id"] == salon.trail.entries[0].request_id
    assert salon.closed == 1, "the CRM's connection is let go"


@pytest.mark.parametrize("policies", [[NOTED] * 4, [POLICY, NOTED, POLICY, NOTED]])
async def test_what_every_new_policy_still_allows_flows_to_its_end(salon, policies):
    answer = await salon.ask("GET", FILM, "ken")
    came, error = await flow(salon, answer, policies)
    assert (came, error) == (salon.pieces, None)
    assert salon.meter.named("stream_cut") == []
    assert salon.closed == 1


async def test_a_policy_is_asked_once_for_a_stream_and_not_for_each_piece(salon):
    answer = await salon.ask("GET", FILM, "ken")
    before = len(salon.meter.named("decided"))
    await flow(salon, answer, [NOTED] * 4)
    assert len(salon.meter.named("decided")) == before + 1
    assert len(salon.trail.entries) == 1


async def test_a_policy_that_changes_before_the_first_piece_counts_too(salon):
    answer = await salon.ask("GET", FILM, "ken")
    came, error = await flow(salon, answer, [NOW_REFUSED["a deny"][0]])
    assert (came, error.reason) == ([], Reason.RULE_DENIES)


async def test_it_is_judged_at_the_time_of_the_new_policy(salon):
    salon.clock.set("2026-11-25T19:30+09:00")
    answer = await salon.ask("GET", FILM, "ken")
    salon.clock.set("2026-11-25T20:15+09:00")  # shut, but assets are not protected
    assert await flow(salon, answer, [POLICY, NOTED, NOTED, NOTED]) == (salon.pieces, None)
    salon.bundle = POLICY
    answer = await salon.ask("GET", FILM, "ken")
    now_shut = rules("p, role:anyone, asset, *, outside_window, deny")
    came, error = await flow(salon, answer, [POLICY, now_shut])
    assert (came, error.reason) == (salon.pieces[:1], Reason.RULE_DENIES)


async def test_who_was_logged_out_meanwhile_does_not_pass_the_new_policy(salon):
    answer = await salon.ask("GET", FILM, "ken")
    await salon.epochs.revoke(staff_id("ken"), None, salon.clock.moment)
    came, error = await flow(salon, answer, [POLICY, NOTED])
    assert (came, error.cause) == (salon.pieces[:1], Cause.EPOCH_STALE)


async def test_on_a_pass_route_identity_and_standing_count_and_no_rule(salon):
    by_rules = ("resource: page, action: read, pass: true", "resource: page, action: read")
    for policy, verdict in (
        (rules("p, role:anyone, page, *, , deny"), None),
        (NOW_REFUSED["nobody any more"][0], Reason.NOT_ON_ROSTER),
        (adapter(*by_rules), Reason.NO_RULE_ALLOWS),
    ):
        salon.bundle = POLICY
        answer = await salon.ask("GET", "/staff", "mei")
        came, error = await flow(salon, answer, [POLICY, policy, policy, policy])
        assert verdict is (error and error.reason)
        assert came == (salon.pieces if verdict is None else salon.pieces[:1])


async def test_a_public_answer_flows_as_long_as_its_route_is_public(salon):
    for policy, reason in (
        (NOTED, None),
        (adapter("action: read, public: true", "action: read, pass: true"), "unauthenticated"),
    ):
        salon.bundle = POLICY
        answer = await salon.ask("GET", "/health", None)
        came, error = await flow(salon, answer, [POLICY, policy, policy, policy])
        assert reason == (error and error.reason)
        assert came == (salon.pieces if reason is None else salon.pieces[:1])


async def test_a_bug_while_it_is_judged_again_ends_it_too(salon, log):
    answer = await salon.ask("GET", FILM, "ken")
    chunks = aiter(answer.body)
    await anext(chunks)
    salon.bundle = replace(NOTED, index=None)
    with pytest.raises(GatewayError):
        await anext(chunks)
    (event,) = [line for line in log() if line["event"] == "stream_cut_off"]
    assert (event["reason"], event["error"]) == ("internal_error", "AttributeError")
    assert salon.closed == 1


async def test_a_client_that_goes_away_lets_the_crm_go(salon):
    answer = await salon.ask("GET", FILM, "ken")
    chunks = aiter(answer.body)
    await anext(chunks)
    await chunks.aclose()
    assert salon.closed == 1
