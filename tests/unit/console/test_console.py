"""The rooms, asked over the admin port: what is shown to whom, and what a button does."""

from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from gateway.console.words import SPEECHES
from gateway.devices import change
from gateway.domain.act import Act
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId
from gateway.domain.time import instant, to_milliseconds
from gateway.identity.devices import Span
from gateway.identity.sightings import Sighting, sighted
from gateway.ports import Kind
from tests.oracles.console_world import (
    DAI,
    EVIL,
    HANA,
    KEN,
    MEI,
    PASSWORD,
    STAFF,
    YUKI,
    Browser,
    Office,
    bundle,
    opened,
    signed_in,
)
from tests.oracles.second_world import App

PHONE = DeviceId("phone-mei")
OTHER = "eleven loud teapots"


# -- coming in


async def test_whoever_is_not_signed_in_is_asked_to():
    async with opened() as (_, port):
        for path in ("/", "/staff", "/session", "/staff/mei/lock"):
            page = await Browser(port).get(path)
            assert (page.status, page.to) == (303, "/sign-in")


async def test_an_owner_signs_in_and_it_is_entered():
    async with opened() as (office, port):
        browser = await signed_in(port)
        assert (await browser.get("/")).status == 200
        assert office.acts()[-1] == (Act.SIGN_IN, HANA, None)


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("hana", "wrong", "not_signed_in"),
        ("nobody", PASSWORD, "not_signed_in"),
        ("", "", "not_signed_in"),
        ("mei", PASSWORD, "not_for_you"),  # a stylist with the right password
    ],
)
async def test_nobody_else_comes_in(name, password, said):
    async with opened() as (_, port):
        browser = Browser(port)
        page = await browser.sign_in(name, password)
        assert page.status in {401, 403}
        assert SPEECHES["en"].say(said) in page.text
        assert "salon_console" not in browser.cookies


async def test_an_owner_who_has_left_by_the_roster_does_not_come_in():
    async with opened() as (office, port):
        await office.give("staff:past")
        page = await Browser(port).sign_in("past")
        assert page.status == 403


async def test_after_many_wrong_guesses_the_page_says_how_long_to_wait():
    async with opened() as (_, port):
        browser = Browser(port)
        for _ in range(7):
            page = await browser.sign_in(password="wrong")
        assert page.status == 429
        assert SPEECHES["en"].say("too_many", n=1) in page.text


async def test_a_password_that_somebody_else_gave_is_changed_first():
    async with opened() as (office, port):
        await office.give(HANA, temporary=True)
        browser = Browser(port)
        page = await browser.sign_in()
        assert page.status == 200
        assert "salon_console" not in browser.cookies
        assert (await browser.get("/")).to == "/sign-in"
        fields = {"old": PASSWORD, "new": OTHER, "again": OTHER}
        page = await browser.press(page, "/sign-in/first", **fields)
        assert (page.status, page.to) == (303, "/")
        assert (await browser.get("/staff")).status == 200


async def test_a_weak_password_is_refused_with_the_reason():
    async with opened() as (office, port):
        await office.give(HANA, temporary=True)
        browser = Browser(port)
        page = await browser.sign_in()
        fields = {"old": PASSWORD, "new": "short", "again": "short"}
        page = await browser.press(page, "/sign-in/first", **fields)
        assert page.status == 422
        assert "at least 12" in page.text


async def test_signing_out_ends_it_and_is_entered():
    async with opened() as (office, port):
        browser = await signed_in(port)
        secret = browser.cookies["salon_console"]
        page = await browser.press(await browser.get("/session"), "/sign-out")
        assert (page.status, page.to) == (303, "/sign-in")
        assert "salon_console" not in browser.cookies
        browser.cookies["salon_console"] = secret  # somebody kept it
        assert (await browser.get("/staff")).to == "/sign-in"
        assert office.acts()[-1] == (Act.SIGN_OUT, HANA, None)


