"""A ruling that is remembered says what it would say if it were worked out anew."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.build import SourceFile, Sources, build
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import instant
from gateway.identity.claims import Claims
from gateway.identity.principal import resolve

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
RULES = """\
g, staff:mei, role:reception
p, role:anyone, client, export, network:salon, deny
p, role:anyone, client.contact, read, app:phone, deny
p, role:stylist, client, list|read, inside_window & trained, allow
p, role:stylist, client.contact, read, approved_device & !on_notice, allow
p, role:reception, client, *, !role:manager, allow
p, role:manager, *, *, nda_signed, allow
"""
STAFF = """\
roles: [role:manager, role:reception, role:stylist]
staff:
  - id: mei
    name: Mei
    salons: {aoyama: [role:stylist], london: [role:manager]}
    joined: 2024-04-01
    on_notice_since: 2026-03-29
    trained_until: 2026-10-25
    nda_signed: true
    approved_devices: [phone-mei]
  - {id: ken, name: Ken, salons: {london: [role:stylist]}, joined: 2024-04-01}
"""
HOURS = """\
salons:
  aoyama: {timezone: Asia/Tokyo, weekly: {sun: ["10:00-19:00"], mon: ["20:00-02:00"]}}
  london: {timezone: Europe/London, weekly: {sun: ["00:30-02:30"], mon: ["10:00-19:00"]}}
protected: [client]
exempt_roles: [role:manager]
"""


def source(path, text=None):
    path = Path(path)
    return SourceFile(name=path.name, data=text.encode() if text else path.read_bytes())


BUNDLE = build(
    Sources(
        rules=source("salon_rules.csv", RULES),
        model=source("policies/model.conf"),
        hours=source("hours.yaml", HOURS),
        staff=source("staff.yaml", STAFF),
        adapter=source("adapters/salon-demo.yaml"),
        apps=("phone", "backoffice"),
        networks={"salon": ("192.0.2.0/24",)},
    )
)
# Around the nights on which London's clock jumps, and Mei's dates end and begin.
moments = st.builds(
    lambda day, minutes: instant(day + timedelta(minutes=minutes)),
    st.sampled_from(
        [datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)]
    ),
    st.integers(0, 3 * 24 * 60),
)
asked = st.tuples(
    st.builds(
        Claims,
        staff=st.sampled_from([StaffId("staff:mei"), StaffId("staff:ken")]),
        device=st.sampled_from([None, DeviceId("phone-mei"), DeviceId("other")]),
        epoch=st.just(1),
        app=st.sampled_from([None, "phone", "backoffice", "unheard-of"]),
        roles=st.one_of(
            st.none(),
            st.frozensets(st.sampled_from([Role("role:manager"), Role("role:stylist")])),
        ),
        expires_at=st.just(instant(datetime(2027, 1, 1, tzinfo=UTC))),
    ),
    st.sampled_from(["client", "booking"]),
    st.sampled_from(["list", "read", "export"]),
    moments,
    st.sampled_from([None, "192.0.2.7", "198.51.100.7", "2001:db8::7"]),
)


@settings(max_examples=60 * FUZZ, deadline=None)
@given(st.lists(asked, min_size=2, max_size=30))
def test_what_is_remembered_is_what_it_would_say_anew(questions):
    remembering = replace(BUNDLE)  # with nothing remembered yet
    for claims, name, action, at, peer in questions:
        resource = BUNDLE.adapter.vocabulary.resources[name]
        principal = resolve(claims, BUNDLE.people)
        anew = replace(BUNDLE).ruling(principal, resource, action, at, peer)
        for _ in range(2):
            ruling = remembering.ruling(principal, resource, action, at, peer)
            assert (ruling.decision, ruling.facts, ruling.noted) == (
                anew.decision,
                anew.facts,
                anew.noted,
            )
