"""A salon with a console: the real rooms on a real admin port, over stores in memory.

`Browser` is what a browser is to the console: it keeps cookies, says where a form comes from,
and reads the forms of a page; `send` says anything else.
"""

import re
from contextlib import asynccontextmanager
from datetime import timedelta
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import yarl
from multidict import CIMultiDict

from gateway.accounts import Accounts
from gateway.build import SourceFile, Sources, build
from gateway.console.authority import ConsoleSettings
from gateway.console.console import Console
from gateway.console.house import House
from gateway.console.refused import RefusalCounts
from gateway.console.visits import Visits
from gateway.devices import DeviceRegistry
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.grants import Grants, GrantSettings
from gateway.proxy.admin import AdminServer
from gateway.proxy.negotiate import language
from gateway.sessions import Sessions
from tests.contract.memory_documents import MemoryDocuments
from tests.oracles.accounts_world import QuickHasher
from tests.oracles.memory_epochs import MemoryEpochs
from tests.oracles.memory_world import CountingMeter, MemoryTrail, SetClock

NOON = "2026-11-25T12:00+09:00"  # a Wednesday; both salons are open
PASSWORD = "seven quiet umbrellas"
HANA, KEN, DAI, MEI, YUKI = (StaffId(f"staff:{x}") for x in ("hana", "ken", "dai", "mei", "yuki"))
EVIL = StaffId("staff:evil")
SCRIPT = "<script>alert(1)</script>"
STAFF = f"""
roles: [role:owner, role:manager, role:reception, role:stylist, role:trainee]
staff:
  - {{id: hana, name: Hana Sato, salons: {{aoyama: [role:owner]}}, joined: 2016-04-01}}
  - {{id: ken, name: Ken Mori, salons: {{aoyama: [role:manager]}}, joined: 2019-10-01}}
  - {{id: dai, name: Dai Abe, salons: {{yoyogi: [role:manager], aoyama: [role:stylist]}},
     joined: 2019-10-01}}
  - {{id: mei, name: Mei Tanaka, salons: {{aoyama: [role:stylist]}}, joined: 2024-04-01,
     approved_devices: [phone-mei]}}
  - {{id: yuki, name: 結城 ゆき, salons: {{yoyogi: [role:stylist]}}, joined: 2022-07-15}}
  - {{id: evil, name: "{SCRIPT}", salons: {{aoyama: [role:trainee]}}, joined: 2024-04-01}}
  - {{id: past, name: Past Owner, salons: {{aoyama: [role:owner]}}, joined: 2016-04-01,
     leaves_on: 2026-10-31}}
"""


def source(path):
    return SourceFile(name=Path(path).name, data=Path(path).read_bytes())


def bundle(staff=STAFF):
    return build(
        Sources(
            rules=source("policies/salon_rules.csv"),
            model=source("policies/model.conf"),
            hours=source("policies/hours.yaml"),
            staff=SourceFile(name="staff.yaml", data=staff.encode()),
            adapter=source("adapters/salon-demo.yaml"),
            apps=("phone", "backoffice"),
        )
    )


BUNDLE = bundle()


class Office:
    """Everything behind the console; implements the policies it shows."""

    def __init__(self, settings=None, at=NOON):
        self.happened = []
        self.clock = SetClock(at)
        self.epochs = MemoryEpochs()
        self.documents = MemoryDocuments()
        self.trail = MemoryTrail(self.happened)
        self.refusals = RefusalCounts()
        self.bundle = BUNDLE
        self.loaded_at = self.clock.moment
        self.stale = None
        self.made = 0
        common = {
            "epochs": self.epochs,
            "documents": self.documents,
            "audit": self.trail,
            "clock": self.clock,
            "policy": lambda: self.bundle.digest,
            "new_id": lambda: self.new("id"),
        }
        self.sessions = Sessions(**common)
        self.devices = DeviceRegistry(**common)
        self.meter = CountingMeter()
        self.grants = Grants(
            documents=self.documents,
            audit=self.trail,
            clock=self.clock,
            people=lambda: self.bundle.people,
            managers=frozenset({Role("role:manager"), Role("role:owner")}),
            everywhere=frozenset({Role("role:owner")}),
            policy=lambda: self.bundle.digest,
            new_id=lambda: self.new("id"),
            meter=self.meter,
            settings=GrantSettings(minutes=20, ways={"webhook": None}),
        )
        self.accounts = Accounts(
            **common,
            hasher=QuickHasher(),
            roster=lambda: self.bundle.roster,
            new_device=lambda: DeviceId(self.new("device")),
        )
        self.console = Console(
            House(
                policies=self,
                accounts=self.accounts,
                sessions=self.sessions,
                devices=self.devices,
                grants=self.grants,
                epochs=self.epochs,
                visits=Visits(self.documents),
                refusals=self.refusals,
                clock=self.clock,
                settings=settings or ConsoleSettings(),
                language=language,
                device_key=b"k" * 32,
            )
        )

    def new(self, what):
        self.made += 1
        return f"{what}-{self.made}"

    def current(self):
        return self.bundle

    def acts(self):
        return [(e.act, e.staff, e.whom) for e in self.trail.entries]

    async def give(self, staff, password=PASSWORD, *, temporary=False):
        weak = await self.accounts.set_password(
            staff, password, by=None, peer="-", temporary=temporary
        )
        assert weak == ()

    def later(self, **span):
        self.clock.moment = self.clock.moment + timedelta(**span)


