"""The pages where a card is asked for outside the window, and the way there."""

import json
import re
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from gateway.domain.decision import Refusal
from gateway.domain.errors import RequestError
from gateway.domain.http import Answer, Inbound
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId
from gateway.doorway import Doorway
from gateway.identity.claims import TokenPolicy
from gateway.identity.grant import Blocked, Verdict
from gateway.identity.keys import secret_table
from gateway.lifting import BreakGlass, Visitor
from gateway.mapping.guard import WireLimits, guard
from gateway.proxy.breakglass import BreakGlassPages
from gateway.proxy.breakglass_pages import WORDS
from gateway.proxy.negotiate import Language
from gateway.proxy.refusals import render
from tests.oracles.console_world import KEN, MEI, Office
from tests.oracles.memory_world import Body, CountingMeter

SHUT, OPEN = "2026-11-25T21:30+09:00", "2026-11-25T12:00+09:00"
ORIGIN = "https://crm.salon.example"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
SECRET = b"kQ9v2mZr7xT4wB8nL1sD6fG3hJ5pYcVe"
CARD = "/api/clients/7"
WHY = "an allergy, at the hospital"


class Door:
    """The pages over the sample policy, and a phone in front of them."""

    def __init__(self, at=SHUT):
        self.office = Office(at=at)
        self.meter = CountingMeter()
        self.person = replace(
            self.office.bundle.full_token(MEI), device=DeviceId("phone-1"), epoch=3
        )
        self.doorway = Doorway(
            limits=WireLimits(),
            tokens=TokenPolicy(issuer="g", audience="c", keys=secret_table(SECRET)),
            max_request_body=10_000,
            upstream_origin="http://crm.example",
            origins=frozenset({ORIGIN}),
        )
        self.pages = BreakGlassPages(
            known=self.known,
            grants=self.office.grants,
            break_glass=BreakGlass(grants=None, resources=frozenset({"client"})),
            minutes=20,
            doorway=self.doorway,
            clock=self.office.clock,
            meter=self.meter,
            new_id=lambda: "22222222-2222-4333-8444-555555555555",
        )

    async def known(self, inbound):
        if self.person is None:
            raise RequestError(Reason.UNAUTHENTICATED, cause=Cause.NO_CREDENTIAL)
        return Visitor(
            guarded=guard(self.doorway.received(inbound), self.doorway.limits),
            bundle=self.office.bundle,
            person=self.person,
            now=self.office.clock.now(),
            peer="192.0.2.7",
        )

    async def get(self, query=f"?record={CARD}", headers=(), method="GET"):
        return await self.send(method, f"/_salon/break-glass{query}", headers)

    async def send(self, method, target, headers=(), data=b""):
        sent = [("Host", "crm.salon.example"), *headers]
        if data:
            sent.append(("Content-Length", str(len(data))))
        inbound = Inbound(
            method=method,
            target=target,
            version="1.1",
            headers=tuple(sent),
            peer="192.0.2.7",
            secure=True,
        )
        return await self.pages.answer(inbound, Body(data))

    async def post(self, origin=ORIGIN, typed=FORM, data=None, **fields):
        data = urlencode(fields).encode() if data is None else data
        origins = [] if origin is None else [("Origin", origin)]
        return await self.send("POST", "/_salon/break-glass", [typed, *origins], data)


def header(answer, name):
    return dict(answer.headers).get(name)


async def test_the_form_says_which_card_for_how_long_and_who_is_told():
    door = Door()
    page = await door.get()
    text = page.body.decode()
    assert page.status == 200
    assert "client 7" in text
    assert "20 minutes" in text
    assert "managers of the salon are told at once" in text
    assert 'value="/api/clients/7"' in text
    assert "form-action 'self'" in header(page, "Content-Security-Policy")
    assert "<script" not in text


async def test_it_is_asked_for_by_the_form_and_the_next_page_leads_to_the_card():
    door = Door()
    sent = await door.post(record=CARD, reason=WHY, salon="aoyama")
    assert (sent.status, header(sent, "Location")) == (
        303, "/_salon/break-glass?record=%2Fapi%2Fclients%2F7",
    )  # fmt: skip
    (grant,) = await door.office.grants.waiting()
    assert (grant.record, grant.reason, grant.device) == ("7", WHY, "phone-1")
    page = await door.get()
    assert 'href="/api/clients/7"' in page.body.decode()
    assert "21:50" in page.body.decode()
    assert "<form" not in page.body.decode()


async def test_a_program_asks_in_json():
    door = Door()
    data = json.dumps({"record": CARD, "reason": WHY}).encode()
    answer = await door.post(origin=None, typed=("Content-Type", "application/json"), data=data)
    told = json.loads(answer.body)
    (grant,) = await door.office.grants.waiting()
    assert told == {"grant": grant.id, "record": CARD, "until": grant.ends.isoformat()}


async def test_one_at_a_time_and_then_a_review():
    door = Door()
    await door.post(record=CARD, reason=WHY)
    other = await door.get("?record=/api/clients/8")
    assert other.status == 409
    assert WORDS[Language.EN].blocked(Blocked.OPEN) in other.body.decode()
    door.office.later(minutes=20)
    late = await door.post(record=CARD, reason=WHY)
    assert late.status == 409
    assert WORDS[Language.EN].blocked(Blocked.UNREVIEWED) in late.body.decode()
    (grant,) = await door.office.grants.waiting()
    await door.office.grants.review(grant.id, Verdict.JUSTIFIED, by=KEN, peer="-")
    assert (await door.get()).status == 200


