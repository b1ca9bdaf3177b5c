"""Tricks against the console: forms from elsewhere, borrowed sessions, names that are scripts.

Each asks over the admin port as it is. What must not happen is looked for behind the page: in the
trail and in the state.
"""

import asyncio
import json

import pytest

from gateway.domain.act import Act
from gateway.domain.subject import DeviceId
from gateway.ports import Kind
from tests.oracles.console_world import (
    DAI,
    EVIL,
    HANA,
    KEN,
    MEI,
    PASSWORD,
    SCRIPT,
    Browser,
    Office,
    behind,
    opened,
    signed_in,
)

LOG_OUT = "/staff/mei/log-out"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
BUTTONS = ["/staff/mei/log-out", "/staff/mei/lock", "/staff/mei/unlock", "/staff/mei/offboard"]
CHANGING = [*BUTTONS, "/sign-out", "/session/password"]


async def form_of(browser, action=LOG_OUT):
    return (await browser.get("/staff")).form(action)


def untouched(office):
    """Nothing was done to anybody, whatever the page said."""
    acts = {act for act, staff, _ in office.acts() if staff is not None}
    return not acts & {Act.LOG_OUT, Act.LOCK, Act.UNLOCK, Act.OFFBOARD, Act.SIGN_OUT}


# -- without a visit, or with somebody else's


async def test_no_cookie_no_act():
    async with opened() as (office, port):
        for path in CHANGING:
            page = await Browser(port).post(path, {"csrf": "x"})
            assert (page.status, page.to) == (303, "/sign-in"), path
        assert untouched(office)


@pytest.mark.parametrize("csrf", [None, "", "x" * 43, "é"])
async def test_a_form_without_the_token_of_this_visit_does_nothing(csrf):
    async with opened() as (office, port):
        browser = await signed_in(port)
        for path in CHANGING:
            page = await browser.post(path, {} if csrf is None else {"csrf": csrf})
            assert page.status == 403, path
        assert untouched(office)


async def test_the_token_of_another_visit_does_nothing():
    async with opened() as (office, port):
        ken, hana = await signed_in(port, "ken"), await signed_in(port)
        same_person = await signed_in(port)
        for other in (ken, same_person):
            csrf = (await form_of(other))["csrf"]
            for path in CHANGING:
                assert (await hana.post(path, {"csrf": csrf})).status == 403, path
        assert untouched(office)


@pytest.mark.parametrize("name", ["CSRF", "csrf ", "csrf[]", "X-CSRF"])
async def test_the_token_stands_in_one_place_only(name):
    async with opened() as (office, port):
        browser = await signed_in(port)
        csrf = (await form_of(browser))["csrf"]
        page = await browser.post(LOG_OUT, {name: csrf})
        assert page.status in {400, 403}
        page = await browser.post(f"{LOG_OUT}?csrf={csrf}", {})
        assert page.status == 403
        page = await browser.post(LOG_OUT, {}, (("X-CSRF-Token", csrf),))
        assert page.status == 403
        assert untouched(office)


async def test_a_secret_that_was_planted_before_is_not_taken_over():
    async with opened() as (_, port):
        browser = Browser(port)
        planted = "A" * 43
        browser.cookies["salon_console"] = planted
        await browser.sign_in()
        assert browser.cookies["salon_console"] != planted
        thief = Browser(port)
        thief.cookies["salon_console"] = planted
        assert (await thief.get("/")).to == "/sign-in"


async def test_signing_in_over_somebodys_visit_ends_that_visit():
    async with opened() as (_, port):
        thief = await signed_in(port, "ken")
        victim = Browser(port)
        victim.cookies = dict(thief.cookies)  # planted
        await victim.sign_in("hana")
        assert victim.cookies["salon_console"] != thief.cookies["salon_console"]
        assert (await thief.get("/")).to == "/sign-in"