async def test_the_own_password_is_changed_and_only_this_browser_stays_in():
    async with opened() as (_, port):
        browser, elsewhere = await signed_in(port), await signed_in(port)
        page = await browser.get("/session")
        fields = {"old": PASSWORD, "new": OTHER, "again": OTHER}
        page = await browser.press(page, "/session/password", **fields)
        assert (page.status, page.to) == (303, "/session?done")
        page = await browser.get("/session?done")
        assert SPEECHES["en"].say("done_password") in page.text
        assert (await elsewhere.get("/")).to == "/sign-in"
        assert (await Browser(port).sign_in(password=PASSWORD)).status == 401


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"old": PASSWORD, "new": OTHER, "again": OTHER + "x"}, "not_the_same"),
        ({"old": "wrong", "new": OTHER, "again": OTHER}, "wrong_password"),
        ({"old": PASSWORD, "new": "password1234", "again": "password1234"}, "weak"),
    ],
)
async def test_a_password_is_not_changed_by_halves(fields, said):
    async with opened() as (_, port):
        browser = await signed_in(port)
        page = await browser.press(await browser.get("/session"), "/session/password", **fields)
        assert page.status in {403, 422}
        assert SPEECHES["en"].say(said) in page.text
        assert (await Browser(port).sign_in()).status == 303


async def test_a_browser_that_signed_in_before_stays_one_device():
    async with opened() as (office, port):
        browser = await signed_in(port)
        await browser.press(await browser.get("/session"), "/sign-out")
        await browser.sign_in()
        assert len([r for r in await office.epochs.rows() if r.staff == HANA and r.device]) == 1


# -- whom they see


def shown(page):
    return {
        staff for staff in (HANA, KEN, DAI, MEI, YUKI, EVIL) if f'id="p-{staff[6:]}"' in page.text
    }


async def test_an_owner_sees_everybody_a_manager_the_people_of_their_salons():
    async with opened() as (_, port):
        assert shown(await (await signed_in(port)).get("/staff")) == {
            HANA,
            KEN,
            DAI,
            MEI,
            YUKI,
            EVIL,
        }
        assert shown(await (await signed_in(port, "ken")).get("/staff")) == {
            HANA,
            KEN,
            DAI,
            MEI,
            EVIL,
        }
        assert shown(await (await signed_in(port, "dai")).get("/staff")) == {DAI, YUKI}


async def test_a_manager_sees_their_salons_today():
    async with opened() as (_, port):
        page = await (await signed_in(port, "dai")).get("/")
        assert "<h3>yoyogi</h3>" in page.text
        assert "<h3>aoyama</h3>" not in page.text


@pytest.mark.parametrize(
    ("at", "state", "change"),
    [
        ("2026-11-25T12:00+09:00", "state_open", "today, 19:00"),
        ("2026-11-25T09:30+09:00", "state_grace", "today, 10:00"),
        ("2026-11-25T21:00+09:00", "state_closed", "Thu 26 Nov, 09:00"),
    ],
)
async def test_today_says_whether_a_salon_is_open_and_until_when(at, state, change):
    async with opened(Office(at=at)) as (_, port):
        words = (await (await signed_in(port, "ken")).get("/")).words()
        assert f"aoyama {SPEECHES['en'].say(state)}" in words
        assert f"Next change: {change}" in words


async def test_today_says_what_was_refused_in_plain_words():
    async with opened() as (office, port):
        for reason in (Reason.OUTSIDE_HOURS, Reason.RULE_DENIES, Reason.NO_RULE_ALLOWS):
            office.refusals.refused(reason, office.clock.moment)
        words = (await (await signed_in(port)).get("/")).words()
        assert "Not allowed by the rules 2 Outside opening hours 1" in words


async def test_today_says_that_changed_files_do_not_load():
    async with opened() as (office, port):
        since = instant(office.clock.moment - timedelta(minutes=12))
        office.stale = SimpleNamespace(since=since, told=lambda most: ["a.csv:1:1: <b>" * most])
        page = await (await signed_in(port)).get("/")
        assert SPEECHES["en"].say("load_failed") in page.text
        assert "12 min ago" in page.text
        assert "a.csv:1:1: &lt;b&gt;" in page.text


async def test_a_salon_without_hours_counts_as_closed_and_says_so():
    async with opened() as (office, port):
        office.bundle = bundle(STAFF.replace("yoyogi: [role:stylist]", "osaka: [role:stylist]"))
        words = (await (await signed_in(port)).get("/")).words()
        assert "osaka No hours" in words


# -- the buttons


