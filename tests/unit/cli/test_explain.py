"""`salon-gateway explain`: every stop, and the same verdict that the pipeline gives."""

import asyncio
from dataclasses import dataclass

import pytest

from gateway.app import load_settings
from gateway.backends.policy_folder import read_sources
from gateway.build import build
from gateway.domain.decision import Refusal
from gateway.domain.http import Inbound
from gateway.domain.subject import DeviceId, Role, staff_id
from gateway.doorway import Doorway
from gateway.identity.claims import ClaimNames, TokenPolicy, issue
from gateway.identity.keys import secret_table
from gateway.mapping.guard import WireLimits
from gateway.pipeline import Pipeline
from tests.oracles.memory_devices import MemoryDevices
from tests.oracles.memory_epochs import MemoryEpochs
from tests.oracles.memory_lockdown import MemoryLockdown
from tests.oracles.memory_locks import MemoryLocks
from tests.oracles.memory_world import Body, CountingMeter, MemoryTrail, MemoryUpstream, SetClock

SECRET = b"kQ9v2mZr7xT4wB8nL1sD6fG3hJ5pYcVe"
OPEN, SHUT = "2026-11-25T12:00+09:00", "2026-11-25T21:30+09:00"  # a Wednesday
NAMES = ClaimNames(roles="roles")