async def test_a_cookie_that_stands_twice_is_nobodys():
    async with opened() as (_, port):
        browser = await signed_in(port)
        mine = browser.cookies["salon_console"]
        for line in (
            f"salon_console={mine}; salon_console={mine}",
            f"salon_console=x; salon_console={mine}",
        ):
            assert (await browser.send("GET", "/", [("Cookie", line)])).to == "/sign-in"


@pytest.mark.parametrize("end", ["lock", "log_out", "offboard"])
async def test_the_cookie_of_somebody_who_is_out_is_worth_nothing(end):
    async with opened() as (office, port):
        browser = await signed_in(port, "ken")
        fields = await form_of(browser)
        how = {"by": HANA, "peer": "-"}
        if end == "lock":
            await office.sessions.lock(KEN, **how)
        elif end == "log_out":
            await office.sessions.log_out(KEN, None, **how)
        else:
            await office.sessions.offboard(KEN, at=None, notice_from=None, **how)
        page = await browser.post(LOG_OUT, fields)
        assert page.to == "/sign-in"
        assert (Act.LOG_OUT, KEN, MEI) not in office.acts()


async def test_a_locked_person_does_not_sign_in():
    async with opened() as (office, port):
        await office.sessions.lock(KEN, by=HANA, peer="-")
        browser = Browser(port)
        assert (await browser.sign_in("ken")).status == 403
        assert "salon_console" not in browser.cookies


async def test_the_store_of_visits_lets_nobody_in():
    async with opened() as (office, port):
        await signed_in(port)
        for key, kept in (await office.documents.all(Kind.SIGN_IN, office.clock.moment)).items():
            for stolen in (key, key[:43], json.loads(kept.value)["csrf"]):
                thief = Browser(port)
                thief.cookies["salon_console"] = stolen
                assert (await thief.get("/")).to == "/sign-in"


async def test_a_device_named_by_somebody_else_is_not_believed():
    async with opened() as (office, port):
        browser = Browser(port)
        browser.cookies["salon_device"] = "laptop-of-hana." + "A" * 43
        await browser.sign_in()
        rows = [row.device for row in await office.epochs.rows() if row.staff == HANA]
        assert DeviceId("laptop-of-hana") not in rows


# -- asked from elsewhere

ELSEWHERE = [
    [("Origin", "https://evil.example")],
    [("Origin", "null")],
    [],
    [("Origin", "")],
    [("Origin", "{ours}"), ("Origin", "https://evil.example")],
    [("Origin", "{ours}, https://evil.example")],
    [("Origin", "{ours}.evil.example")],
    [("Origin", "{ours}/")],
    [("Origin", "https:{bare}")],
    [("Origin", "http://localhost:{port}")],  # ours, but not where this visit is
    [("Origin", "http://127.0.0.1")],  # another port of this machine
    [("Origin", "{ours}"), ("Sec-Fetch-Site", "cross-site")],
    [("Origin", "{ours}"), ("Sec-Fetch-Site", "same-site")],
    [("Origin", "{ours}"), ("Sec-Fetch-Site", "none")],
    [("Origin", "{ours}"), ("Sec-Fetch-Site", "")],
    [("Referer", "{ours}/staff")],
]


@pytest.mark.parametrize("said", ELSEWHERE, ids=str)
async def test_what_another_page_sends_does_nothing(said):
    async with opened() as (office, port):
        browser = await signed_in(port)
        fields = await form_of(browser)
        before = len(office.trail.entries)
        ours = browser.origin
        headers = [
            (name, value.format(ours=ours, bare=ours.removeprefix("http:"), port=port))
            for name, value in said
        ]
        body = f"csrf={fields['csrf']}&name=hana&password={PASSWORD}&language=ja"
        for path in (*CHANGING, "/sign-in", "/sign-in/first", "/language"):
            page = await browser.send("POST", path, [*headers, FORM], body.encode())
            assert page.status == 403, path
            assert len(office.trail.entries) == before
            assert "Set-Cookie" not in page.headers


