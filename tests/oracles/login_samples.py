"""How some CRMs' logins speak, as adapters say it, and a salon whose CRM has one of them."""

import base64
import json
from datetime import UTC, date, datetime, timedelta

from gateway.domain.finding import Place
from gateway.domain.http import Inbound
from gateway.domain.subject import Role, StaffId
from gateway.domain.time import instant
from gateway.identity.roster import Member
from gateway.identity.said import Answered
from gateway.learning import Learning
from gateway.mapping.adapter import parse_adapter
from gateway.texts.yamltext import parse_yaml
from tests.contract.memory_documents import MemoryDocuments
from tests.oracles.memory_epochs import MemoryEpochs

NOW = instant(datetime(2026, 11, 21, 10, 0, tzinfo=UTC))
SESSION = "s3ss10n-0123456789abcdef"
OTHER = "0ther-fedcba9876543210-x"
ORIGIN = "https://crm.salon.example"
SECRET = bytes(range(32))

HEAD = """adapter: demo
resources:
  session: {sensitive: false}
  page: {sensitive: false}
routes:
"""

# A JSON API that names the person and sets a cookie.
PLAIN = """login:
  credential: cookie:sessionid
  sign_in:
    - {match: POST /api/login, staff: body:user.id}
  sign_out:
    - {match: POST /api/logout}
"""
# Django's own login form: 302 after a good one, the form again after a bad one; it names nobody.
DJANGO = """login:
  credential: cookie:sessionid
  sign_in:
    - match: POST /accounts/login/
      success: [302]
      who: GET /api/me/
      staff: body:id
  sign_out:
    - {match: POST /accounts/logout/}
"""
# djangorestframework-simplejwt: both tokens in the body, the person in the token.
SIMPLE_JWT = """login:
  credential: header:Authorization Bearer
  sign_in:
    - match: POST /api/token/
      issues: body:access
      issues_refresh: body:refresh
      staff: token:user_id
      expires: token:exp
  refresh:
    - match: POST /api/token/refresh/
      presents: body:refresh
      issues: body:access
      issues_refresh: body:refresh
      expires: token:exp
  sign_out:
    - {match: POST /api/token/blacklist/, presents: body:refresh}
"""
# DRF TokenAuthentication: one token for ever, and nobody's name.
DRF_TOKEN = """login:
  credential: header:Authorization Token
  sign_in:
    - match: POST /api-token-auth/
      issues: body:token
      who: GET /api/me/
      staff: body:id
      hours: 168
"""
# Laravel Sanctum for a page: the cookie is another with every answer, and is there before.
SANCTUM = """login:
  credential: cookie:laravel_session
  renews: true
  sign_in:
    - match: POST /login
      success: [200, 204, 302]
      continues: true
      who: GET /api/user
      staff: body:id
  sign_out:
    - {match: POST /logout}
"""
# Laravel Sanctum for an app: the body is the token, as text.
SANCTUM_TOKEN = """login:
  credential: header:Authorization Bearer
  sign_in:
    - match: POST /sanctum/token
      issues: body
      who: GET /api/user
      staff: body:id
      device: header:X-Device-Id
"""
# Odoo, JSON-RPC: 200 whatever happens; a session for nobody comes with a failure, too.
ODOO = """login:
  credential: cookie:session_id
  sign_in:
    - match: POST /web/session/authenticate
      staff: body:result.uid
      unless: [error]
  sign_out:
    - {match: POST /web/session/destroy}
"""
# OAuth 2, password grant: one address for two things.
OAUTH = """login:
  credential: header:Authorization Bearer
  sign_in:
    - match: POST /oauth/token
      when: form:grant_type is password
      issues: body:access_token
      issues_refresh: body:refresh_token
      expires: body:expires_in
      who: GET /me
      staff: body:login
      by: id
  refresh:
    - match: POST /oauth/token
      when: form:grant_type is refresh_token
      presents: form:refresh_token
      issues: body:access_token
      expires: body:expires_in
"""
ALL = {
    "plain": PLAIN,
    "django": DJANGO,
    "simple_jwt": SIMPLE_JWT,
    "drf_token": DRF_TOKEN,
    "sanctum": SANCTUM,
    "sanctum_token": SANCTUM_TOKEN,
    "odoo": ODOO,
    "oauth": OAUTH,
}


