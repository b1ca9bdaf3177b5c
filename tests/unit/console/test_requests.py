"""The room of requests: who sees them, who reviews them, and that nobody reviews their own."""

from dataclasses import replace

import pytest

from gateway.console.words import SPEECHES
from gateway.domain.subject import DeviceId
from gateway.identity.grant import Notice, notice_of, render
from gateway.ports import Kind
from tests.oracles.console_world import DAI, HANA, KEN, MEI, SCRIPT, Browser, opened, signed_in


async def asked(office, who=MEI, reason="an allergy"):
    person = replace(office.bundle.full_token(who), device=DeviceId("phone-1"), epoch=3)
    return await office.grants.ask(
        person, salon="aoyama", resource="client", record="7", reason=reason, peer="192.0.2.7"
    )


def buttons(page):
    return [fields for to, fields in page.forms() if to == "/requests/review"]


async def test_whoever_is_not_signed_in_sees_no_request():
    async with opened() as (office, port):
        await asked(office)
        page = await Browser(port).get("/requests")
        assert (page.status, page.to) == (303, "/sign-in")


async def test_a_manager_sees_why_reviews_it_and_the_next_may_be_asked_for():
    async with opened() as (office, port):
        grant = await asked(office)
        browser = await signed_in(port, "ken")
        page = await browser.get("/requests")
        assert "an allergy" in page.text
        assert grant.id in page.text
        (fields,) = buttons(page)
        sent = {"csrf": fields["csrf"], "grant": grant.id, "verdict": "not_justified"}
        done = await browser.post("/requests/review", sent)
        assert done.status == 303
        told = await browser.get(done.to)
        assert "can ask again" in told.text
        assert buttons(told) == []
        assert await office.grants.waiting() == ()
        assert (office.trail.entries[-1].act, office.trail.entries[-1].staff) == (
            "break_glass_review", KEN,
        )  # fmt: skip


async def test_a_manager_of_another_salon_neither_sees_nor_reviews_it():
    async with opened() as (office, port):
        grant = await asked(office)
        browser = await signed_in(port, "dai")
        page = await browser.get("/requests")
        assert "an allergy" not in page.text
        csrf = next(
            fields["csrf"]
            for _, fields in (await browser.get("/session")).forms()
            if "csrf" in fields
        )
        sent = {"csrf": csrf, "grant": grant.id, "verdict": "justified"}
        assert (await browser.post("/requests/review", sent)).status == 403
        assert len(await office.grants.waiting()) == 1
        assert DAI not in grant.told


async def test_who_asked_sees_it_without_a_button_and_cannot_press_one():
    async with opened() as (office, port):
        grant = await asked(office, KEN)
        browser = await signed_in(port, "ken")
        page = await browser.get("/requests")
        assert "an allergy" in page.text
        assert buttons(page) == []
        csrf = next(
            fields["csrf"]
            for _, fields in (await browser.get("/session")).forms()
            if "csrf" in fields
        )
        sent = {"csrf": csrf, "grant": grant.id, "verdict": "justified"}
        assert (await browser.post("/requests/review", sent)).status == 403
        owner = await signed_in(port, "hana")
        assert len(buttons(await owner.get("/requests"))) == 1
        assert HANA in grant.told


@pytest.mark.parametrize(
    "fields",
    [{}, {"grant": "id-1"}, {"grant": "id-1", "verdict": "fine"}, {"verdict": "justified"}],
)
async def test_a_form_that_says_less_does_nothing(fields):
    async with opened() as (office, port):
        await asked(office)
        browser = await signed_in(port, "ken")
        (mine,) = buttons(await browser.get("/requests"))
        page = await browser.post("/requests/review", {"csrf": mine["csrf"], **fields})
        assert page.status >= 400
        page = await browser.post(
            "/requests/review", {**mine, "csrf": "x", "verdict": "justified"}
        )
        assert page.status == 403
        assert len(await office.grants.waiting()) == 1


async def test_a_reason_is_shown_as_it_was_typed_and_is_no_html():
    async with opened() as (office, port):
        await asked(office, reason=SCRIPT)
        page = await (await signed_in(port, "ken")).get("/requests")
        assert SCRIPT not in page.text
        assert "&lt;script&gt;" in page.text


async def test_that_somebody_could_not_be_told_is_shown():
    async with opened() as (office, port):
        grant = await asked(office)
        notice = notice_of(grant, "webhook")
        kept = await office.documents.get(Kind.NOTICE, notice.key, office.clock.now())
        late = Notice(**{n: getattr(notice, n) for n in notice.__struct_fields__} | {"tries": 3})
        await office.documents.put(
            Kind.NOTICE, notice.key, render(late), replaces=kept.revision, now=office.clock.now()
        )
        page = await (await signed_in(port, "ken")).get("/requests")
        assert SPEECHES["en"].say("request_untold") in page.text
