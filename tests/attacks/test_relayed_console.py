"""Whoever claims to be the process that asks for somebody else: believed on no network socket."""

import pytest

from gateway.domain.relayed import PEER_HEADER
from tests.oracles.console_world import HANA, Browser, Office, behind, opened


@pytest.mark.parametrize("claim", ["http 203.0.113.9", "https 203.0.113.9", "https 127.0.0.1"])
async def test_a_client_of_the_admin_port_itself_cannot_say_where_it_comes_from(claim):
    async with opened() as (office, port):
        browser = Browser(port)
        fields = {"name": "hana", "password": "seven quiet umbrellas"}
        page = await browser.post("/sign-in", fields, [(PEER_HEADER, claim)])
        assert page.status == 303
        assert "__Host-" not in "".join(browser.cookies)
        assert office.trail.entries[-1].peer == "127.0.0.1"
        assert office.trail.entries[-1].staff == HANA


async def test_it_is_no_trusted_proxy_by_saying_so():
    office = Office(behind("203.0.113.0/24"))
    async with opened(office) as (office, port):
        claims = [(PEER_HEADER, "http 203.0.113.9"), ("X-Forwarded-Proto", "https")]
        browser = Browser(port, host="console.example", origin="https://console.example")
        page = await browser.send("GET", "/sign-in", claims)
        assert page.status == 421