MORE_STAFF = """
  - id: gone
    name: Somebody Who Left
    salons: {aoyama: [role:manager]}
    joined: 2020-01-01
    leaves_on: 2021-01-01
  - id: soon
    name: Somebody Who Joins
    salons: {aoyama: [role:manager]}
    joined: 2999-01-01
  - id: nowhere
    name: Somebody Without Hours
    salons: {shibuya: [role:stylist]}
    joined: 2020-01-01
"""
MORE_RULES = """
p, role:trainee, message, list|read, approved_device, allow
p, role:trainee, booking, update, !app:phone, allow
p, role:reception, booking, create, !network:salon, deny
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    who: str
    target: str
    method: str = "GET"
    at: str = OPEN
    app: str | None = "backoffice"
    device: str | None = None
    role: str | None = None
    peer: str = "192.0.2.7"

    def words(self):
        words = ["explain", "--who", self.who, "--at", self.at, "--peer", self.peer]
        for flag, value in (("--app", self.app), ("--device", self.device), ("--role", self.role)):
            words += [flag, value] if value is not None else []
        return [*words, self.method, self.target]


CASES = {
    "rule_allows": [
        Case(who="mei", target="/api/clients/7"),
        Case(who="mei", target="/api/clients?page=2&sort=name"),
        Case(who="ken", target="/api/clients?email=a@mail.example"),
        Case(who="ken", target="/api/clients/export"),
        Case(who="ken", target="/api/clients/7", at=SHUT),
        Case(who="hana", target="/api/clients/7", method="DELETE"),
        Case(who="ken", target="/api/clients/7", method="PUT"),
        Case(who="mei", target="/api/bookings", at=SHUT),
        Case(who="oksana", target="/api/messages", device="tablet-front"),
        Case(who="ken", target="/api/clients/7", role="reception"),
        Case(who="rei", target="/api/bookings", method="POST", peer="198.51.100.7"),
    ],
    "rule_denies": [
        Case(who="mei", target="/api/clients/export"),
        Case(who="mei", target="/api/clients/7", method="DELETE"),
        Case(who="mei", target="/api/clients/export?email=x", at=SHUT),
        Case(who="rei", target="/api/bookings", method="POST", peer="192.0.2.7"),
    ],
    "no_rule_allows": [
        Case(who="mei", target="/api/clients/7", method="PATCH"),
        Case(who="oksana", target="/api/clients/7"),
        Case(who="oksana", target="/api/clients/7", at=SHUT),
        Case(who="oksana", target="/api/bookings/1", method="PATCH", app="phone"),
        Case(who="oksana", target="/api/bookings/1", method="PATCH", app=None),
        Case(who="ken", target="/api/clients/export", role="reception"),
    ],
    "outside_hours": [
        Case(who="mei", target="/api/clients/7", at=SHUT),
        Case(who="mei", target="/api/clients?email=x", at=SHUT),
        Case(who="nowhere", target="/api/clients/7"),
        Case(who="ken", target="/api/clients/7", at=SHUT, role="reception"),
    ],
    "device_not_approved": [
        Case(who="oksana", target="/api/messages", device="somebody-elses"),
        Case(who="oksana", target="/api/messages"),
    ],
    "hidden_field_asked": [
        Case(who="mei", target="/api/clients?email=x"),
        Case(who="mei", target="/api/clients?sort=-phone"),
        Case(who="ken", target="/api/clients?email=x", app="phone"),
        Case(who="ken", target="/api/clients?email=x", app=None),
    ],
    "overwrites_hidden": [
        Case(who="rei", target="/api/clients/7", method="PUT"),
        Case(who="ken", target="/api/clients/7", method="PUT", app="phone"),
    ],
    "unknown_parameter": [Case(who="ken", target="/api/clients?expand=all")],
    "parameter_invalid": [Case(who="ken", target="/api/clients?per_page=51")],
    "unmapped": [
        Case(who="ken", target="/api/nothing"),
        Case(who="mei", target="/api/clients", method="DELETE"),
    ],
    "ambiguous_target": [
        Case(who="mei", target="/api/clients/../clients"),
        Case(who="mei", target="/api/clients//7"),
        Case(who="mei", target="/api/%2e%2e"),
    ],
    "method_refused": [Case(who="ken", target="/api/clients", method="TRACE")],
    "not_on_roster": [
        Case(who="nobody", target="/api/clients"),
        Case(who="nobody", target="/api/nothing"),
        Case(who="nobody", target="/staff"),
        Case(who="soon", target="/api/clients"),
    ],
    "has_left": [
        Case(who="gone", target="/api/clients"),
        Case(who="gone", target="/api/nothing"),
        Case(who="gone", target="/staff"),
    ],
    "passed": [
        Case(who="oksana", target="/staff"),
        Case(who="mei", target="/assets/staff.js", at=SHUT),
    ],
    "public": [
        Case(who="mei", target="/health"),
        Case(who="gone", target="/health"),
        Case(who="nobody", target="/health", at=SHUT),
    ],
}
TABLE = [(reason, case) for reason, cases in CASES.items() for case in cases]


@pytest.fixture
def salon(line):
    """The starter set, and more people and rules, for every reason that there is."""
    with (line.folder / "policies" / "staff.yaml").open("a", encoding="utf-8") as staff:
        staff.write(MORE_STAFF)
    line.edit(
        "policies/staff.yaml", "    nda_signed: false", "    approved_devices: [tablet-front]"
    )
    with (line.folder / "policies" / "salon_rules.csv").open("a", encoding="utf-8") as rules:
        rules.write(MORE_RULES)
    line.edit(
        "gateway.yaml",
        '# networks: {salon: ["192.0.2.0/24"]}',
        'networks: {salon: ["198.51.100.0/24"]}',
    )
    return line


class Door:
    """The pipeline in memory, on the same files."""

    def __init__(self, folder):
        self.bundle = build(read_sources(load_settings(str(folder / "gateway.yaml")), folder))
        self.clock = SetClock(OPEN)
        self.epochs = MemoryEpochs()
        crm = MemoryUpstream([])
        crm.says(204, b"")  # fits every route
        self.trail = MemoryTrail([])
        self.meter = CountingMeter()
        self.pipeline = Pipeline(
            bundles=self,
            doorway=Doorway(
                limits=WireLimits(),
                tokens=TokenPolicy(
                    issuer="i", audience="a", keys=secret_table(SECRET), names=NAMES
                ),
                max_request_body=1000,
                upstream_origin="http://crm.example",
            ),
            clock=self.clock,
            epochs=self.epochs,
            locks=MemoryLocks(),
            lockdown=MemoryLockdown(),
            devices=MemoryDevices(),
            upstream=crm,
            audit=self.trail,
            meter=self.meter,
            new_request_id=lambda: "11111111-2222-4333-8444-555555555555",
        )

    def current(self):
        return self.bundle

    async def reason(self, case):
        """Why the pipeline answers as it does."""
        self.clock.set(case.at)
        staff, now = staff_id(case.who), self.clock.moment
        device = DeviceId(case.device) if case.device else None
        token = issue(
            key=SECRET,
            algorithm="HS256",
            kid="default",
            issuer="i",
            audience="a",
            names=NAMES,
            staff=staff,
            device=device,
            app=case.app,
            roles=frozenset({Role(f"role:{case.role}")}) if case.role else None,
            epoch=await self.epochs.enrol(staff, device, now),
            now=now,
            lifetime_seconds=3600,
        )
        outcome = await self.pipeline.run(
            Inbound(
                method=case.method,
                target=case.target,
                version="1.1",
                headers=(("Host", "gateway"), ("Authorization", f"Bearer {token}")),
                peer=case.peer,
                secure=True,
            ),
            Body(),
        )
        if isinstance(outcome, Refusal):
            return str(outcome.reason)
        (labels, _), *_ = self.meter.named("answered")
        return str(labels.reason)


@pytest.mark.parametrize(("reason", "case"), TABLE)
def test_it_says_what_the_pipeline_does(salon, reason, case):
    assert asyncio.run(Door(salon.folder).reason(case)) == reason
    code, data = salon.data(*case.words())
    goes = reason in {"rule_allows", "passed", "public"}
    assert (code, data["allowed"]) == (0 if goes else 1, goes)
    if not goes:
        assert data["stops"][0]["reason"] == reason
    text_code, out, err = salon(*case.words())
    assert (text_code, err) == (code, "")
    verdict = "goes through" if goes else f"is refused: {reason}"
    assert out.splitlines()[0] == f"staff:{case.who} {case.method} {case.target} {verdict}"


def test_every_stop_is_listed_not_only_the_first(salon):
    case = Case(who="mei", target="/api/clients/export?email=x", at=SHUT)
    _, data = salon.data(*case.words())
    assert [stop["reason"] for stop in data["stops"]] == [
        "rule_denies",
        "no_rule_allows",
        "outside_hours",
        "unknown_parameter",
    ]
    deny = data["stops"][0]["rules"]
    assert len(deny) == 1
    assert deny[0].startswith("salon_rules.csv:")


def test_a_permit_names_its_rules_and_every_field_that_leaves(salon):
    _, data = salon.data(*Case(who="mei", target="/api/clients/7", app="phone").words())
    assert data["stops"] == []
    assert set(data["hidden"]) == {"phone", "email", "address", "birthday", "unmapped"}
    assert data["hidden"]["phone"] == []  # no row shows it
    assert data["hidden"]["email"][0].startswith("salon_rules.csv:")  # a row hides it
    assert {"name", "notes", "visits"} <= set(data["shown"])
    assert data["record"] == "7"
    assert data["allowed_by"][0].startswith("salon_rules.csv:")
    _, out, _ = salon(*Case(who="mei", target="/api/clients/7").words())
    assert "  hidden   phone (no rule shows it)" in out
    assert "  access   read client, record 7" in out


def test_after_hours_it_says_when_and_for_whom_it_would_go_through(salon):
    _, data = salon.data(*Case(who="mei", target="/api/clients/7", at=SHUT).words())
    changes = " | ".join(data["would_change"])
    assert "inside the opening hours, next from Thu 2026-11-26 09:00" in changes
    assert "staff:hana, staff:ken" in changes
    assert data["window"] == "closed"
    assert data["changes_at"] == "2026-11-26T00:00:00+00:00"


def test_an_exempt_person_after_hours_is_said_to_be_one(salon):
    _, data = salon.data(*Case(who="ken", target="/api/clients/7", at=SHUT).words())
    assert (data["allowed"], data["exempt"]) == (True, True)
    _, out, _ = salon(*Case(who="ken", target="/api/clients/7", at=SHUT).words())
    assert "for an exempt role, and counted" in out


def test_the_moment_is_read_on_the_persons_salons_clock(salon):
    at = "2026-11-25T21:30"
    local = salon.data(*Case(who="mei", target="/api/clients", at=at).words())
    assert local == salon.data(*Case(who="mei", target="/api/clients", at=SHUT).words())


def test_without_a_moment_it_is_now(salon):
    assert salon("explain", "--who", "ken", "GET", "/api/clients/7")[0] == 0


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--who", "Mei Tanaka"), "a staff id is lower-case letters"),
        (("--who", "mei", "--at", "noon"), "`noon` is not a moment; write 2026-11-24T20:31"),
        (("--who", "mei", "--at", "2026-11-31"), "`2026-11-31` is not a moment"),
        (("--who", "mei", "--app", "fone"), "unknown app `fone`; did you mean `phone`?"),
        (("--who", "mei", "--role", "stylst"), "unknown role `role:stylst`; did you mean"),
        (("--who", "mei", "--device", "my phone"), "a device id is"),
        (("--who", "mei", "--peer", "the front desk"), "the front desk"),
    ],
)
def test_a_question_that_makes_no_sense_is_a_usage_error_with_a_remedy(salon, typed, said):
    code, out, err = salon("explain", *typed, "GET", "/api/clients/7")
    assert (code, out) == (2, "")
    assert err.startswith("salon-gateway explain: ")
    assert said in err