@pytest.mark.parametrize(
    "said",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:3000"},
    ],
)
async def test_another_page_is_shown_nothing(said):
    async with opened() as (_, port):
        browser = await signed_in(port)
        for path in ("/staff", "/assets/console.css"):
            page = await browser.send("GET", path, said.items())
            assert page.status == 403
            assert "Mei" not in page.text


async def test_a_link_that_somebody_follows_opens_the_page():
    followed = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    async with opened() as (_, port):
        assert (await Browser(port).send("GET", "/sign-in", followed.items())).status == 200


async def test_no_page_can_be_framed_sniffed_or_kept():
    async with opened() as (_, port):
        browser = await signed_in(port)
        pages = [
            await browser.get(path) for path in ("/", "/staff", "/staff/mei/lock", "/nothing")
        ]
        pages.append(await browser.post(LOG_OUT, {}))
        pages.append(await browser.send("DELETE", "/staff"))
        for page in pages:
            assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["Cache-Control"] == "no-store"
            assert "Access-Control-Allow-Origin" not in page.headers


# -- methods


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_a_post_changes_anything(method):
    async with opened() as (office, port):
        browser = await signed_in(port)
        csrf = (await form_of(browser))["csrf"]
        ours = [("Origin", browser.origin), ("Sec-Fetch-Site", "same-origin"), FORM]
        for path in CHANGING:
            asked = f"{path}?csrf={csrf}"
            page = await browser.send(method, asked, ours, f"csrf={csrf}".encode())
            assert page.status in {200, 400, 405}, path
        assert untouched(office)
        assert (await browser.get("/staff")).status == 200


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"]
)
async def test_a_get_that_says_it_is_a_post_is_a_get(name):
    async with opened() as (office, port):
        browser = await signed_in(port)
        csrf = (await form_of(browser))["csrf"]
        await browser.send("GET", f"{LOG_OUT}?{name}=POST&csrf={csrf}", [(name, "POST")])
        assert untouched(office)


# -- where it is asked from


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil"]
)
async def test_a_name_that_was_bound_to_this_machine_is_not_ours(host):
    async with opened() as (_, port):
        browser = Browser(port, host=host.format(port=port))
        page = await browser.get("/sign-in")
        assert page.status == 421
        assert "<form" not in page.text


@pytest.mark.parametrize("host", ["192.0.2.1:{port}", "[2001:db8::1]:{port}", "console.example"])
async def test_without_https_it_opens_only_by_a_loopback_name(host):
    async with opened(names=frozenset({"console.example"})) as (office, port):
        browser = Browser(port, host=host.format(port=port))
        page = await browser.sign_in()
        assert page.status == 421
        assert "https" in page.text
        assert browser.cookies == {}
        assert Act.SIGN_IN not in [act for act, _, _ in office.acts()]


async def test_a_stranger_cannot_say_that_it_is_https():
    async with opened(names=frozenset({"console.example"})) as (_, port):
        browser = Browser(port, host="console.example", origin="https://console.example")
        for name, value in [
            ("X-Forwarded-Proto", "https"),
            ("Forwarded", "proto=https"),
            ("X-Forwarded-Ssl", "on"),
        ]:
            page = await browser.post("/sign-in", {"name": "hana"}, ((name, value),))
            assert page.status == 421


