"""Made-up policies of any size: one chain of salons, of whose files the rules alone grow.

True here: the same number of rows gives the same files, byte for byte. The roster (200 people,
40 roles), the hours and the adapter stay as they are while the rows grow from 10 to 100,000,
so what grows in a figure is owed to the rows. No row stands twice, and hardly any is contained
in another one. Most ask for two conditions. Those who are measured always have their ten rows:

* STYLIST sees every client without four fields, whatever the record;
* RECORD_STYLIST sees her own clients whole, and of the others those who came in the last five
  years, without the four.
"""

from collections.abc import Iterator
from functools import cache
from itertools import chain, combinations, product, zip_longest
from pathlib import Path
from random import Random

from gateway.build import SourceFile, Sources
from gateway.domain.resource import Vocabulary
from gateway.mapping.adapter import parse_adapter
from gateway.texts.yamltext import parse_yaml

ROOT = Path(__file__).parents[2]
PEOPLE, ROLES = 200, 40
STYLIST, RECORD_STYLIST = "staff:p0", "staff:p1"
APPS = ("phone", "backoffice")
CARD_ACTIONS = {
    "client": ("list|read|search", "create|update", "write", "delete|merge", "export"),
    "message": ("list|read", "send", "write"),
    "booking": ("list|read", "write"),
}
FIELD_ACTIONS = ("read", "write")
FACTS = ("trained", "approved_device", "inside_window", "nda_signed", "app:phone",
         "role:r7", "role:r8", "role:r9", "own_client")  # fmt: skip
# Two facts each, so that no condition is a part of another one. Nobody is on notice.
DENY_WHENS = tuple(f"on_notice & {a}{fact}" for fact in FACTS for a in ("", "!"))
WHENS = DENY_WHENS + tuple(
    f"{a}{one} & {b}{other}"
    for one, other in combinations(FACTS, 2) for a, b in product(("", "!"), repeat=2)
)  # fmt: skip

# The rows of those who are measured; ten, so that there can be a policy of ten rows.
_HEAD = """\
g, role:r2, role:r0
p, role:r0, client, list|read|search, , allow
p, role:r0, client.personal, read, , allow
p, role:r0, client.unmapped, read, , allow
p, role:r0, client.contact, read, , deny
p, role:r0, client.health, read, , deny
p, role:r1, client, *, , allow
p, role:r1, client.unmapped, read, , allow
p, role:r1, client, list|read, !own_client & dormant, deny
p, role:r1, client.contact, read, !own_client, deny
p, role:r1, client.health, read, !own_client, deny
"""
_MODEL = (ROOT / "policies/model.conf").read_bytes()
_ADAPTER = (ROOT / "adapters/salon-demo.yaml").read_bytes()
_WEEK = "{mon: [W], tue: [W], wed: [W], thu: [W], fri: [W], sat: [W], sun: [W]}"
_HOURS = f"""\
salons:
  aoyama: {{timezone: Asia/Tokyo, weekly: {_WEEK.replace("W", '"10:00-20:00"')}}}
  shibuya: {{timezone: Asia/Tokyo, weekly: {_WEEK.replace("W", '"12:00-22:00"')}}}
protected: [client, message]
exempt_roles: [role:r39]
"""


# For a gateway that runs: salons that never close, and a page that is asked rules about.
_OPEN_HOURS = _HOURS.replace("10:00-20:00", "00:00-24:00").replace("12:00-22:00", "00:00-24:00")
_PAGE_ROUTE = b"""\
  - { match: "GET /pages/{id}", resource: page, action: read }
"""
_PAGE_ROW = "p, role:r0, page, read, , allow\n"


def write_policy(folder: Path, *, rows: int, people: int = PEOPLE) -> None:
    """The same as files for `serve`, with one row and one route more, for a page without fields.

    Args:
        folder: gets `policies/` and `adapters/`.
        rows: at least ten.
        people: on the roster, at least two; if they are not the usual 200, the rows about one
            person in their own name are left out, whoever that is.
    """
    (folder / "policies").mkdir(parents=True)
    (folder / "adapters").mkdir()
    rules = rules_csv(rows) if people == PEOPLE else rules_of_roles(rows)
    for name, data in {
        "policies/salon_rules.csv": (rules + _PAGE_ROW).encode(),
        "policies/model.conf": _MODEL,
        "policies/hours.yaml": _OPEN_HOURS.encode(),
        "policies/staff.yaml": staff_yaml(people).encode(),
        "adapters/salon-demo.yaml": _ADAPTER + _PAGE_ROUTE,
    }.items():
        (folder / name).write_bytes(data)


