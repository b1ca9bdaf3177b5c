"""Random resources, permits and documents, all of one case from one seed.

Hypothesis drawing each step and member by itself takes fifty times as long.
"""

import json
from itertools import count
from random import Random

from gateway.domain.decision import Permit
from gateway.domain.fieldpath import ITEMS, FieldPath
from gateway.domain.obligation import CLOSED, Conjunct, Grant, Residual
from gateway.domain.record import (
    AtLeast,
    AtMost,
    Is,
    IsMe,
    OlderThan,
    RecordFact,
    SalonOf,
)
from gateway.domain.resource import UNMAPPED, Embed, Field, Resource
from gateway.domain.ruleref import RuleRef
from gateway.masking.tree import tree_of
from tests.oracles.slow_cut import parse
from tests.oracles.slow_records import ever_hidden, every_state, slow_hidden, slow_may_refuse

NAMES = ("id", "email", "Email", "contact", "phone", "メモ", "")
WIRE = (
    ("data", ITEMS),
    ("data",),
    (ITEMS,),
    (),
    (ITEMS, ITEMS),
    ("page", "data", ITEMS),
    ("data", ITEMS, "of"),
)

# Every scalar is unlike every other, so that one that slipped through can be recognised.
SPELLINGS = (
    '"<{n:04}>"',
    '"see [1] {{ <{n:04}> \\u00e9\\ud83d\\ude00 ]"',
    '"\\"<{n:04}>\\\\"',
    '"佐藤<{n:04}>"',
    "-0.{n:04}0",
    "9{n:022}",
    "1.0{n:04}0e400",
    "1E+{n}",
)
# What facts and salons below are about; these stand in many records.
TELLING = (
    '"me"',
    '"me"',
    '"\\u006de"',
    '"you"',
    "7",
    "7.0",
    '"7"',
    "true",
    "false",
    "null",
    "12",
    '"2015-01-31"',
    '"2026-06-01T10:00"',
    '"2026-02-30"',
    '"aoyama"',
    '"aoyama"',
    '"SHI"',
    '""',
)
TELLING_TEXTS = frozenset(json.dumps(json.loads(text)) for text in TELLING) | set(TELLING)
COMPARISONS = (
    IsMe(),
    IsMe(),
    Is(value=True),
    Is("7"),
    AtLeast(10),
    AtMost(7),
    OlderThan(count=5, unit="y"),
)
LIKELY = ("mine", "house", "inner", "others")
EMBEDDED = {"inner": ("inner",), "others": ("others", ITEMS)}
CONSTANTS = ("null", "true", "false", "-0")
SPACES = ("", "", "", " ", "\n\t ")