def adapter_text(login):
    """The login, with a public route for each of its addresses."""
    steps = parse_yaml(login, "a.yaml").data["login"]
    matches = [
        one["match"] for key in ("sign_in", "refresh", "sign_out") for one in steps.get(key, ())
    ]
    routes = "".join(
        f"  - {{match: {match}, resource: session, action: create, public: true}}\n"
        for match in dict.fromkeys(matches)
    )
    return HEAD + routes + login


def a_login(text=PLAIN):
    return parse_adapter(parse_yaml(adapter_text(text), "a.yaml")).login


def a_member(name, crm_id):
    return Member(
        staff=StaffId(f"staff:{name}"),
        name=name,
        salons={"aoyama": (Role("role:stylist"),)},
        crm_id=crm_id,
        joined=date(2024, 4, 1),
        on_notice_since=None,
        leaves_on=None,
        nda_signed=None,
        trained_until=None,
        approved_devices=frozenset(),
        place=Place("staff.yaml"),
    )


MEI, YUKI = StaffId("staff:mei"), StaffId("staff:yuki")
MEMBERS = {MEI: a_member("mei", "17"), YUKI: a_member("yuki", "18")}


def a_request(*headers, method="GET", target="/api/clients"):
    return Inbound(
        method=method,
        target=target,
        version="1.1",
        headers=headers,
        peer="192.0.2.7",
        secure=True,
    )


def a_token(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.c2lnbmF0dXJl"


def an_answer(body=None, *headers, status=200):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = ("Content-Type", "application/json")
    return Answered(status=status, headers=(kind, *headers), body=data)


def set_cookie(value=SESSION, name="sessionid", more="; HttpOnly; Path=/"):
    return ("Set-Cookie", f"{name}={value}{more}")


class Salon:
    """The service over memory, and a CRM that says who it thinks is asking."""

    def __init__(self, login=PLAIN):
        self.login = a_login(login)
        self.documents = MemoryDocuments()
        self.epochs = MemoryEpochs()
        self.ids = 0
        self.asked = []
        self.who = an_answer({"id": 17, "login": "mei"})
        self.asked_before = []
        self.before = an_answer(status=401)  # whose the session is that goes on with a sign-in
        self.now = NOW
        self.learning = Learning(
            documents=self.documents,
            epochs=self.epochs,
            secret=SECRET,
            new_id=self.new_id,
            origins=frozenset({ORIGIN}),
            token_cookie="salon_token",
        )

    def new_id(self):
        self.ids += 1
        return f"{self.ids:032x}"

    def later(self, **how_much):
        self.now = instant(self.now + timedelta(**how_much))

    async def ask(self, who, headers):
        self.asked.append((who, headers))
        return self.who

    async def ask_before(self, who, headers):
        self.asked_before.append((who, headers))
        return self.before

    async def admit(self, *headers, body=b"", target=None, method="POST"):
        template = target or next(iter(self.login.steps))
        request = a_request(*headers, method=method, target=template.partition(" ")[2])
        return await self.learning.admit(
            self.login, template, request, body, self.ask_before, self.now
        )

    async def sign_in(self, answer, *headers, body=b"", target=None):
        admission = await self.admit(*headers, body=body, target=target)
        return await self.learning.learn(
            self.login, admission, answer, MEMBERS, self.ask, self.now
        )

    async def who_is(self, *headers, **how):
        return await self.learning.identify(self.login, a_request(*headers, **how), self.now)

    async def is_in(self, *headers):
        """Identified, and current: what the pipeline asks next."""
        claims = (await self.who_is(*headers)).claims
        floor = await self.epochs.floor(claims.staff, claims.device)
        return floor is not None and claims.epoch >= floor


COOKIE = ("Cookie", f"sessionid={SESSION}")
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
