"""The request's side: which addresses open the console, which cookies and forms are read."""

import pytest

from tests.oracles.console_world import PASSWORD, Browser, opened, signed_in


@pytest.mark.parametrize(
    "host",
    ["localhost:{port}", "LocalHost:{port}", "127.0.0.1:{port}", "127.9.9.9", "[::1]:{port}"],
)
async def test_every_name_of_this_machine_opens_it(host):
    async with opened() as (_, port):
        named = host.format(port=port)
        browser = Browser(port, host=named, origin=f"http://{named.lower()}")
        page = await browser.sign_in()
        assert (page.status, page.to) == (303, "/")
        assert (await browser.get("/staff")).status == 200


@pytest.mark.parametrize(
    "line",
    [
        "salon_console={mine}",
        "a=1; salon_console={mine}; b=2",
        "a=1;salon_console={mine}",
        "=; ;;salon_console={mine};",
    ],
)
async def test_a_cookie_is_found_among_others(line):
    async with opened() as (_, port):
        browser = await signed_in(port)
        cookie = line.format(mine=browser.cookies["salon_console"])
        assert (await browser.send("GET", "/", [("Cookie", cookie)])).status == 200


@pytest.mark.parametrize(
    "line",
    [
        "Salon_Console={mine}",
        'salon_console="{mine}"',
        "salon_console={mine}x",
        "xsalon_console={mine}",
        ";" * 100 + "salon_console={mine}",
    ],
)
async def test_nothing_else_is_that_cookie(line):
    async with opened() as (_, port):
        browser = await signed_in(port)
        cookie = line.format(mine=browser.cookies["salon_console"])
        assert (await browser.send("GET", "/", [("Cookie", cookie)])).to == "/sign-in"


async def test_a_form_in_another_case_or_with_its_charset_is_a_form():
    async with opened() as (_, port):
        for media in (
            "application/x-www-form-urlencoded; charset=UTF-8",
            "Application/X-WWW-Form-Urlencoded",
        ):
            browser = Browser(port)
            sent = [("Origin", browser.origin), ("Content-Type", media)]
            body = f"name=hana&password={PASSWORD.replace(' ', '+')}".encode()
            assert (await browser.send("POST", "/sign-in", sent, body)).status == 303