async def test_logging_somebody_out_takes_one_press():
    async with opened() as (office, port):
        before = await office.epochs.enrol(MEI, PHONE, office.clock.moment)
        browser = await signed_in(port)
        page = await browser.press(await browser.get("/staff"), "/staff/mei/log-out")
        assert page.status == 303
        assert page.to.startswith("/staff?said=")
        assert page.to.endswith("#p-mei")
        assert await office.epochs.floor(MEI, PHONE) > before
        assert office.acts()[-1] == (Act.LOG_OUT, HANA, MEI)
        told = await browser.get(page.to.partition("#")[0])
        assert "Mei Tanaka is logged out everywhere." in told.text


async def test_one_device_can_be_logged_out_by_itself():
    async with opened() as (office, port):
        for device in (PHONE, DeviceId("tablet")):
            await office.epochs.enrol(MEI, device, office.clock.moment)
        browser = await signed_in(port)
        page = await browser.press(
            await browser.get("/staff"), "/staff/mei/log-out", device="tablet"
        )
        told = await browser.get(page.to.partition("#")[0])
        assert "logged out on this device: tablet" in told.text
        whole, tablet = await office.epochs.floor(MEI, PHONE), DeviceId("tablet")
        assert await office.epochs.floor(MEI, tablet) > whole


async def test_a_device_they_do_not_have_is_nobodys():
    async with opened() as (office, port):
        browser = await signed_in(port)
        page = await browser.press(await browser.get("/staff"), "/staff/mei/log-out", device="x")
        assert page.status == 404
        assert Act.LOG_OUT not in [act for act, _, _ in office.acts()]


async def test_htmx_gets_the_row_and_says_what_was_done():
    async with opened() as (_, port):
        browser = await signed_in(port)
        fields = (await browser.get("/staff")).form("/staff/mei/log-out")
        row = await browser.post("/staff/mei/log-out", fields, (("HX-Request", "true"),))
        assert row.status == 200
        assert row.text.strip().startswith("<article")
        assert "Mei Tanaka is logged out everywhere." in row.text
        assert shown(row) == {MEI}


async def test_whoever_logs_themselves_out_is_out():
    async with opened() as (_, port):
        browser = await signed_in(port)
        fields = (await browser.get("/staff")).form("/staff/hana/log-out")
        page = await browser.post("/staff/hana/log-out", fields, (("HX-Request", "true"),))
        assert page.headers["HX-Redirect"].startswith("/staff")
        assert (await browser.get("/staff")).to == "/sign-in"


async def test_locking_within_five_minutes_of_the_password_needs_no_other():
    async with opened() as (office, port):
        browser = await signed_in(port)
        page = await browser.get("/staff/mei/lock")
        assert "password" not in page.form("/staff/mei/lock")
        page = await browser.press(page, "/staff/mei/lock")
        assert page.status == 303
        assert (await office.sessions.locks())[MEI].by == HANA
        page = await browser.get("/staff")
        assert "/staff/mei/unlock" in page.text
        assert "/staff/mei/lock" not in page.text


@pytest.mark.parametrize("act", ["lock", "unlock", "offboard"])
@pytest.mark.parametrize(("password", "done"), [("", False), ("wrong", False), (PASSWORD, True)])
async def test_later_it_asks_for_the_password_again(act, password, done):
    async with opened() as (office, port):
        if act == "unlock":
            await office.sessions.lock(MEI, by=HANA, peer="-")
        before = (await office.sessions.locks()).get(MEI)
        browser = await signed_in(port)
        office.later(minutes=6)
        page = await browser.get(f"/staff/mei/{act}")
        assert "password" in page.form(f"/staff/mei/{act}")
        page = await browser.press(page, f"/staff/mei/{act}", password=password)
        assert page.status == (303 if done else 403)
        assert ((await office.sessions.locks()).get(MEI) != before) == done


async def test_a_password_given_for_one_button_counts_for_the_next():
    async with opened() as (office, port):
        browser = await signed_in(port)
        office.later(minutes=6)
        page = await browser.get("/staff/mei/lock")
        await browser.press(page, "/staff/mei/lock", password=PASSWORD)
        assert "password" not in (await browser.get("/staff/mei/unlock")).form("/staff/mei/unlock")


async def test_unlocking_lets_them_in_again():
    async with opened() as (office, port):
        await office.sessions.lock(MEI, by=KEN, peer="-")
        browser = await signed_in(port)
        page = await browser.press(await browser.get("/staff/mei/unlock"), "/staff/mei/unlock")
        assert page.status == 303
        assert MEI not in await office.sessions.locks()


