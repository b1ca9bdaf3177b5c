"""JSON answers by the thousand, each with its truth: what of it must stay and what must go.

Whoever writes a value here knows whether it may be seen, and marks it: `K17` stays, `H18` goes
(a number has the marks 7000000177 and 8000000188); `D` is a member that another one of its name
replaces, of which nothing is asked. So the cut is held to account without any
other implementation of its rules: no `H` may come out, and every `K` must, in its order and
spelling. Everything else about a document is chance: escapes, white space, members that stand
twice, numbers of every form, text that looks like JSON, names that look like others.

Slower and more thorough, record by record against a reference: tests/properties/test_cut*.py.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from random import Random
from typing import TypeVar

import msgspec

from gateway.domain.decision import Permit
from gateway.domain.errors import RequestError
from gateway.domain.fieldpath import FieldPath, parse_field_path
from gateway.domain.obligation import CLOSED, Conjunct, Grant, Residual
from gateway.domain.reason import Reason
from gateway.domain.record import Asker, IsMe, RecordFact
from gateway.domain.resource import UNMAPPED, Embed, Field, Resource
from gateway.domain.ruleref import RuleRef
from gateway.masking.cut import cut
from gateway.masking.judge import RecordJudge, judge_of
from gateway.masking.plan import Plan, build_node, build_plan
from tests.fuzz.refusals import require_reason

ASKER = Asker(crm_id="me", today=date(2026, 11, 21))
RULE = RuleRef("salon_rules.csv", 1)
ALWAYS = Residual(allows=(Conjunct(RULE),))
OWN = Residual(allows=(Conjunct(RULE, positive=1),))
SHOWING = (ALWAYS, OWN, CLOSED)

# Field → where it stands. One `[]`, one `.**`, one field at two places, one inside another's.
FIELDS = {
    "name": ("name",),
    "phone": ("phone", "contact.phone"),
    "email": ("contact.email",),
    "tags": ("tags",),
    "note": ("notes[].text",),
    "author": ("notes[].by.name",),
    "extra": ("extra.**",),
    "stylist": ("stylist",),
}
# Members that no field names; some look like one that does.
STRANGE = (
    "Name",
    "name ",
    "phone\u0000",
    "ｎame",
    "notes[]",
    "extra.a",
    "メモ",
    "",
    "id2",
    "[]",
    "__proto__",
)
RECORDS = ("[]", "", "data[]", "data", "page.data[]")
HIDDEN = re.compile(rb"H\d+H|8\d{8}8")
DIGITS = {"K": 7, "H": 8, "D": 9}
OneT = TypeVar("OneT")
Member = tuple[str, Callable[[], str]]

STRINGS = (
    '"{m}"',
    '"佐藤 {m}"',
    '"\\u4f50\\u85e4{m}"',
    '"]}}{{,[\\"{m}\\"]"',
    '"\\\\\\"{m}\\\\"',
    '"{m}\\n\\/\\ud83d\\ude00"',
    '"{{\\"id\\":1}} {m}"',
)
NUMBERS = (
    "{m}",
    "-{m}",
    "{m}.00",
    "0.{m}0",
    "{m}e5",
    "{m}E+400",
    "-0.{m}E-1",
    "{m}00000000000000",
)
SPACES = ("", "", "", "", "", " ", "\n\t", "\r\n  ")


@dataclass
class Tally:
    """What came of the documents so far."""

    documents: int = 0
    leaked: int = 0
    changed: int = 0


@dataclass(frozen=True)
class Sight:
    """Who sees what of which records: one policy, for a number of documents.

    Attributes:
        shows: field or `unmapped` → when it may be seen.
        test: when the record may be.
        inner: the same of the records inside, or None: they may not be seen at all.
    """

    shows: dict[str, Residual]
    test: Residual
    sensitive: bool
    inner: "Sight | None"
    embeds: bool = False
    plan: Plan | None = None
    judge: RecordJudge | None = None
    judges: dict[str, RecordJudge] = field(default_factory=dict)

    def seen(self, name: str, *, own: bool) -> bool:
        if name == UNMAPPED and not self.sensitive:
            return True
        when = self.shows[name]
        return when is ALWAYS or (when is OWN and own)


def a_resource(name: str, *, sensitive: bool) -> Resource:
    return Resource(
        name=name,
        sensitive=sensitive,
        id=FieldPath(("id",)),
        fields={
            title: Field(name=title, paths=tuple(map(parse_field_path, paths)))
            for title, paths in FIELDS.items()
        },
        facts=(RecordFact(name="own", field="stylist", comparison=IsMe()),),
        embeds={"inner": Embed(path=FieldPath(("inner",)), resource="other")}
        if name == "client"
        else {},
    )


def a_sight(dice: Random, name: str, records: str = "[]") -> Sight:
    """A random policy, with what the cut is given for it."""
    sensitive = dice.random() < 0.8
    resource = a_resource(name, sensitive=sensitive)
    judged = dice.random() < 0.5
    pick: Callable[[], Residual] = lambda: dice.choice(SHOWING if judged else SHOWING[::2])  # noqa: E731
    shows = {title: pick() for title in (*FIELDS, UNMAPPED)}
    test = OWN if judged and dice.random() < 0.4 else ALWAYS
    if not judged:
        permit = Permit(
            by=(RULE,), hidden=frozenset(n for n, when in shows.items() if when is CLOSED)
        )
    else:
        permit = Permit(
            by=(RULE,),
            depends=True,
            refuses=test is OWN,
            hidden=frozenset(n for n, when in shows.items() if when is not ALWAYS),
            grants={"a": Grant(test=test, fields={n: (w, CLOSED) for n, w in shows.items()})},
        )
    judge = judge_of(
        permit,
        resource,
        asker=ASKER,
        node_of=lambda hidden, prefix: build_node(resource, hidden, prefix),
    )
    inner = a_sight(dice, "other") if name == "client" and dice.random() < 0.7 else None
    judges = {"other": inner.judge} if inner is not None and inner.judge is not None else {}
    plan = build_plan(
        resource,
        permit.hidden,
        records=parse_field_path(records),
        beside=frozenset({"next"}),
        depends=permit.depends,
        may_refuse=permit.refuses,
    )
    return Sight(shows, test, sensitive, inner, name == "client", plan, judge, judges)


@cache
def spellings(name: str) -> tuple[str, ...]:
    """A member's name as JSON may spell it: the same, or with one character escaped."""
    ways = [json.dumps(name), json.dumps(name, ensure_ascii=False)]
    if name.isascii() and name.isalnum():
        ways *= 4
        ways += [f'"{name[:at]}\\u{ord(name[at]):04x}{name[at + 1 :]}"' for at in range(len(name))]
    return tuple(ways)