@asynccontextmanager
async def opened(office=None, *, names=frozenset()):
    """The office with its admin port; everybody of rank has a password. Gives (office, port)."""
    office = office or Office()
    for staff in (HANA, KEN, DAI, MEI):
        await office.give(staff)

    async def ready():
        return True, []

    async def metrics():
        return b"", "text/plain"

    async def status():
        return {}

    server = AdminServer(ready, metrics, status, names=names, console=office.console.handle)
    port = await server.start("127.0.0.1", 0)
    try:
        yield office, port
    finally:
        await server.stop()


class Page:
    """An answer, with what a person can press."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.text = status, headers, body.decode()

    @property
    def to(self):
        return self.headers.get("Location")

    def forms(self):
        reader = _Forms()
        reader.feed(self.text)
        return reader.forms

    def form(self, action):
        """The fields of the first form that goes to this address."""
        return next(fields for to, fields in self.forms() if to == action)

    def words(self):
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", self.text))


class _Forms(HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms = []

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        if tag == "form":
            self.forms.append((said["action"], {}))
        elif tag == "input" and "name" in said:
            self.forms[-1][1][said["name"]] = said.get("value", "")


class Browser:
    """One browser on this machine."""

    def __init__(self, port, host=None, origin=None):
        self.port = port
        self.host = host or f"127.0.0.1:{port}"
        self.origin = origin or f"http://{self.host}"
        self.cookies = {}
        self.given = {}  # name -> the whole Set-Cookie

    async def send(self, method, path, headers=(), data=None):
        """One request as it is said, with the cookies."""
        sent = [("Host", self.host), *headers]
        if self.cookies and not any(name == "Cookie" for name, _ in sent):
            kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            sent.append(("Cookie", kept))
        names = ["Accept", "Accept-Encoding", "User-Agent", "Content-Type"]
        async with (
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=names
            ) as session,
            session.request(
                method,
                yarl.URL(f"http://127.0.0.1:{self.port}{path}", encoded=True),
                headers=CIMultiDict(sent),
                data=data,
                allow_redirects=False,
            ) as answer,
        ):
            page = Page(answer.status, answer.headers, await answer.read())
        for line in answer.headers.getall("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.given[name] = line
                self.cookies[name] = morsel.value
                if not morsel.value:
                    del self.cookies[name]
        return page

    async def get(self, path, **headers):
        site = (("Sec-Fetch-Site", "same-origin"),)
        return await self.send("GET", path, (*site, *headers.items()))

    async def post(self, path, fields, headers=()):
        """As the browser sends a form of ours."""
        usual = (
            ("Origin", self.origin),
            ("Sec-Fetch-Site", "same-origin"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        )
        return await self.send("POST", path, (*usual, *headers), urlencode(fields).encode())

    async def sign_in(self, name="hana", password=PASSWORD):
        return await self.post("/sign-in", {"name": name, "password": password})

    async def press(self, page, action, **more):
        """Press the button of a form, with these fields filled in."""
        return await self.post(action, page.form(action) | more)


async def signed_in(port, name="hana"):
    browser = Browser(port)
    page = await browser.sign_in(name)
    assert (page.status, page.to) == (303, "/"), page.words()
    return browser


def behind(*networks):
    return ConsoleSettings(trusted_proxies=tuple(map(ip_network, networks)))
