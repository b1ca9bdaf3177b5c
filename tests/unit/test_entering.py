"""The CRM's own login through the whole pipeline: who comes in by it, and who is nobody."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.audit.entry import Phase
from gateway.build import SourceFile, build
from gateway.domain.act import Act
from gateway.domain.decision import Refusal
from gateway.domain.http import Answer
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import staff_id
from gateway.domain.time import Instant
from gateway.identity.locks import Lock
from gateway.learning import Learning
from gateway.ports import Kind
from tests.contract.memory_documents import MemoryDocuments
from tests.unit.test_pipeline import Salon
from tests.unit.test_pipeline_streams import SOURCES

ORIGIN = "https://crm.salon.example"
LOGIN = b"""
login:
  credential: cookie:sessionid
  sign_in:
    - {match: POST /api/login, staff: body:user.id}
  sign_out:
    - {match: POST /api/logout}
"""
ROUTES = b"""
  - {match: POST /api/login, resource: session, action: create, public: true}
  - {match: POST /api/logout, resource: session, action: delete, public: true}
"""


def policy():
    adapter = SOURCES.adapter.data.replace(
        b"resources:\n", b"resources:\n  session: {sensitive: false}\n", 1
    ).replace(b"routes:\n", b"routes:" + ROUTES, 1)
    return build(
        replace(SOURCES, adapter=SourceFile(name="salon-demo.yaml", data=adapter + LOGIN))
    )


POLICY = policy()
MEI = POLICY.roster.members[staff_id("mei")].crm_id


class Door(Salon):
    def __init__(self):
        super().__init__()
        self.documents = MemoryDocuments()
        self.made = 0
        learning = Learning(
            documents=self.documents,
            epochs=self.epochs,
            secret=bytes(range(32)),
            new_id=self.new_id,
            origins=frozenset({ORIGIN}),
        )
        object.__setattr__(self.pipeline, "learning", learning)

    def current(self):
        return POLICY

    def new_id(self):
        self.made += 1
        return f"{self.made:032x}"

    async def sign_in(self, cookie="abc123-0123456789abcdef", user=MEI, **answered):
        self.crm.says(
            answered.pop("status", 200),
            json.dumps({"user": {"id": user}}).encode(),
            (("Content-Type", "application/json"), ("Set-Cookie", f"sessionid={cookie}; Path=/")),
        )
        try:
            return await self.ask(
                "POST",
                "/api/login",
                None,
                body={"name": "mei", "password": "secret"},
                headers=(("Origin", ORIGIN),),
            )
        finally:
            self.crm.says(
                200, b'{"id": 7, "name": "Aoi"}', (("Content-Type", "application/json"),)
            )

    async def card(self, *cookies, method="GET", headers=(), **more):
        sent = tuple(("Cookie", cookie) for cookie in cookies)
        return await self.ask(method, "/api/clients/7", None, headers=(*sent, *headers), **more)


@pytest.fixture
def door():
    return Door()


def names(headers):
    return {name.lower() for name, _ in headers}


async def test_who_signs_in_to_the_crm_is_that_person_from_then_on(door):
    assert (await door.card("sessionid=abc123-0123456789abcdef")).cause is Cause.SESSION_UNKNOWN
    answer = await door.sign_in()
    assert isinstance(answer, Answer)
    assert ("Set-Cookie", "sessionid=abc123-0123456789abcdef; Path=/") in answer.headers
    assert isinstance(await door.card("sessionid=abc123-0123456789abcdef"), Answer)
    entry = door.trail.entries[-1]
    assert (entry.staff, entry.reason) == ("staff:mei", Reason.RULE_ALLOWS)
    assert entry.device.startswith("crm.")


async def test_the_sign_in_is_entered_before_its_answer_goes_out(door):
    await door.sign_in()
    (entry,) = door.trail.entries
    assert (entry.phase, entry.act, entry.staff) == (Phase.ACT, Act.SIGN_IN, "staff:mei")
    assert entry.route == "POST /api/login"
    door.trail.full_after = 0
    refusal = await door.sign_in("another-0123456789abcdef")
    assert refusal.reason is Reason.AUDIT_UNAVAILABLE


async def test_the_session_goes_on_to_the_crm_and_no_other_cookie(door):
    await door.sign_in()
    await door.card("theme=dark; sessionid=abc123-0123456789abcdef; tracker=1")
    sent = dict(door.crm.sent[-1][3])
    assert sent["Cookie"] == "sessionid=abc123-0123456789abcdef"


async def test_the_session_of_nobody_goes_nowhere(door):
    await door.sign_in()
    refusal = await door.card("sessionid=abc124-0123456789abcdef")
    assert (refusal.reason, refusal.cause) == (Reason.UNAUTHENTICATED, Cause.SESSION_UNKNOWN)
    assert len(door.crm.sent) == 1  # the login


async def test_a_token_of_ours_is_no_credential_where_the_crm_s_login_is(door):
    refusal = await door.ask("GET", "/api/clients/7", "mei")
    assert refusal.reason is Reason.UNAUTHENTICATED


async def test_a_forced_logout_ends_a_learned_session(door):
    await door.sign_in()
    await door.epochs.revoke(staff_id("mei"), None, door.clock.moment)
    assert (await door.card("sessionid=abc123-0123456789abcdef")).cause is Cause.EPOCH_STALE
    assert (await door.sign_in()).reason is Reason.LOGIN_NOT_LEARNED  # the very same session
    assert isinstance(await door.sign_in("a-fresh-one-0123456789abcdef"), Answer)
    assert isinstance(await door.card("sessionid=a-fresh-one-0123456789abcdef"), Answer)


async def test_signing_out_of_the_crm_signs_out_here_whatever_it_says(door):
    await door.sign_in()
    door.crm.says(500, b"{}", (("Content-Type", "application/json"),))
    await door.ask(
        "POST", "/api/logout", None, body={},
        headers=(("Cookie", "sessionid=abc123-0123456789abcdef"), ("Origin", ORIGIN)),
    )  # fmt: skip
    assert (await door.card("sessionid=abc123-0123456789abcdef")).cause is Cause.EPOCH_STALE
    acts = [(entry.act, entry.staff) for entry in door.trail.entries if entry.act]
    assert acts == [(Act.SIGN_IN, "staff:mei"), (Act.SIGN_OUT, "staff:mei")]


async def test_who_is_locked_does_not_come_in_by_the_crm_either(door):
    door.locks.locks["staff:mei"] = Lock(since=1, by=None, left=False)
    answer = await door.sign_in()
    assert isinstance(answer, Refusal)
    assert answer.reason is Reason.LOCKED
    assert not [e for e in door.trail.entries if e.act is Act.SIGN_IN]


async def test_somebody_the_roster_does_not_know_gets_no_session(door):
    answer = await door.sign_in(user="99999")
    assert (answer.reason, door.documents.documents) == (Reason.NOT_ON_ROSTER, {})


async def test_a_login_that_fails_is_answered_as_the_crm_does(door):
    answer = await door.sign_in(status=401)
    assert (answer.status, door.documents.documents) == (401, {})
    assert door.trail.entries == []


async def test_a_change_by_cookie_needs_our_own_page(door):
    await door.sign_in()
    body = {"name": "Aoi"}
    foreign = (("Origin", "https://evil.example"),)
    refusal = await door.card(
        "sessionid=abc123-0123456789abcdef", method="PATCH", headers=foreign, body=body
    )
    assert refusal.reason is Reason.ORIGIN_REFUSED


async def test_a_session_ends_with_its_life(door):
    await door.sign_in()
    door.clock.moment = Instant(door.clock.moment + timedelta(hours=12))
    assert (await door.card("sessionid=abc123-0123456789abcdef")).cause is Cause.EXPIRED


async def test_what_is_learned_holds_no_credential(door):
    await door.sign_in()
    ((place, kept),) = door.documents.documents.items()
    assert place[0] is Kind.LEARNED
    assert b"abc123-0123456789abcdef" not in kept.value


async def test_without_a_service_for_it_nobody_comes_in(door):
    await door.sign_in()
    object.__setattr__(door.pipeline, "learning", None)
    assert (await door.card("sessionid=abc123-0123456789abcdef")).reason is Reason.INTERNAL_ERROR
    assert (await door.sign_in()).reason is Reason.INTERNAL_ERROR
