"""Every line of salon_rules.csv is a comment, a rule, a link or a finding: none is lost.

And what is a rule says what a plain reading of its columns says.
"""

import csv

from gateway.domain.finding import PolicyError
from gateway.enforcer.rules import RuleSet, Words, parse_rules
from gateway.enforcer.when import ConditionNames
from gateway.texts.encoding import decode
from tests.fuzz.refusals import require_findings
from tests.properties.worlds import RECORD_FACTS, ROLES, VOCABULARY

WORDS_KNOWN = Words(
    vocabulary=VOCABULARY,
    staff=frozenset({"staff:mei"}),
    roles=frozenset(ROLES),
    conditions=ConditionNames(
        apps=["phone"],
        roles=ROLES,
        facts={"client": RECORD_FACTS, "booking": RECORD_FACTS[:1]},
    ),
)
GOOD = b"""\
# p, who, resource, action, when, eft
p, role:stylist, client, list|read, own_client, allow
p,   role:stylist,client.contact,read,own_client & !app:phone,allow

p, role:anyone, booking, *, outside_window & !role:stylist, deny
p, staff:mei, *, read|list, , allow
p, "role:stylist", "client", "read", "", "deny"
"""
MAX_BYTES = 512
SEEDS = (
    GOOD,
    GOOD.replace(b"\n", b"\r\n"),
    b"g, role:stylist, role:manager\n" + GOOD,
    "p，role:stylist, client, read, , allow\n".encode() + GOOD,
    b'p, "role:stylist\np, role:anyone", client, read, , deny\n',
    GOOD.replace(b"\n", b"\r"),
)
# fmt: off
WORDS = (
    b"\np, ", b"\ng, ", b'"', b'""', b"\r\n", b"\r", b"\n", b",,", b", allow", b", deny",
    b"role:anyone", b"staff:mei", b"client.contact", b"*", b" & ", b"!", b"#", b"\xe3\x80\x80",
    b"\xc2\xa0", b"\xef\xbc\x8c", b"\xe2\x80\xa8", b"\x0c", b"\t", b"\xef\xbb\xbf", b"Allow",
)
# fmt: on


def check(data: bytes) -> None:
    try:
        text = decode(data, "r.csv")
        found = parse_rules(text, "r.csv", WORDS_KNOWN)
    except PolicyError as error:
        require_findings(error, "r.csv")
        return
    said = [row for line in text.splitlines() if (row := _columns(line))]
    links = [row for row in said if row[0] == "g"]
    rules = [row for row in said if row[0] != "g"]
    assert len(rules) + len(links) == len(said)
    assert len(found.rules) == len(rules)
    for rule, row in zip(found.rules, rules, strict=True):
        kind, who, resource, actions, when, effect = row
        assert (kind, rule.who, rule.resource, rule.effect) == ("p", who, resource, effect)
        assert rule.actions == {action.strip(" \t") for action in actions.split("|")}
        spelled = {part.strip(" \t") for part in when.split("&")} if when else set()
        assert set(filter(None, str(rule.condition).split(" & "))) == spelled
    _require_linked(found, links)


def _columns(line: str) -> list[str]:
    """The trimmed columns of a line; none for a comment or an empty line."""
    if not line.strip(" \t") or line.lstrip(" \t").startswith("#"):
        return []
    (row,) = csv.reader([line], skipinitialspace=True, strict=True)
    return [column.strip(" \t") for column in row]


def _require_linked(found: RuleSet, links: list[list[str]]) -> None:
    given = {(who, role) for who, roles in found.graph.parents.items() for role in roles}
    assert given == {(who, role) for _, who, role in links}
