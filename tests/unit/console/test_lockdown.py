"""The room of an incident: owners close and open the house, everybody else sees how it stands."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.backends.incident_floor import FlooredEpochs
from gateway.console.console import Console
from gateway.domain.act import Act
from gateway.identity.incident import OWNERS, require_admitted
from gateway.incidents import Incidents
from tests.oracles.console_world import HANA, KEN, PASSWORD, Browser, Office, opened, signed_in


class Guarded(Office):
    """An office whose sessions are under the floor of an incident."""

    def __init__(self):
        super().__init__()
        self.incidents = Incidents(
            epochs=self.epochs,
            documents=self.documents,
            audit=self.trail,
            clock=self.clock,
            heard=self.nothing,
            policy=lambda: self.bundle.digest,
            new_id=lambda: self.new("id"),
        )
        floored = FlooredEpochs(
            self.epochs,
            self.incidents.state,
            lambda staff, incident: require_admitted(
                self.bundle.people[staff].held, incident, OWNERS
            ),
        )
        self.accounts = replace(
            self.accounts, epochs=floored, require_admitted=floored.require_admitted
        )
        self.console = Console(
            replace(
                self.console._house,
                incidents=self.incidents,
                accounts=self.accounts,
                epochs=floored,
                contact="call Hana",
            )
        )

    async def nothing(self):
        pass


@asynccontextmanager
async def guarded():
    async with opened(Guarded()) as (office, port):
        yield office, port


async def close(browser, **more):
    page = await browser.get("/incident")
    return await browser.press(page, "/incident/start", reason="a lost laptop", **more)


async def test_a_start_closes_for_managers_and_ends_the_visit_of_the_owner_too():
    async with guarded() as (office, port):
        hana, ken = await signed_in(port), await signed_in(port, "ken")
        answer = await close(hana, contact="")
        assert (answer.status, answer.to) == (303, "/sign-in")
        incident = await office.incidents.state()
        assert (incident.is_active, incident.by) == (True, HANA)
        assert (incident.reason, incident.contact) == ("a lost laptop", "call Hana")
        for browser in (hana, ken):
            assert (await browser.get("/")).to == "/sign-in"
        page = await Browser(port).sign_in("ken")
        assert page.status == 403
        assert "because of an incident" in page.words()
        assert (Act.INCIDENT_START, HANA, None) in office.acts()
        assert (Act.SIGN_IN_REFUSED, None, KEN) in office.acts()
        assert office.acts()[-1][0] is Act.SIGN_IN_REFUSED  # and he is not entered as signed in
        again = await signed_in(port)
        assert "a lost laptop" in (await again.get("/incident")).words()


async def test_an_end_lets_people_sign_in_and_brings_no_visit_back():
    async with guarded() as (office, port):
        before = await signed_in(port, "ken")
        await close(await signed_in(port))
        hana = await signed_in(port)
        answer = await hana.press(await hana.get("/incident"), "/incident/end")
        assert (answer.status, answer.to) == (303, "/incident")
        assert not (await office.incidents.state()).is_active
        assert (await before.get("/")).to == "/sign-in"
        assert (await (await signed_in(port, "ken")).get("/")).status == 200
        assert (await hana.get("/incident")).status == 200


async def test_a_manager_sees_how_it_stands_and_has_no_button():
    async with guarded() as (office, port):
        ken = await signed_in(port, "ken")
        page = await ken.get("/incident")
        assert page.status == 200
        assert [to for to, _ in page.forms() if to.startswith("/incident")] == []
        csrf = (await ken.get("/session")).form("/sign-out")["csrf"]
        fields = {"csrf": csrf, "reason": "x", "contact": "", "password": PASSWORD}
        assert (await ken.post("/incident/start", fields)).status == 403
        assert (await ken.post("/incident/end", {"csrf": csrf})).status == 403
        assert await office.incidents.state() is None


async def test_the_password_is_asked_again_once_it_was_some_time_ago():
    async with guarded() as (office, port):
        hana = await signed_in(port)
        office.later(minutes=6)
        assert (await close(hana)).status == 403
        assert (await close(hana, password="wrong")).status == 403
        assert await office.incidents.state() is None
        assert (await close(hana, password=PASSWORD)).status == 303


@pytest.mark.parametrize("bad", [{"reason": " "}, {"reason": "x" * 301}, {"contact": "x" * 201}])
async def test_what_cannot_be_a_reason_or_a_contact_line_is_said(bad):
    async with guarded() as (office, port):
        hana = await signed_in(port)
        page = await hana.get("/incident")
        answer = await hana.press(page, "/incident/start", **{"reason": "x", "contact": ""} | bad)
        assert answer.status == 422
        assert await office.incidents.state() is None


async def test_a_form_of_another_page_begins_nothing():
    async with guarded() as (office, port):
        hana = await signed_in(port)
        fields = {"csrf": "x", "reason": "x", "contact": "", "password": PASSWORD}
        assert (await hana.post("/incident/start", fields)).status == 403
        assert await office.incidents.state() is None


async def test_what_an_owner_typed_is_shown_as_text():
    async with guarded() as (_, port):
        await close(await signed_in(port), contact="<b>Hana</b>")
        page = await (await signed_in(port)).get("/incident")
        assert "<b>Hana</b>" not in page.text
        assert "&lt;b&gt;Hana" in page.text


async def test_without_incidents_there_is_no_such_room():
    async with opened() as (_, port):
        assert (await (await signed_in(port)).get("/incident")).status == 404
