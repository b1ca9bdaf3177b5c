"""The owner's console in a real Chromium, before a real gateway: a phone is lost.

What a person sees is kept as pictures in `.artefacts/console/`, to be looked at.
"""

import asyncio
import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from gateway.console.words import SPEECHES
from gateway.domain.subject import DeviceId, StaffId
from tests.e2e.console_process import OWNER, PASSWORD, consoled

PICTURES = Path(".artefacts/console")
PHONE, TABLET, DESK = [{"width": width, "height": 800} for width in (360, 768, 1280)]
MEI, YUKI = StaffId("staff:mei"), StaffId("staff:yuki")
CARD = "/api/clients/1"
MIN_TARGET = 44  # CSS pixels
TRIES = 200  # of a request; the first ones may come within the tenth of a second


@pytest.fixture
async def chromium():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("no chromium; run tests/install-system-packages.sh")
    async with async_playwright() as playwright:
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=path, args=root)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def tab(browser, **how):
    """A page that fails the test if anything goes wrong inside it."""
    context = await browser.new_context(locale="en", viewport=PHONE, **how)
    page = await context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda message: wrong.append(message.text) if message.type == "error" else None,
    )
    try:
        yield page
    finally:
        await context.close()
    assert wrong == []


async def sign_in(page, url):
    await page.goto(f"{url}/")
    await page.get_by_label("Name").fill("hana")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Today")


def asked_until_refused(salon, token):
    """What the staff member's phone is told at last; each request is a new one."""
    for _ in range(TRIES):
        reply = salon.ask("GET", CARD, token=token)
        if reply.status != 200:
            break
    return reply.verdict


@pytest.mark.parametrize("script", [True, False], ids=["with-htmx", "without-javascript"])
async def test_a_lost_phone_is_logged_out_in_two_taps(chromium, tmp_path, script):
    async with (
        consoled(tmp_path) as world,
        tab(chromium, java_script_enabled=script) as page,
    ):
        token = await asyncio.to_thread(world.salon.token, "mei", device="phone-mei")
        assert (await asyncio.to_thread(world.salon.ask, "GET", CARD, token=token)).status == 200
        await sign_in(page, world.url)
        await page.get_by_role("link", name="Staff").click()
        await page.get_by_role("button", name="Log out everywhere · Mei Tanaka").click()
        told = page.get_by_role("status")
        await expect(told).to_have_text("Mei Tanaka is logged out everywhere.")
        verdict = await asyncio.to_thread(asked_until_refused, world.salon, token)
        assert verdict == (401, "unauthenticated")
        fresh = await asyncio.to_thread(world.salon.token, "mei", device="phone-mei")
        assert (await asyncio.to_thread(world.salon.ask, "GET", CARD, token=fresh)).status == 200


async def test_one_device_is_logged_out_and_the_other_stays(chromium, tmp_path):
    async with consoled(tmp_path) as world, tab(chromium) as page:
        phone, tablet = [
            await asyncio.to_thread(world.salon.token, "mei", device=device)
            for device in ("phone-mei", "tablet")
        ]
        await sign_in(page, world.url)
        await page.get_by_role("link", name="Staff").click()
        await page.locator("#p-mei summary").click()
        await page.get_by_role(
            "button", name="Log out this device · Mei Tanaka · phone-mei"
        ).click()
        await expect(page.get_by_role("status")).to_contain_text("phone-mei")
        verdict = await asyncio.to_thread(asked_until_refused, world.salon, phone)
        assert verdict == (401, "unauthenticated")
        assert (await asyncio.to_thread(world.salon.ask, "GET", CARD, token=tablet)).status == 200


async def test_somebody_is_locked_on_a_page_that_asks_first(chromium, tmp_path):
    async with consoled(tmp_path) as world, tab(chromium, java_script_enabled=False) as page:
        await sign_in(page, world.url)
        await page.get_by_role("link", name="Staff").click()
        await page.locator("#p-mei summary").click()
        await page.get_by_role("link", name="Lock… · Mei Tanaka").click()
        assert await world.sessions.locks() == {}
        await page.get_by_role("button", name="Lock").click()
        await expect(page.locator("#p-mei .badge")).to_have_text("Locked")
        assert (await world.sessions.locks())[MEI].by == OWNER


async def test_the_keyboard_alone_is_enough(chromium, tmp_path):
    async with consoled(tmp_path) as world, tab(chromium) as page:
        await page.goto(f"{world.url}/")
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.type("hana")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Today")