async def test_seeing_somebody_out_at_once():
    async with opened() as (office, port):
        browser = await signed_in(port)
        page = await browser.get("/staff/mei/offboard")
        page = await browser.press(page, "/staff/mei/offboard")
        assert "done_offboard~mei" in page.to
        assert (await office.sessions.locks())[MEI].has_left(office.clock.moment)
        assert "Has left" in (await browser.get("/staff")).text


@pytest.mark.parametrize(
    ("who", "last", "ends"),
    [
        # Aoyama closes at 19:00 on that Saturday: midnight is later.
        ("mei", "2026-11-28", "2026-11-28T15:00+00:00"),
        # Yoyogi's Saturday ends on Sunday at two.
        ("yuki", "2026-11-28", "2026-11-28T17:00+00:00"),
        # Today is a day to leave on.
        ("mei", "2026-11-25", "2026-11-25T15:00+00:00"),
    ],
)
async def test_a_last_day_ends_with_its_last_closing_or_at_midnight(who, last, ends):
    async with opened() as (office, port):
        browser = await signed_in(port)
        page = await browser.get(f"/staff/{who}/offboard")
        page = await browser.press(page, f"/staff/{who}/offboard", last_day=last)
        assert "done_offboard_later" in page.to
        lock = (await office.sessions.locks())[f"staff:{who}"]
        assert lock.leaves_at.isoformat(timespec="minutes") == ends
        assert "Access ends" in (await browser.get("/staff")).text


async def test_a_notice_is_kept():
    async with opened() as (office, port):
        browser = await signed_in(port)
        page = await browser.get("/staff/mei/offboard")
        await browser.press(
            page, "/staff/mei/offboard", last_day="2026-12-31", notice_from="2026-11-20"
        )
        lock = (await office.sessions.locks())[MEI]
        assert lock.notice_from.isoformat() == "2026-11-20"
        assert "On notice" in (await browser.get("/staff")).text


@pytest.mark.parametrize(
    "dates",
    [
        {"last_day": "2026-11-24"},  # yesterday
        {"last_day": "2031-01-01"},
        {"last_day": "tomorrow"},
        {"last_day": "2026-02-30"},
        {"last_day": "20261231"},
        {"last_day": "2026-W50-1"},
        {"last_day": "９999-12-31"},
        {"last_day": "9999-12-31"},
        {"last_day": "2026-12-01", "notice_from": "2026-12-02"},
        {"notice_from": "2026-11-26"},
    ],
)
async def test_a_date_that_cannot_be_changes_nothing(dates):
    async with opened() as (office, port):
        browser = await signed_in(port)
        page = await browser.get("/staff/mei/offboard")
        page = await browser.press(page, "/staff/mei/offboard", **dates)
        assert page.status == 422
        assert SPEECHES["en"].say("bad_date") in page.text
        assert await office.sessions.locks() == {}


async def test_what_cannot_be_entered_is_not_done_and_the_page_says_so():
    async with opened() as (office, port):
        browser = await signed_in(port)
        page = await browser.get("/staff")
        office.trail.full_after = len(office.trail.entries)
        before = await office.epochs.floor(MEI, None)
        page = await browser.press(page, "/staff/mei/log-out")
        assert page.status == 503
        assert SPEECHES["en"].say("cannot") in page.text
        assert await office.epochs.floor(MEI, None) == before


async def test_a_store_that_is_away_shows_nothing():
    async with opened() as (office, port):
        browser = await signed_in(port)
        office.documents.away = True
        page = await browser.get("/staff")
        assert page.status == 503
        assert "Mei" not in page.text


async def test_a_failure_of_ours_is_a_page_that_says_no():
    async with opened() as (office, port):
        browser = await signed_in(port)
        office.refusals.last_hour = None
        page = await browser.get("/")
        assert page.status == 500
        assert "TypeError" not in page.text


# -- languages, and what a page has to be for everybody


@pytest.mark.parametrize("language", sorted(SPEECHES))
async def test_every_room_speaks_the_language_of_the_browser(language):
    async with opened() as (office, port):
        office.refusals.refused(Reason.OUTSIDE_HOURS, office.clock.moment)
        browser = await signed_in(port)
        for path, name in [
            ("/", "today_title"),
            ("/staff", "staff_title"),
            ("/session", "session_title"),
            ("/staff/mei/lock", "lock_lead"),
            ("/staff/mei/offboard", "offboard_confirm"),
        ]:
            page = await browser.get(path, **{"Accept-Language": language})
            assert f'<html lang="{language}">' in page.text
            assert SPEECHES[language].say(name) in page.text


