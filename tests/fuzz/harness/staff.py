"""Bytes become a roster or findings, and nobody is on the roster who is not in the file.

With no other role or salon than those that stand at their name.
"""

from gateway.domain.finding import PolicyError
from gateway.domain.subject import is_name
from gateway.identity.roster import Roster, parse_roster
from gateway.texts.encoding import decode
from gateway.texts.yamltext import Document, parse_yaml
from tests.fuzz.refusals import require_findings

GOOD = """\
roles: [role:owner, role:stylist, role:trainee]
staff:
  - id: hana
    name: 佐藤 花
    salons: {aoyama: [role:owner], shibuya: [role:stylist, role:trainee]}
    joined: 2016-04-01
    on_notice_since: 2026-10-01
    leaves_on: 2026-12-31
    nda_signed: true
    trained_until: 2027-03-31
    approved_devices: [phone-1, Tablet.2]
  - id: mei
    name: Mei
    salons: {aoyama: [role:stylist]}
    joined: 2020-01-01
    leaves_on:
""".encode()
MAX_BYTES = 900
SEEDS = (
    GOOD,
    GOOD.replace(b"mei", b"hana"),
    b"roles: [role:a]\nstaff: []\n",
    b"roles: [role:a]\nstaff: [{id: a, name: A, salons: {b: [role:a]}, joined: 2020-01-01}]\n",
)
# fmt: off
WORDS = (
    b"staff:", b"role:", b"role:anyone", b"staff:hana", b"true", b"yes", b"2026-02-30", b"~",
    b"crm_id: ", b"leaves_on: ", b"approved_devices: ", b"salons: ", b"\xef\xbd\x81", b"[]",
)
# fmt: on


def check(data: bytes) -> None:
    try:
        document = parse_yaml(decode(data, "s.yaml"), "s.yaml")
        roster = parse_roster(document)
    except PolicyError as error:
        require_findings(error, "s.yaml")
        return
    _require_as_written(roster, document)


def _require_as_written(roster: Roster, document: Document) -> None:
    rows = {f"staff:{row['id']}": row for row in document.data["staff"]}
    assert set(roster.members) == set(rows)
    assert set(roster.roles) == set(document.data["roles"])
    for staff, member in roster.members.items():
        row = rows[staff]
        assert is_name(staff.removeprefix("staff:"))
        salons = {str(salon): list(roles) for salon, roles in member.salons.items()}
        assert salons == row["salons"]
        assert set().union(*salons.values()) <= set(roster.roles)
        assert str(member.joined) == row["joined"]
        assert (member.leaves_on and str(member.leaves_on)) == (row.get("leaves_on") or None)
        assert (member.nda_signed is True) == (row.get("nda_signed") == "true")
        assert set(member.approved_devices) == set(row.get("approved_devices") or ())