ROOMS = (
    "",
    "devices",
    "requests",
    "incident",
    "session",
    "staff/mei/offboard",
    "staff/mei/lock",
)
NOBODY = "http://127.0.0.1:9/hook"  # nobody listens at `discard`
SMALL = """least => [...document.querySelectorAll('a, button, input, summary')]
    .filter(one => one.offsetParent !== null && !one.matches('.skip'))
    .filter(one => {
        const box = one.getBoundingClientRect();
        return box.width < least || box.height < least;
    })
    .map(one => one.outerHTML)"""
TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


CUT_OFF = """[...document.querySelectorAll('nav, nav a, button, .card')]
    .filter(one => one.scrollWidth > one.clientWidth + 1)
    .map(one => one.outerHTML)"""
WITHOUT_RING = """[...document.querySelectorAll('a, button, input, summary')]
    .filter(one => one.checkVisibility() && !one.matches('.skip'))
    .filter(one => {
        one.focus({focusVisible: true});
        const style = getComputedStyle(one);
        return style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2;
    })
    .map(one => one.outerHTML)"""


async def look(page, name):
    """Keep a picture; nothing may be too wide to read, too small to touch or focused unseen."""
    assert not await page.evaluate(TOO_WIDE), name
    assert await page.evaluate(CUT_OFF) == [], name
    assert await page.evaluate(SMALL, MIN_TARGET) == [], name
    await page.screenshot(path=PICTURES / f"{name}.png", full_page=True)  # makes the folder
    assert await page.evaluate(WITHOUT_RING) == [], name


def fill(salon):
    """Mei comes with a tablet that has to wait, Yuki asks for a card while her salon is closed."""
    assert salon.ask("GET", CARD, token=salon.token("mei", device="phone-mei")).status == 200
    tablet = salon.token("mei", device="tablet-front")
    assert salon.ask("GET", CARD, token=tablet).verdict == (403, "device_waits")
    phone = salon.token("yuki", device="phone-yuki")
    cards = [f"/api/clients/{number}" for number in range(1, 40)]
    closed = (salon.ask("GET", card, token=phone) for card in cards)
    card, refused = next(
        (card, told)
        for card, told in zip(cards, closed, strict=True)
        if told.reason == "outside_hours"
    )
    ask, _, _ = refused.data["break_glass"].partition("?")
    told = {"record": card, "reason": "The colour burns; what was in it?"}
    assert salon.ask("POST", ask, token=phone, body=told).status == 200


async def test_every_room_can_be_read_and_touched_in_every_language(chromium, tmp_path):
    chat = {"url": NOBODY, "secret": "a secret that both sides know, of 32"}
    asked_for = {"enabled": True, "notify": {"webhook": chat}}
    config = {"devices": {"new": "wait"}, "break_glass": asked_for}
    async with consoled(tmp_path, **config) as world, tab(chromium) as page:
        await asyncio.to_thread(fill, world.salon)
        await world.sessions.lock(YUKI, by=OWNER, peer="-")
        await page.goto(f"{world.url}/")
        await look(page, "sign-in-phone-light-en")
        await sign_in(page, world.url)
        for size, viewport in {"phone": PHONE, "tablet": TABLET, "desk": DESK}.items():
            await page.set_viewport_size(viewport)
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                for code, speech in SPEECHES.items():
                    await page.goto(f"{world.url}/staff")
                    await page.get_by_role("button", name=speech.locale.name).click()
                    await expect(page.locator("html")).to_have_attribute("lang", code)
                    await page.locator("#p-mei summary").click()
                    await look(page, f"staff-{size}-{scheme}-{code}")
                    if code != "en" and (size, scheme) != ("phone", "light"):
                        continue
                    for room in ROOMS:
                        await page.goto(f"{world.url}/{room}")
                        title = room.replace("/", "-") or "today"
                        await look(page, f"{title}-{size}-{scheme}-{code}")


async def test_a_device_is_known_again_after_signing_out(chromium, tmp_path):
    async with consoled(tmp_path) as world, tab(chromium) as page:
        for _ in range(2):
            await sign_in(page, world.url)
            await page.get_by_role("link", name="You").click()
            await page.get_by_role("button", name="Sign out").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        account = await world.accounts.find(OWNER)
        assert len(account.devices) == 1
        assert all(DeviceId(name) for name in account.devices)