async def test_behind_a_trusted_proxy_the_cookie_is_one_only_we_can_set():
    office = Office(behind("127.0.0.1/32"))
    async with opened(office, names=frozenset({"console.example"})) as (_, port):
        browser = Browser(port, host="console.example", origin="https://console.example")
        by = (("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "198.51.100.7"))
        page = await browser.post("/sign-in", {"name": "hana", "password": PASSWORD}, by)
        assert (page.status, page.to) == (303, "/")
        given = browser.given["__Host-salon_console"]
        for part in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
            assert part in given
        assert "Domain" not in given
        assert office.trail.entries[-1].peer == "198.51.100.7"
        assert (await browser.get("/staff", **dict(by))).status == 200
        # The same proxy says http: then it is, and this is no loopback name.
        plain = {**dict(by), "X-Forwarded-Proto": "http"}
        assert (await browser.get("/staff", **plain)).status == 421


async def test_behind_a_trusted_proxy_a_plain_cookie_is_not_looked_at():
    office = Office(behind("127.0.0.1/32"))
    async with opened(office, names=frozenset({"console.example"})) as (_, port):
        browser = Browser(port, host="console.example", origin="https://console.example")
        by = (("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "198.51.100.7"))
        await browser.post("/sign-in", {"name": "hana", "password": PASSWORD}, by)
        browser.cookies = {"salon_console": browser.cookies["__Host-salon_console"]}
        assert (await browser.get("/staff", **dict(by))).to == "/sign-in"


async def test_whom_a_proxy_does_not_name_is_not_on_this_machine():
    office = Office(behind("127.0.0.1/32"))
    async with opened(office) as (_, port):
        assert (await Browser(port).get("/sign-in")).status == 421


# -- forms that are not forms


@pytest.mark.parametrize(
    ("media", "body", "status"),
    [
        ("application/json", b'{"csrf":"%s"}', 415),
        ("text/plain", b"csrf=%s", 415),
        ("multipart/form-data; boundary=x", b"csrf=%s", 415),
        ("application/x-www-form-urlencoded; charset=utf-7", b"csrf=%s", 415),
        ("", b"csrf=%s", 415),
        ("application/x-www-form-urlencoded", b"csrf=%s&csrf=%s", 400),
        ("application/x-www-form-urlencoded", b"csrf=%s&admin=1", 400),
        ("application/x-www-form-urlencoded", b"csrf=%s&device=%%ff", 400),
        ("application/x-www-form-urlencoded", b"csrf=%s&device=\xff", 400),
        ("application/x-www-form-urlencoded", b"csrf=%s&device", 400),
        ("application/x-www-form-urlencoded", b"csrf=%s" + b"&a=1" * 40, 400),
        ("application/x-www-form-urlencoded", b"csrf=%s&device=" + b"x" * 9000, 413),
    ],
)
async def test_a_body_that_is_no_form_of_ours_does_nothing(media, body, status):
    async with opened() as (office, port):
        browser = await signed_in(port)
        csrf = (await form_of(browser))["csrf"].encode()
        sent = [("Origin", browser.origin), *([("Content-Type", media)] if media else [])]
        filled = body.replace(b"%s", csrf).replace(b"%%", b"%")
        page = await browser.send("POST", LOG_OUT, sent, filled)
        assert page.status == status
        assert untouched(office)


async def test_a_coded_or_chunked_body_is_no_form():
    async with opened() as (office, port):
        browser = await signed_in(port)
        data = f"csrf={(await form_of(browser))['csrf']}".encode()

        async def drip():
            yield data

        sent = [("Origin", browser.origin), FORM]
        coded = await browser.send("POST", LOG_OUT, [*sent, ("Content-Encoding", "gzip")], data)
        chunked = await browser.send("POST", LOG_OUT, sent, drip())
        assert (coded.status, chunked.status) == (415, 400)
        assert untouched(office)


# -- what people are called, and what stands in addresses


async def test_a_name_that_is_a_script_is_a_name():
    async with opened() as (office, port):
        await office.epochs.enrol(EVIL, None, office.clock.moment)
        browser = await signed_in(port)
        page = await browser.press(await browser.get("/staff"), "/staff/evil/log-out")
        told = await browser.get(page.to.partition("#")[0])
        pages = [told, await browser.get("/staff/evil/lock"), await browser.get("/staff")]
        fields = pages[2].form("/staff/evil/log-out")
        pages.append(await browser.post("/staff/evil/log-out", fields, (("HX-Request", "true"),)))
        for page in pages:
            assert SCRIPT not in page.text
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


@pytest.mark.parametrize(
    "name",
    ['"><script>alert(1)</script>', "{{ 7*7 }}", "'\" onfocus=alert(1) autofocus x='", "\x00\x1b"],
)
async def test_what_is_typed_at_the_sign_in_comes_back_as_text(name):
    async with opened() as (_, port):
        page = await Browser(port).sign_in(name)
        assert "<script>alert" not in page.text
        assert "49" not in page.text
        assert '" onfocus' not in page.text
        assert "' onfocus" not in page.text


@pytest.mark.parametrize(
    "query",
    [
        "said=done_lock~mei~~1764043200000~" + "0" * 64,
        "said=%3Cscript%3Ealert(1)%3C/script%3E",
        "said=" + "~" * 5000,
        "said=a&said=b",
    ],
)
async def test_a_link_cannot_say_that_something_was_done(query):
    async with opened() as (_, port):
        browser = await signed_in(port)
        page = await browser.get(f"/staff?{query}")
        assert page.status == 200
        assert 'class="message' not in page.text
        assert "alert(1)</script>" not in page.text.replace("&lt;/script&gt;", "")


async def test_what_was_done_in_one_visit_is_not_told_in_another():
    async with opened() as (_, port):
        ken, hana = await signed_in(port, "ken"), await signed_in(port)
        page = await ken.press(await ken.get("/staff"), LOG_OUT)
        told = page.to.partition("#")[0]
        assert 'class="message' in (await ken.get(told)).text
        assert 'class="message' not in (await hana.get(told)).text


@pytest.mark.parametrize(
    "name",
    [
        "../console.py",
        "..%2fconsole.py",
        "%2e%2e/texts.yaml",
        "htmx.LICENSE.txt",
        "",
        "/etc/passwd",
    ],
)
async def test_only_files_of_the_console_are_files(name):
    async with opened() as (_, port):
        assert (await Browser(port).get(f"/assets/{name}")).status == 404


# -- more than they may


async def test_a_manager_does_not_become_an_owner_by_asking_directly():
    async with opened() as (office, port):
        ken = await signed_in(port, "ken")
        csrf = (await form_of(ken))["csrf"]
        for path in ("/staff/hana/offboard", "/staff/ken/lock", "/staff/ken/unlock"):
            assert (await ken.post(path, {"csrf": csrf})).status == 403
        assert await office.sessions.locks() == {}


async def test_a_manager_of_one_salon_has_no_say_in_another():
    async with opened() as (office, port):
        dai = await signed_in(port, "dai")  # manages Yoyogi; cuts hair in Aoyama
        csrf = (await form_of(dai, "/staff/yuki/log-out"))["csrf"]
        for path in BUTTONS:
            assert (await dai.post(path, {"csrf": csrf})).status == 404
        assert untouched(office)
        assert DAI not in await office.sessions.locks()


async def test_many_wrong_passwords_for_a_grave_act_are_counted_like_any_others():
    async with opened() as (office, port):
        browser = await signed_in(port)
        office.later(minutes=6)
        page = await browser.get("/staff/mei/lock")
        for _ in range(8):
            await browser.press(page, "/staff/mei/lock", password="wrong")
        right = await browser.press(page, "/staff/mei/lock", password=PASSWORD)
        assert right.status == 403
        assert await office.sessions.locks() == {}


async def test_the_proof_of_one_visit_is_none_for_another():
    async with opened() as (office, port):
        old = await signed_in(port)
        office.later(minutes=6)
        await signed_in(port)  # the same person, somewhere else, just now
        page = await old.post("/staff/mei/lock", {"csrf": (await form_of(old))["csrf"]})
        assert page.status == 403
        assert await office.sessions.locks() == {}


async def test_two_presses_at_once_do_it_once():
    async with opened() as (office, port):
        browser = await signed_in(port)
        page = await browser.get("/staff/mei/lock")
        both = await asyncio.gather(*(browser.press(page, "/staff/mei/lock") for _ in range(2)))
        assert [one.status for one in both] == [303, 303]
        assert list(await office.sessions.locks()) == [MEI]