async def test_a_language_that_was_chosen_stays():
    async with opened() as (_, port):
        browser = Browser(port)
        page = await browser.get("/sign-in")
        fields = page.form("/language") | {"language": "ja"}
        page = await browser.post("/language", fields)
        assert (page.status, page.to) == (303, "/sign-in")
        page = await browser.get("/sign-in", **{"Accept-Language": "ru"})
        assert '<html lang="ja">' in page.text


@pytest.mark.parametrize(
    ("fields", "to"),
    [
        ({"language": "ko", "here": "/staff"}, "/staff"),
        ({"language": "ko", "here": "//evil.example"}, "/"),
        ({"language": "ko", "here": "https://evil.example/"}, "/"),
        ({"language": "ko", "here": "/sign-out"}, "/"),
        ({"language": "ko"}, "/"),
    ],
)
async def test_choosing_a_language_leads_to_a_room_of_ours(fields, to):
    async with opened() as (_, port):
        assert (await Browser(port).post("/language", fields)).to == to


class Outline(HTMLParser):
    """Headings, landmarks, labels and what they are for."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.labels, self.fields, self.described = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        self.tags.append(tag)
        if "id" in said:
            self.ids.append(said["id"])
        if tag == "label":
            self.labels.append(said["for"])
        if tag == "input" and said.get("type") != "hidden" and "hidden" not in said:
            self.fields.append(said.get("id"))
        self.described += said.get("aria-labelledby", said.get("aria-describedby", "")).split()


@pytest.mark.parametrize(
    "path", ["/sign-in", "/", "/staff", "/session", "/staff/mei/lock", "/staff/mei/offboard"]
)
async def test_a_page_can_be_found_through_without_eyes(path):
    async with opened() as (office, port):
        await office.epochs.enrol(MEI, PHONE, office.clock.moment)
        browser = Browser(port) if path == "/sign-in" else await signed_in(port)
        office.later(minutes=6)
        outline = Outline((await browser.get(path)).text)
    assert outline.tags.count("h1") == 1
    assert outline.tags.count("main") == outline.tags.count("header") == 1
    assert outline.tags.count("nav") == (0 if path == "/sign-in" else 1)
    assert sorted(outline.labels) == sorted(outline.fields)
    assert len(set(outline.ids)) == len(outline.ids)
    assert set(outline.described) <= set(outline.ids)


async def test_buttons_of_many_people_say_whose_they_are():
    async with opened() as (_, port):
        words = (await (await signed_in(port)).get("/staff")).words()
        assert "Log out everywhere · Mei Tanaka" in words


# -- a visit is looked at with every request


async def gone(office, browser):
    """Is the visit over, also in the store?"""
    page = await browser.get("/staff")
    kept = await office.documents.all(Kind.SIGN_IN, office.clock.moment)
    return (page.status, page.to) == (303, "/sign-in") and not kept


async def test_a_visit_ends_when_its_person_is_locked():
    async with opened() as (office, port):
        browser = await signed_in(port)
        await office.sessions.lock(HANA, by=None, peer="-")
        assert await gone(office, browser)


async def test_a_lock_alone_is_enough_without_any_epoch():
    async with opened() as (office, port):
        browser = await signed_in(port)
        await office.documents.put(
            Kind.LOCK,
            HANA,
            b'{"since":1,"by":null,"left":false}',
            replaces=None,
            now=office.clock.moment,
        )
        assert await gone(office, browser)


async def test_a_visit_ends_when_its_person_or_its_device_is_logged_out():
    async with opened() as (office, port):
        browser = await signed_in(port)
        await office.sessions.log_out(HANA, None, by=None, peer="-")
        assert await gone(office, browser)
        await browser.sign_in()
        (row,) = [r for r in await office.epochs.rows() if r.staff == HANA and r.device]
        await office.sessions.log_out(HANA, row.device, by=None, peer="-")
        assert await gone(office, browser)


async def test_a_visit_ends_when_its_person_is_off_the_roster():
    async with opened() as (office, port):
        browser = await signed_in(port)
        lines = [line for line in STAFF.splitlines() if "id: hana" not in line]
        office.bundle = bundle("\n".join(lines))
        assert await gone(office, browser)


async def test_a_visit_ends_when_its_person_loses_the_role():
    async with opened() as (office, port):
        browser = await signed_in(port)
        office.bundle = bundle(STAFF.replace("[role:owner]", "[role:stylist]"))
        assert await gone(office, browser)


async def test_a_visit_ends_on_the_day_after_the_last():
    async with opened() as (office, port):
        browser = await signed_in(port)
        left = STAFF.replace(
            "joined: 2016-04-01}", "joined: 2016-04-01, leaves_on: 2026-11-24}", 1
        )
        office.bundle = bundle(left)
        assert await gone(office, browser)


async def test_a_store_that_forgot_its_epochs_lets_nobody_stay():
    async with opened() as (office, port):
        browser = await signed_in(port)
        office.epochs.lose_memory()
        assert await gone(office, browser)


async def test_a_visit_is_over_after_half_an_hour_and_a_page_that_refreshes_itself_is_nobody():
    async with opened() as (office, port):
        browser = await signed_in(port)
        for _ in range(6):
            office.later(minutes=6)
            page = await browser.get("/", **{"HX-Request": "true"})
        assert page.headers.get("HX-Redirect") == "/sign-in"


async def test_pages_that_are_asked_for_keep_a_visit_alive_up_to_eight_hours():
    async with opened() as (office, port):
        browser = await signed_in(port)
        for _ in range(23):
            office.later(minutes=20)
            assert (await browser.get("/")).status == 200
        office.later(minutes=20)
        assert (await browser.get("/")).to == "/sign-in"


async def test_the_log_out_of_a_role_above_is_the_last_thing_a_manager_may_do_to_it():
    async with opened() as (office, port):
        browser = await signed_in(port, "ken")
        page = await browser.get("/staff")
        assert "/staff/hana/log-out" in page.text
        assert "/staff/hana/lock" not in page.text
        assert SPEECHES["en"].say("above_you") in page.text
        fields = page.form("/staff/mei/log-out")
        for act in ("lock", "unlock", "offboard"):
            page = await browser.post(f"/staff/hana/{act}", {"csrf": fields["csrf"]})
            assert page.status == 403
        assert await office.sessions.locks() == {}


async def test_somebody_of_another_salon_is_nobody():
    async with opened() as (office, port):
        browser = await signed_in(port, "ken")
        csrf = (await browser.get("/staff")).form("/staff/mei/log-out")["csrf"]
        page = await browser.post("/staff/yuki/log-out", {"csrf": csrf})
        nobody = await browser.post("/staff/nobody/log-out", {"csrf": csrf})
        assert page.status == nobody.status == 404
        assert page.text == nobody.text
        assert YUKI not in [whom for _, _, whom in office.acts()]


async def test_a_visit_that_cannot_be_read_shows_nothing_and_another_can_begin():
    async with opened() as (office, port):
        browser, other = await signed_in(port), await signed_in(port, "ken")
        for (kind, key), kept in list(office.documents.documents.items()):
            if kind is Kind.SIGN_IN:
                office.documents.documents[kind, key] = replace(kept, value=b"{}")
        assert (await browser.get("/staff")).status == 503
        assert (await browser.get("/sign-in")).status == 200
        assert (await browser.sign_in()).to == "/"
        assert (await browser.get("/staff")).status == 200
        assert (await other.get("/staff")).status == 503


# -- a second factor


async def with_app(office, staff="hana"):
    begin = office.accounts.begin_second_factor
    half = await begin(staff, PASSWORD, "", peer="-", device=None)
    app = App(SimpleNamespace(now=office.clock.now, later=office.later), half.secret)
    enrolled = await office.accounts.enrol(half, app.code(), peer="-")
    return app, enrolled


async def test_an_owner_with_a_second_factor_is_asked_for_a_code():
    async with opened() as (office, port):
        app, _ = await with_app(office)
        browser = Browser(port)
        page = await browser.sign_in()
        assert page.status == 200
        assert "salon_console" not in browser.cookies
        assert (await browser.get("/")).to == "/sign-in"
        wrong = await browser.press(page, "/sign-in/code", code=app.wrong())
        assert wrong.status == 401
        assert SPEECHES["en"].say("wrong_code") in wrong.words()
        done = await browser.press(wrong, "/sign-in/code", code=app.fresh())
        assert (done.status, done.to) == (303, "/")
        assert (await browser.get("/")).status == 200


async def test_the_ticket_of_another_browser_opens_nothing():
    async with opened() as (office, port):
        app, _ = await with_app(office)
        page = await Browser(port).sign_in()
        other = Browser(port)
        await other.sign_in()
        done = await other.press(page, "/sign-in/code", code=app.fresh())
        assert done.status == 401
        assert "salon_console" not in other.cookies


async def test_a_recovery_code_opens_the_console_once():
    async with opened() as (office, port):
        _, enrolled = await with_app(office)
        for status in (303, 401):
            browser = Browser(port)
            page = await browser.sign_in()
            done = await browser.press(page, "/sign-in/code", code=enrolled.recovery[0])
            assert done.status == status


async def test_somebody_who_must_have_one_and_has_none_is_told_where():
    office = Office()
    office.console._house = replace(  # as app.py would have built it
        office.console._house,
        accounts=replace(office.accounts, required=lambda _: True),
    )
    async with opened(office) as (_, port):
        browser = Browser(port)
        page = await browser.sign_in()
        assert page.status == 403
        assert "/_salon/second-factor" in page.words()
        assert "salon_console" not in browser.cookies


async def test_the_own_password_is_changed_with_a_code_and_another_signs_in():
    async with opened() as (office, port):
        app, _ = await with_app(office)
        browser = Browser(port)
        await browser.press(await browser.sign_in(), "/sign-in/code", code=app.fresh())
        page = await browser.get("/session")
        change = {"old": PASSWORD, "new": OTHER, "again": OTHER}
        assert (await browser.press(page, "/session/password", **change)).status == 403
        page = await browser.press(page, "/session/password", **change, code=app.fresh())
        done = await browser.press(page, "/sign-in/code", code=app.fresh())
        assert done.to == "/session?done"


async def test_a_grave_act_takes_the_password_alone():
    async with opened() as (office, port):
        app, _ = await with_app(office)
        browser = Browser(port)
        await browser.press(await browser.sign_in(), "/sign-in/code", code=app.fresh())
        office.later(minutes=10)
        page = await browser.get("/staff/mei/lock")
        done = await browser.press(page, "/staff/mei/lock", password=PASSWORD)
        assert done.status == 303
        assert (Act.LOCK, HANA, MEI) in office.acts()


# -- devices


TABLET = DeviceId("tablet-mei")


async def came(office, staff, device):
    """The registry has seen this device wait, ten minutes ago."""
    at = to_milliseconds(office.clock.moment) - 600_000
    span = Span(place="00000001", first=at, last=at)
    seen = Sighting(device=device, app="phone", spans=(span,), admitted=None, waits=True)
    await change(
        office.documents,
        staff,
        office.clock.moment,
        lambda record: sighted(record, [seen]),
    )


async def test_what_waits_for_approval_stands_first_with_two_buttons():
    async with opened() as (office, port):
        await came(office, MEI, PHONE)
        await came(office, YUKI, TABLET)
        await office.devices.approve(MEI, PHONE, by=None, peer="-")
        page = await (await signed_in(port)).get("/devices")
        assert page.status == 200
        assert page.text.index(TABLET) < page.text.index(PHONE)
        assert SPEECHES["en"].say("devices_waiting", n=1) in page.text
        pressed = [to for to, _ in page.forms() if to.endswith("-device")]
        assert pressed == [
            "/staff/yuki/approve-device",
            "/staff/yuki/refuse-device",
            "/staff/mei/refuse-device",
        ]


async def test_what_the_staff_list_approves_does_not_wait_and_can_be_refused():
    async with opened() as (office, port):
        await came(office, MEI, PHONE)  # on her list, and nobody said anything here
        page = await (await signed_in(port)).get("/devices")
        assert SPEECHES["en"].say("devices_waiting", n=0) in page.text
        assert SPEECHES["en"].say("device_known") in page.text
        assert "/staff/mei/refuse-device" in [to for to, _ in page.forms()]


async def test_an_owner_approves_a_device_and_it_is_entered():
    async with opened() as (office, port):
        await came(office, MEI, TABLET)
        browser = await signed_in(port)
        page = await browser.press(await browser.get("/devices"), "/staff/mei/approve-device")
        assert page.status == 303
        assert office.acts()[-1] == (Act.APPROVE_DEVICE, HANA, MEI)
        record = await office.devices.of(MEI)
        assert (record.devices[TABLET].state, record.devices[TABLET].by) == ("approved", HANA)
        told = await browser.get(page.to)
        said = SPEECHES["en"].say("done_approve_device", device=TABLET, name="Mei Tanaka")
        assert said in told.text
        assert SPEECHES["en"].say("said_by", name="Hana Sato") in told.text


async def test_a_refused_device_is_logged_out_too():
    async with opened() as (office, port):
        await came(office, MEI, TABLET)
        epoch = await office.epochs.enrol(MEI, TABLET, office.clock.moment)
        browser = await signed_in(port)
        await browser.press(await browser.get("/devices"), "/staff/mei/refuse-device")
        assert (await office.devices.of(MEI)).devices[TABLET].state == "refused"
        assert await office.epochs.floor(MEI, TABLET) > epoch


@pytest.mark.parametrize("act", ["approve-device", "refuse-device"])
@pytest.mark.parametrize(
    ("who", "whom", "status"),
    [
        ("hana", "hana", 403),  # a device of one's own
        ("ken", "hana", 403),  # of somebody above
        ("dai", "mei", 404),  # of somebody they do not see
        ("ken", "nobody", 404),
    ],
)
async def test_a_device_that_is_not_theirs_to_judge_is_not_judged(act, who, whom, status):
    async with opened() as (office, port):
        for staff in (HANA, MEI):
            await came(office, staff, TABLET)
        browser = await signed_in(port, who)
        csrf = (await browser.get("/session")).form("/sign-out")["csrf"]
        page = await browser.post(f"/staff/{whom}/{act}", {"csrf": csrf, "device": TABLET})
        assert page.status == status
        assert {one.devices[TABLET].state for one in (await office.devices.all()).values()} == {
            "waiting"
        }


@pytest.mark.parametrize(
    ("device", "status"), [("", 400), ("no such thing", 400), ("other", 404), ("x" * 65, 400)]
)
async def test_a_device_that_nobody_came_with_is_not_approved(device, status):
    async with opened() as (office, port):
        await came(office, MEI, TABLET)
        browser = await signed_in(port)
        fields = (await browser.get("/devices")).form("/staff/mei/approve-device")
        page = await browser.post("/staff/mei/approve-device", fields | {"device": device})
        assert page.status == status
        assert (await office.devices.of(MEI)).devices[TABLET].state == "waiting"


async def test_a_button_of_the_devices_needs_the_visits_own_token():
    async with opened() as (office, port):
        await came(office, MEI, TABLET)
        browser = await signed_in(port)
        page = await browser.post("/staff/mei/approve-device", {"device": TABLET, "csrf": "x"})
        assert page.status in {400, 403}
        assert (await office.devices.of(MEI)).devices[TABLET].state == "waiting"


async def test_a_manager_sees_the_devices_of_their_people_only():
    async with opened() as (office, port):
        await came(office, MEI, PHONE)
        await came(office, YUKI, TABLET)
        page = await (await signed_in(port, "dai")).get("/devices")
        assert TABLET in page.text
        assert PHONE not in page.text


async def test_what_somebody_calls_a_device_is_text_and_no_page():
    async with opened() as (office, port):
        await came(office, MEI, PHONE)
        await office.devices.rename(MEI, PHONE, "<script>x</script>", by=None, peer="-")
        page = await (await signed_in(port)).get("/devices")
        assert "&lt;script&gt;x" in page.text
        assert "<script>x" not in page.text


async def test_the_staff_room_shows_a_devices_name_app_and_when_it_was_seen():
    async with opened() as (office, port):
        await office.epochs.enrol(MEI, TABLET, office.clock.moment)
        await came(office, MEI, TABLET)
        await office.devices.approve(MEI, TABLET, by=None, peer="-")
        await office.devices.rename(MEI, TABLET, "Front desk", by=None, peer="-")
        words = (await (await signed_in(port)).get("/staff")).words()
        seen = SPEECHES["en"].say("last_seen", moment="today, 11:50")
        assert f"Front desk · {TABLET} · phone (approved) {seen}" in words


async def test_devices_that_cannot_be_read_are_not_shown_as_none():
    async with opened() as (office, port):
        browser = await signed_in(port)
        await office.documents.put(Kind.DEVICE, MEI, b"{}", replaces=None, now=office.clock.moment)
        assert (await browser.get("/devices")).status == 503
