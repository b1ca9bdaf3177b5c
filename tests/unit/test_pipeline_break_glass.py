"""A card outside the window, on the whole way: asked for, shown, entered, over."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.decision import Refusal
from gateway.domain.errors import StateUnavailableError
from gateway.domain.http import Answer
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId, staff_id
from gateway.domain.time import instant
from gateway.identity.grant import Verdict, asked_for, reviewed
from gateway.lifting import BreakGlass
from tests.unit.test_pipeline import CLIENT, SHUT, STARTER, Salon

MEI, KEN = staff_id("mei"), staff_id("ken")


class Shelf:
    """Grants at hand."""

    def __init__(self):
        self.grants = {}
        self.away = False
        self.asked = 0

    async def get(self, key):
        self.asked += 1
        if self.away:
            raise StateUnavailableError("told to be away")
        return self.grants.get(key)


class Night(Salon):
    """The salon at half past nine in the evening, with break-glass."""

    def __init__(self, at=SHUT):
        super().__init__(at)
        self.shelf = Shelf()
        glass = BreakGlass(grants=self.shelf, resources=frozenset({"client"}))
        object.__setattr__(self.pipeline, "break_glass", glass)
        self.crm.says(200, json.dumps(CLIENT).encode())

    async def given(self, record="7"):
        epoch = await self.epochs.enrol(MEI, DeviceId("phone-mei"), self.clock.moment)
        person = replace(STARTER.full_token(MEI), device=DeviceId("phone-mei"), epoch=epoch)
        self.shelf.grants[MEI] = asked_for(
            person,
            id="g-1",
            salon="aoyama",
            resource="client",
            record=record,
            reason="an allergy",
            told=(KEN,),
            now=self.clock.moment,
            minutes=20,
        )


async def test_without_a_grant_the_lock_screen_has_the_cards_address():
    night = Night()
    refusal = await night.ask("GET", "/api/clients/7")
    assert (refusal.reason, refusal.card) == (Reason.OUTSIDE_HOURS, "/api/clients/7")
    for method, target in (
        ("GET", "/api/clients"),
        ("HEAD", "/api/clients/7"),
        ("GET", "/api/messages/7"),
    ):
        refusal = await night.ask(method, target)
        assert (refusal.reason, refusal.card) == (Reason.OUTSIDE_HOURS, None)


async def test_with_one_the_card_is_shown_as_inside_the_window_and_entered_with_its_number():
    night = Night()
    await night.given()
    answer = await night.ask("GET", "/api/clients/7")
    assert isinstance(answer, Answer)
    assert json.loads(answer.body) == {"id": 7, "name": "Aoi"}  # no phone, no mail
    (entry,) = night.trail.entries
    assert (entry.reason, entry.grant, entry.record) == (Reason.BREAK_GLASS, "g-1", "7")
    assert entry.window == "closed"
    assert night.meter.named("break_glass") == [("used", "client")]
    assert night.meter.named("answered")[0][0].reason is Reason.BREAK_GLASS


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/clients/8"), ("GET", "/api/clients"), ("GET", "/api/clients/7?page=1"),
        ("HEAD", "/api/clients/7"), ("GET", "/api/messages/7"), ("GET", "/api/clients/export"),
        ("DELETE", "/api/clients/7"), ("GET", "/api/clients?q=7"),
    ],
)  # fmt: skip
async def test_nothing_else_is_let_through_and_the_crm_never_hears_of_it(method, target):
    night = Night()
    await night.given()
    assert isinstance(await night.ask(method, target), Refusal)
    assert night.crm.sent == []


async def test_another_device_and_a_new_session_are_not_let_through():
    night = Night()
    await night.given()
    assert isinstance(await night.ask("GET", "/api/clients/7", device="phone-2"), Refusal)
    await night.epochs.revoke(MEI, DeviceId("phone-mei"), night.clock.moment)
    assert isinstance(await night.ask("GET", "/api/clients/7"), Refusal)


async def test_it_is_over_at_its_end_and_with_a_review():
    night = Night()
    await night.given()
    night.clock.moment = instant(night.clock.moment + timedelta(minutes=20))
    assert isinstance(await night.ask("GET", "/api/clients/7"), Refusal)
    await night.given()
    night.shelf.grants[MEI] = reviewed(
        night.shelf.grants[MEI], KEN, Verdict.JUSTIFIED, night.clock.moment
    )
    assert isinstance(await night.ask("GET", "/api/clients/7"), Refusal)


async def test_what_cannot_be_told_is_refused_and_inside_the_window_nobody_asks():
    night = Night()
    night.shelf.away = True
    refusal = await night.ask("GET", "/api/clients/7")
    assert refusal.reason is Reason.STATE_UNAVAILABLE
    day = Night("2026-11-25T12:00+09:00")
    assert isinstance(await day.ask("GET", "/api/clients/7"), Answer)
    assert day.shelf.asked == 0