class Scribe:
    """Writes one document and remembers what of it must stay."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.kept: list[str] = []  # every scalar that must stay, as it is spelled, in order
        self.marks = 0
        self.twice = False  # some member stands twice, so the order is that of the first ones

    def scalar(self, *, stays: bool) -> str:
        self.marks += 1
        if self.dice.random() < 0.7:
            letter = "K" if stays else "H"
            text = self.pick(STRINGS).format(m=f"{letter}{self.marks}{letter}")
        else:
            digit = DIGITS["K" if stays else "H"]
            text = self.pick(NUMBERS).format(m=f"{digit}{self.marks:08}{digit}")
        if stays:
            self.kept.append(text)
        return text

    def anything(self, depth: int, *, stays: bool) -> str:
        """Any value, every scalar of it with the same fate."""
        kind = self.below(8 if depth else 5)
        if kind < 5:
            return self.scalar(stays=stays)
        inside = [self.anything(depth - 1, stays=stays) for _ in range(self.below(3))]
        if kind == 5:
            return "[" + ",".join(inside) + "]"
        names = ["id", "phone", "name", "a", "[]"]
        return "{" + ",".join(f'"{n}":{v}' for n, v in zip(names, inside, strict=False)) + "}"

    def leaf(self, *, stays: bool, unmapped: bool) -> str:
        """What stands at a field: a scalar or an array of some; rarely what does not belong."""
        chance = self.dice.random()
        if chance < 0.75 or (not stays and chance < 0.9):
            return self.scalar(stays=stays)
        if chance < 0.9:
            return "[" + ",".join(self.scalar(stays=stays) for _ in range(2)) + "]"
        goes_on = stays and unmapped
        return f'{{"a":{self.anything(1, stays=goes_on)}}}'

    def object(self, members: list[Member]) -> str:
        """Members in random order; some stand twice, and then the last one counts."""
        dice = self.dice
        dice.shuffle(members)
        written = []
        if members and dice.random() < 0.1:
            name, value = members[0]
            written.append((name, self._replaced(value)))
            self.twice = True
        written += [(name, value()) for name, value in members]
        space = dice.choice(SPACES)
        inside = ",".join(
            [f"{space}{self.pick(spellings(name))}:{space}{text}" for name, text in written]
        )
        return f"{{{inside}{space}}}"

    def _replaced(self, value: Callable[[], str]) -> str:
        before = len(self.kept)
        text = value()
        del self.kept[before:]
        return _remarked(text, "K", "D")

    def pick(self, options: Sequence[OneT]) -> OneT:
        """As `choice` does it, in a third of the time."""
        return options[int(self.dice.random() * len(options))]

    def below(self, most: int) -> int:
        return int(self.dice.random() * most)

    # -- records -------------------------------------------------------------------------

    def record(self, sight: Sight) -> str:
        own = self.dice.random() < 0.5
        before = len(self.kept)
        text = self.object(self._members(sight, own=own))
        if sight.test is OWN and not own:
            text = self._all_gone(text, before)
        return text

    def _all_gone(self, text: str, before: int) -> str:
        """The same record with every value marked as one that goes."""
        del self.kept[before:]
        return _remarked(_remarked(text, "K", "H"), "D", "H")

    def _members(self, sight: Sight, *, own: bool) -> list[Member]:
        def leaf(name: str) -> Callable[[], str]:
            return lambda: self.leaf(stays=sight.seen(name, own=own), unmapped=unmapped)

        def contact() -> str:
            inside = [("phone", leaf("phone")), ("email", leaf("email"))]
            return self.object(inside[: self.below(3)] + self._strange(stays=unmapped))

        def note() -> str:
            inside = [("text", leaf("note")), ("by", by)]
            return self.object(inside[: self.below(3)] + self._strange(stays=unmapped))

        def by() -> str:
            return self.object([("name", leaf("author"))])

        def notes() -> str:
            return "[" + ",".join([note() for _ in range(self.below(3))]) + "]"

        def extra() -> str:
            return f'{{"a":{self.anything(2, stays=sight.seen("extra", own=own))}}}'

        unmapped = sight.seen(UNMAPPED, own=own)
        members = [("contact", contact), ("notes", notes), ("extra", extra)]
        members += [(name, leaf(name)) for name in ("name", "phone", "tags")]
        members.append(("id", lambda: self.scalar(stays=True)))
        if sight.embeds:
            members.append(("inner", lambda: self._embedded(sight)))
        members = self.dice.sample(members, self.below(len(members) + 1))
        members.append(("stylist", lambda: self._stylist(sight, own=own)))
        return members + self._strange(stays=unmapped)

    def _strange(self, *, stays: bool) -> list[Member]:
        if self.dice.random() < 0.6:
            return []
        names = self.dice.sample(STRANGE, self.pick((1, 2)))
        return [(name, lambda: self.anything(2, stays=stays)) for name in names]

    def _stylist(self, sight: Sight, *, own: bool) -> str:
        if own:
            return self.pick(('"me"', '"\\u006de"', '"m\\u0065"'))
        return self.scalar(stays=sight.seen("stylist", own=own))

    def _embedded(self, sight: Sight) -> str:
        if sight.inner is None:
            return self.anything(2, stays=False)
        return self.record(sight.inner)

    def answer(self, sight: Sight, records: str) -> str:
        many = records.endswith("[]")
        texts = [self.record(sight) for _ in range(self.below(4) if many else 1)]
        text = "[" + ",".join(texts) + "]" if many else texts[0]
        for step in reversed([step for step in records.replace("[]", "").split(".") if step]):
            text = f'{{"{step}":{self.pick(SPACES)}{text}}}'
        return self.pick(SPACES) + text + self.pick(SPACES)


def _remarked(text: str, mark: str, new: str) -> str:
    text = re.sub(rf"{mark}(\d+){mark}", rf"{new}\1{new}", text)
    old, digit = DIGITS[mark], DIGITS[new]
    return re.sub(rf"{old}(\d{{8}}){old}", rf"{digit}\g<1>{digit}", text)


def try_some(seed: int, count: int, tally: Tally) -> str:
    """Cut some documents under one random policy; what went wrong first, or an empty text."""
    dice = Random(seed)  # noqa: S311  # test data
    records = dice.choice(RECORDS)
    sight = a_sight(dice, "client", records)
    wrong = ""
    for number in range(count):
        scribe = Scribe(dice)
        document = scribe.answer(sight, records)
        tally.documents += 1
        leaked, changed = _outcome(document.encode(), scribe, sight)
        tally.leaked += leaked
        tally.changed += changed
        if (leaked or changed) and not wrong:
            wrong = (
                f"seed {seed}, document {number}: {'leaked' if leaked else 'changed'}: {document}"
            )
    return wrong


def _outcome(document: bytes, scribe: Scribe, sight: Sight) -> tuple[bool, bool]:
    """Did something hidden come out? Did something that stays not come out as it was?"""
    assert sight.plan is not None
    judge = sight.judge if sight.plan.depends else None
    try:
        made = cut(document, sight.plan, judge=judge, judges=sight.judges).body
    except RequestError as error:
        require_reason(error, {Reason.NO_SUCH_RECORD})
        return False, bool(scribe.kept)
    msgspec.json.decode(made, type=msgspec.Raw)
    leaked = HIDDEN.search(made) is not None
    at = 0
    for text in scribe.kept:
        spelled = text.encode()
        found = made.find(spelled, at)
        if found < 0:
            return leaked, True
        at = 0 if scribe.twice else found + len(spelled)
    return leaked, False