async def test_a_reason_that_is_none_is_asked_for_again_and_what_was_typed_is_escaped():
    door = Door()
    page = await door.post(record=CARD, reason="<b>" + "x" * 400)
    assert page.status == 422
    assert "&lt;b&gt;" in page.body.decode()
    assert "<b>" not in page.body.decode()
    assert await door.office.grants.waiting() == ()


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
async def test_a_form_of_another_page_asks_for_nothing(origin):
    door = Door()
    page = await door.post(origin=origin, record=CARD, reason=WHY)
    assert page.status == 403
    assert door.office.trail.entries == []


@pytest.mark.parametrize(
    "record",
    [
        "/api/clients", "/api/clients/export", "/api/messages/7", "/staff",
        "/health", "/nowhere", "//evil.example/api/clients/7", "https://evil.example/", "7", "",
        "/api/clients/7/../8", "/_salon/break-glass?record=/api/clients/7",
        "/api/clients/" + "7" * 2000,
    ],
)  # fmt: skip
async def test_what_is_no_card_cannot_be_asked_for(record):
    door = Door()
    for outcome in (
        await door.get("?" + urlencode({"record": record}).replace("%2F", "/"))
        if len(record) < 1000
        else None,
        await door.post(record=record, reason=WHY),
    ):
        if outcome is None or isinstance(outcome, Refusal):
            continue
        assert outcome.status >= 400
    assert await door.office.grants.waiting() == ()


async def test_while_the_salon_is_open_it_leads_to_the_card():
    door = Door(OPEN)
    for answer in (await door.get(), await door.post(record=CARD, reason=WHY)):
        assert (answer.status, header(answer, "Location")) == (303, CARD)
    assert await door.office.grants.waiting() == ()


async def test_somebody_who_is_nobody_is_told_nothing():
    door = Door()
    door.person = None
    refusal = await door.get()
    assert refusal.reason is Reason.UNAUTHENTICATED
    page = await door.post(record=CARD, reason=WHY)
    assert page.status == 401
    assert ("unauthenticated", (Cause.NO_CREDENTIAL,)) in [
        (call[0], call[1:]) for call in door.meter.calls
    ]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/_salon/break-glass"),
        ("GET", "/_salon/break-glass?record=/api/clients/7&x=1"),
        ("GET", "/_salon/break-glass?record=/api/clients/7&record=/api/clients/8"),
        ("POST", "/_salon/break-glass?record=/api/clients/7"),
        ("DELETE", "/_salon/break-glass"),
        ("PUT", "/_salon/break-glass"),
    ],
)
async def test_it_is_asked_in_one_way_only(method, target):
    refusal = await Door().send(method, target)
    assert refusal.reason in {Reason.UNKNOWN_PARAMETER, Reason.UNMAPPED}


@pytest.mark.parametrize(
    "target", ["/_salon/break-glass/", "/_salon/break-glasses", "/_salon/sign-in", CARD, "/_salon"]
)
async def test_what_lies_elsewhere_is_none_of_it(target):
    assert await Door().send("GET", target) is None


async def test_members_that_nobody_asked_for_are_refused():
    page = await Door().post(record=CARD, reason=WHY, salon="aoyama", minutes="600")
    assert page.status == 400
    page = await Door().post(record=CARD, reason=WHY, salon="yoyogi")
    assert page.status == 400


# -- the way there ------------------------------------------------------------------------


def refused(card=CARD, reason=Reason.OUTSIDE_HOURS):
    return Refusal(reason=reason, request_id="22222222-2222-4333-8444-555555555555", card=card)


def asks(accept="text/html", method="GET", language="en"):
    headers = (("Accept", accept), ("Accept-Language", language))
    return Inbound(
        method=method, target=CARD, version="1.1", headers=headers, peer="192.0.2.7", secure=True
    )


@pytest.mark.parametrize("language", list(Language))
def test_the_lock_screen_has_a_button_in_every_language(language):
    now = Office(at=SHUT).clock.now()
    page = render(refused(), asks(language=str(language)), now=now)
    assert isinstance(page, Answer)
    text = page.body.decode()
    assert WORDS[language].button in text
    assert re.search(r'href="/_salon/break-glass\?record=%2Fapi%2Fclients%2F7"', text)


def test_what_cannot_be_asked_for_has_no_button():
    now = Office(at=SHUT).clock.now()
    for refusal, inbound in (
        (refused(card=None), asks()),
        (refused(card="/" + "x" * 2000), asks()),
        (refused(), asks(method="HEAD")),
    ):
        assert b"break-glass" not in render(refusal, inbound, now=now).body


def test_a_program_is_told_the_address():
    now = Office(at=SHUT).clock.now()
    told = json.loads(render(refused(), asks(accept="application/json"), now=now).body)
    assert told["break_glass"] == "/_salon/break-glass?record=%2Fapi%2Fclients%2F7"
    told = json.loads(render(refused(None), asks(accept="application/json"), now=now).body)
    assert "break_glass" not in told