class Writer:
    """Everything of one case. `telling`: how often a scalar is one that facts know."""

    def __init__(self, seed, telling=0.0):
        self.dice = Random(seed)  # noqa: S311  # test data
        self.numbers = count()
        self.telling = telling
        self.likely = LIKELY if telling else ()

    def steps(self):
        rest = self.dice.choices((*NAMES[:5], ITEMS), k=self.dice.choice((0, 0, 1, 1, 2)))
        return (self.dice.choice(NAMES), *rest)

    def resource(self, name="client"):
        fields = {}
        for letter in "abcde"[: self.dice.randrange(6)]:
            paths = [self.steps() for _ in range(self.dice.choice((1, 1, 2)))]
            fields[letter] = Field(
                name=letter,
                paths=tuple(FieldPath(path, self.dice.random() < 0.25) for path in paths),
                field_class=self.dice.choice((None, "contact", "health")),
            )
        ids = [None, ("id",), ("id",)]
        for declared in fields.values():
            start = declared.paths[0].steps
            ids += [start, (*start, "id"), (*start, ITEMS, "id"), (*start, "email", "phone")]
        steps = self.dice.choice(ids)
        return Resource(
            name=name,
            sensitive=self.dice.random() < 0.7,
            id=None if steps is None else FieldPath(steps),
            fields=fields,
        )

    def some(self, names):
        """A random part of the names, often none or all."""
        share = self.dice.choice((0.0, 0.3, 0.6, 0.6, 1.0))
        return frozenset(name for name in names if self.dice.random() < share)

    def space(self):
        return self.dice.choice(SPACES)

    def name(self, name):
        """A member name on the wire, perhaps with its first letter escaped."""
        text = json.dumps(name, ensure_ascii=False)
        escape = name and self.dice.random() < 0.3
        return f'"\\u{ord(name[0]):04x}{text[2:]}' if escape else text

    def value(self, depth):
        if self.dice.random() < self.telling:
            return self.dice.choice(TELLING)
        kind = self.dice.randrange(10 if depth else 6)
        if kind == 0:
            return self.dice.choice(CONSTANTS)
        if kind <= 5:
            return self.dice.choice(SPELLINGS).format(n=next(self.numbers))
        if kind == 6:
            inner = [self.space() + self.value(depth - 1) for _ in range(self.dice.randrange(4))]
            return "[" + ",".join(inner) + self.space() + "]"
        return self.object(depth - 1)

    def object(self, depth):
        names = self.dice.choices((*NAMES, *NAMES, "[]", "other"), k=self.dice.randrange(7))
        if self.likely:
            names = [*names[:4], *(name for name in self.likely if self.dice.random() < 0.6)]
            self.dice.shuffle(names)
        members = [
            self.space()
            + self.name(name)
            + self.space()
            + ":"
            + self.space()
            + self.member(name, depth)
            for name in names
        ]
        return "{" + ",".join(members) + self.space() + "}"

    def member(self, name, depth):
        """What stands at a name; other records are mostly where they should be."""
        if name in self.likely and self.dice.random() < 0.8:
            if name not in EMBEDDED:
                return self.dice.choice(TELLING)
            one = self.object(depth - 1) if depth > 0 else "null"
            return f"[{one},{self.value(0)}]" if name == "others" else one
        return self.value(depth)

    def answer(self, where):
        """A document in which records mostly stand where the route says."""
        if self.dice.random() < 0.03:
            return self.value(2)
        if not where:
            return self.object(4 if self.likely else 3)
        if where[0] == ITEMS:
            inner = [self.answer(where[1:]) for _ in range(self.dice.randrange(5))]
            inner *= self.dice.choice((1, 1, 2))  # records of one shape
            return "[" + ",".join(inner) + "]"
        names = [where[0], *self.dice.choices(("total", "next", where[0]), k=2)]
        self.dice.shuffle(names)
        members = [
            f'"{name}":' + (self.answer(where[1:]) if name == where[0] else self.value(1))
            for name in names
        ]
        return "{" + ",".join(members) + "}"

    # -- records that rules judge ------------------------------------------------------------

    def told(self, resource):
        """The resource with facts, a salon and embeds."""
        fields = dict(resource.fields)
        for name in ("mine", "house"):
            paths = [(name,), ("contact", name)][: self.dice.choice((1, 1, 1, 2))]
            fields[name] = Field(name=name, paths=tuple(map(FieldPath, paths)))
        single = ["mine", "mine", "house"] + [
            name
            for name, declared in fields.items()
            if not any(path.whole or ITEMS in path.steps for path in declared.paths)
        ]
        facts = tuple(
            RecordFact(
                name=f"fact{number}",
                field=self.dice.choice(single),
                comparison=self.dice.choice(COMPARISONS),
            )
            for number in range(self.dice.choice((0, 1, 1, 2, 2, 3)))
        )
        salon = None
        if self.dice.random() < 0.4:
            salon = SalonOf(field=self.dice.choice(single), names={"SHI": "shibuya"})
        made = Resource(
            name=resource.name,
            sensitive=resource.sensitive,
            id=resource.id,
            fields=fields,
            facts=facts,
            salon=salon,
        )
        for name, steps in EMBEDDED.items():
            path = FieldPath(steps if self.dice.random() < 0.8 else self.steps())
            embed = Embed(path=path, resource=self.dice.choice(KINDS))
            made = with_embed(made, name, embed) if self.dice.random() < 0.6 else made
        return made

    def conjunct(self, facts):
        row = self.dice.randrange(1, 40)
        positive, negative = 0, 0
        for _ in range(self.dice.choice((1, 1, 2)) if facts else 0):
            bit = 1 << self.dice.randrange(facts)
            if self.dice.random() < 0.6:
                positive |= bit
            else:
                negative |= bit
        return Conjunct(RuleRef("salon_rules.csv", row), positive, negative)

    def residual(self, facts):
        if self.dice.random() < 0.4:
            return OPEN
        if self.dice.random() < 0.2:
            return CLOSED
        rows = [self.conjunct(facts) for _ in range(3)]
        denies = tuple(row for row in rows[:1] if not row.settled and self.dice.random() < 0.3)
        return Residual(allows=tuple(rows[1:]), denies=denies)

    def permit(self, resource):
        by = (RuleRef("salon_rules.csv", 1),)
        if self.dice.random() < 0.2:
            return Permit(by=by, hidden=self.some(resource.maskable))
        facts = len(resource.facts)
        grants = {
            salon: Grant(
                test=self.residual(facts) if self.dice.random() < 0.6 else OPEN,
                fields={
                    name: (self.residual(facts), CLOSED) for name in (*resource.fields, UNMAPPED)
                },
            )
            for salon in self.dice.choice((("aoyama",), ("aoyama", "shibuya")))
        }
        everywhere = self.dice.random() < 0.7
        made = Permit(by=by, depends=True, grants=grants, everywhere=everywhere)
        if all(slow_hidden(made, state) is None for state in every_state(resource)):
            return self.permit(resource)  # that would be a denial
        return Permit(
            by=by,
            hidden=ever_hidden(made, resource),
            depends=True,
            refuses=slow_may_refuse(made, resource),
            grants=grants,
            everywhere=everywhere,
        )


KINDS = ("client", "stylist", "salon")
OPEN = Residual(allows=(Conjunct(RuleRef("salon_rules.csv", 2)),))


def with_embed(resource, name, embed):
    """The resource with this embed too, if it can stand there."""
    made = Resource(
        name=resource.name,
        sensitive=resource.sensitive,
        id=resource.id,
        fields=resource.fields,
        facts=resource.facts,
        salon=resource.salon,
        embeds={**resource.embeds, name: embed},
    )
    try:
        tree_of(made)
    except ValueError:
        return resource
    return made


def same(made, wanted):
    """Equal values in equal spelling and equal order."""
    if isinstance(wanted, dict):
        return (
            isinstance(made, dict)
            and list(made) == list(wanted)
            and all(same(made[name], wanted[name]) for name in wanted)
        )
    if isinstance(wanted, list):
        return isinstance(made, list) and len(made) == len(wanted) and all(map(same, made, wanted))
    return type(made) is type(wanted) and made == wanted


def agree(made, wanted, slow):
    assert same(parse(made.body), wanted)
    assert made.dropped == dict(slow.dropped)
    assert made.records == slow.records
    assert made.refused == slow.refused
    assert made.unmatched == slow.unmatched
    assert made.hidden_fields == tuple(sorted(slow.hid))
    assert made.shown_fields == tuple(sorted(slow.shown))