def sources(rows: int) -> Sources:
    """The files of a chain whose rules have so many rows, at least ten."""
    return Sources(
        rules=SourceFile(name="salon_rules.csv", data=rules_csv(rows).encode()),
        model=SourceFile(name="model.conf", data=_MODEL),
        hours=SourceFile(name="hours.yaml", data=_HOURS.encode()),
        staff=SourceFile(name="staff.yaml", data=staff_yaml().encode()),
        adapter=SourceFile(name="salon-demo.yaml", data=_ADAPTER),
        apps=APPS,
    )


def rules_csv(rows: int) -> str:
    """So many rows, at least ten, and the role links."""
    wanted = rows - _HEAD.count("p, ")
    first = set(_HEAD.splitlines(keepends=True))
    plain = [row for row in _plain_rows() if row not in first][: wanted // 2]
    others = list(_conditional_rows(wanted - len(plain)))
    return _HEAD + "".join(chain.from_iterable(zip_longest(others, plain, fillvalue="")))


def rules_of_roles(rows: int) -> str:
    """The same, less the rows about people in their own name: they need not be on the roster."""
    return "".join(
        row for row in rules_csv(rows).splitlines(keepends=True) if " staff:" not in row
    )


def staff_yaml(people: int = PEOPLE) -> str:
    """Everybody holds one role in one salon; one in ten works in the other one, too."""
    lines = [f"roles: [{', '.join(f'role:r{n}' for n in range(ROLES))}]", "staff:"]
    for number in range(people):
        role, second = f"role:r{number % ROLES}", f"role:r{(number + 7) % ROLES}"
        here, there = ("aoyama", "shibuya") if number % 3 else ("shibuya", "aoyama")
        salons = f"{here}: [{role}]" + (f", {there}: [{second}]" if number % 10 == 9 else "")
        lines.append(
            f"  - {{id: p{number}, name: P, salons: {{{salons}}}, joined: 2024-04-01, "
            f'nda_signed: true, trained_until: 2099-12-31, crm_id: "{number}"}}'
        )
    return "\n".join(lines) + "\n"


def _plain_rows() -> list[str]:
    """What half of the roles are allowed without a condition: cards and classes."""
    wide = [thing for thing in _things() if thing[0].count(".") < 2]
    return [_row(who, thing) for who in _whos()[0] for thing in wide]


def _conditional_rows(count: int) -> Iterator[str]:
    """What the other half, and people in their own name, are allowed and denied if ..."""
    things, whos = _things(), _whos()[1]
    total = len(whos) * len(things) * len(WHENS)
    numbers = Random(7).sample(range(total), count)  # noqa: S311  # no secret is made here
    for number in numbers:
        rest, who = divmod(number, len(whos))
        when, thing = divmod(rest, len(things))
        yield _row(whos[who], things[thing], WHENS[when])


def _row(who: str, thing: tuple[str, str], when: str = "") -> str:
    effect = "deny" if when in DENY_WHENS else "allow"
    return f"p, {who}, {thing[0]}, {thing[1]}, {when}, {effect}\n"


@cache
def _whos() -> tuple[tuple[str, ...], tuple[str, ...]]:
    roles = [f"role:r{n}" for n in range(ROLES)]
    return tuple(roles[::2]), (*roles[1::2], *(f"staff:p{n}" for n in range(PEOPLE)))


@cache
def _things() -> tuple[tuple[str, str], ...]:
    """(resource, actions) of every card that routes ask rules about, and of all its parts."""
    found = []
    for name in dict.fromkeys(_vocabulary().targets()):
        card, _, part = name.partition(".")
        actions = FIELD_ACTIONS if part else CARD_ACTIONS.get(card, ())
        found += [(name, action) for action in actions if card in CARD_ACTIONS]
    return tuple(found)


@cache
def _vocabulary() -> Vocabulary:
    return parse_adapter(parse_yaml(_ADAPTER.decode(), "salon-demo.yaml")).vocabulary
