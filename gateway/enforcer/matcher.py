"""What a model.conf adds to its five conjuncts, and no more.

The matcher is a conjunction. Five of its parts are the decision itself (`CONJUNCTS`) and must
stand there as they are; every other part narrows which rows speak:

* a comparison over the words of the request and the columns of the row (expression.py);
* `holds("<conditions>", r.ctx, p.eft)`: conditions that join the `when` of every row.

A part that only the request decides, and every `holds`, can only take away: what switches a
deny off switches every allow off too. A part that compares columns of the row can switch off
denies alone. That is what such a model says, and what stock pycasbin does.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.domain.finding import Finding, Place, PolicyError, did_you_mean
from gateway.domain.resource import ANY
from gateway.domain.subject import ANYONE
from gateway.enforcer.expression import (
    Expression,
    ExpressionError,
    Judge,
    Kind,
    Operand,
    Text,
    Token,
    Word,
    check_text,
    comparisons,
    judge,
    parse_expression,
    tokens,
)
from gateway.enforcer.modeltext import Entry
from gateway.enforcer.rules import Effect, Words
from gateway.enforcer.when import MAX_LITERALS, Condition, Literal

CONJUNCTS = (
    "g(r.sub, p.who)",
    "acts_as(r.ctx, p.who, p.eft)",
    "covers(p.res, r.res, p.eft)",
    "names(p.act, r.act)",
    "holds(p.when, r.ctx, p.eft)",
)
MAX_MATCHER = 4096  # characters; the five conjuncts are 130

_ALWAYS = Condition()

Row = tuple[str, str, str, str, str]  # `Rule.row`: who, res, act, when, eft


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """What a model.conf adds to the five conjuncts.

    Attributes:
        conjuncts: each must be true for a row to speak.
        condition: joins the `when` of every row, allows and denies alike.
        written: where each literal of `condition` stands.
    """

    conjuncts: tuple[Expression, ...] = ()
    condition: Condition = _ALWAYS
    written: tuple[tuple[Place, Literal], ...] = field(default=(), compare=False, repr=False)
    _judges: tuple[Judge, ...] = field(default=(), init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_judges", tuple(map(judge, self.conjuncts)))

    def speaks(self, row: Row, target: str, action: str) -> bool:
        """May this row speak about this target and action at all?

        Args:
            row: `Rule.row`, as stock pycasbin gets it: `act` is the sorted actions joined by
                `|`, `when` the condition in its normal form (`a & !b`), without `condition`.
            target: a card or a field, as `r.res`.
            action: as `r.act`.
        """
        values = (target, action, *row)
        return all(true(values) for true in self._judges)

    def unknown_conditions(
        self, names: Collection[str], of_records: Collection[str] = ()
    ) -> tuple[Finding, ...]:
        """Conditions in `holds("...")` that are not among these.

        Args:
            names: every condition known from the request (`ConditionNames.request()`).
            of_records: facts of records, to say why one of them may not stand here.
        """
        return tuple(
            Finding(place, _why_unknown(literal.name, names, of_records))
            for place, literal in self.written
            if literal.name not in names
        )

    def unknown_texts(self, words: Words) -> tuple[Finding, ...]:
        """Texts that what they are compared with can never be: slips of the pen.

        `r.act != "exprot"` would be honoured to the letter and keep nobody from an export.
        `p.when` is free: a text there is a whole condition in its normal form.
        """
        known = _possible(words)
        found = [
            Finding(text.place, f"`{word.value}` is never `{text.text}`; {near}")
            for word, text in self._compared()
            if word in known and not known[word].possible(text.text)
            for near in [known[word].hint(text.text)]
        ]
        return tuple(dict.fromkeys(found))

    def _compared(self) -> Iterator[tuple[Word, Text]]:
        """Every word with every text that it is compared with."""
        for conjunct in self.conjuncts:
            for among in comparisons(conjunct):
                for other in among.others:
                    yield from _pair(among.left, other)


PLAIN_MATCHER = Matcher()


def _pair(left: Operand, right: Operand) -> Iterator[tuple[Word, Text]]:
    match left, right:
        case (Word() as word, Text() as text) | (Text() as text, Word() as word):
            yield word, text
        case _:
            pass


def _why_unknown(name: str, names: Collection[str], of_records: Collection[str]) -> str:
    if name in of_records:
        return (
            f"`{name}` is known from the record only; it may stand in the `when` of a rule, "
            "not in the model"
        )
    return f"unknown condition `{name}`; {did_you_mean(name, names)}"


@dataclass(frozen=True, slots=True)
class _Values:
    """The texts that a word can be.

    Attributes:
        joined: several of them, sorted and joined by `|`, are one too.
    """

    names: frozenset[str]
    joined: bool = False

    def possible(self, text: str) -> bool:
        if not self.joined or text == ANY:
            return text in self.names
        parts = text.split("|")
        return self.names.issuperset(parts) and parts == sorted(set(parts)) and ANY not in parts

    def hint(self, text: str) -> str:
        if self.joined and "|" in text:
            parts = [part.strip() for part in text.split("|")]
            if self.names.issuperset(parts):
                return f"write `{'|'.join(sorted(set(parts)))}`"
        return did_you_mean(text, self.names)


def _possible(words: Words) -> Mapping[Word, _Values]:
    """What each word of the language can be under an owner's other files."""
    vocabulary = words.vocabulary
    # Classes are never asked about themselves, only the fields in them.
    asked = {
        target
        for card in vocabulary.resources.values()
        for target in (card.name, *map(card.target, card.maskable))
    }
    return {
        Word.ASKED_RESOURCE: _Values(frozenset(asked)),
        Word.ASKED_ACTION: _Values(vocabulary.actions),
        Word.WHO: _Values(words.staff | words.roles | {ANYONE}),
        Word.RESOURCE: _Values(frozenset({*vocabulary.targets(), ANY})),
        Word.ACTIONS: _Values(vocabulary.actions | {ANY}, joined=True),
        Word.EFFECT: _Values(frozenset(Effect)),
    }


def parse_matcher(entry: Entry) -> Matcher:
    """Read the value of `m`.

    Raises:
        PolicyError: every conjunct that is missing or not understood, at its place.
    """
    reader = _Reader(entry)
    matcher = reader.read()
    if reader.findings:
        raise PolicyError(reader.findings)
    return matcher


@dataclass(slots=True)
class _Reader:
    """Takes the matcher apart at its outermost `&&`."""

    entry: Entry
    findings: list[Finding] = field(default_factory=list)
    kept: set[tuple[Token, ...]] = field(default_factory=set)
    conjuncts: list[Expression] = field(default_factory=list)
    written: list[tuple[Place, Literal]] = field(default_factory=list)

    def read(self) -> Matcher:
        if len(self.entry.value) > MAX_MATCHER:
            self._refuse(0, f"the matcher is longer than {MAX_MATCHER} characters")
            return PLAIN_MATCHER
        try:
            parts = list(_split(list(tokens(self.entry.value)), len(self.entry.value)))
        except ExpressionError as error:
            self._refuse(error.offset, str(error))
            return PLAIN_MATCHER
        for part, end in parts:
            try:
                self._conjunct(part, end)
            except ExpressionError as error:
                self._refuse(error.offset, str(error))
        for wanted, written in _WANTED.items():
            if wanted not in self.kept:
                self._refuse(
                    0, f"the matcher must keep `{written}`; without it, rules would match too much"
                )
        literals = dict.fromkeys(literal for _, literal in self.written)
        return Matcher(
            conjuncts=tuple(self.conjuncts),
            condition=Condition(tuple(literals)),
            written=tuple(self.written),
        )

    def _conjunct(self, part: tuple[Token, ...], end: int) -> None:
        """Read one part: one of the five, a `holds("...")`, or comparisons."""
        if part in _WANTED:
            self.kept.add(part)
        elif _without_text(part) == _HOLDS_TEXT:
            self._holds(part[2])
        elif part[0].kind is Kind.WORD and part[1:2] == (_OPEN,):
            call = self.entry.value[part[0].offset : end].strip()
            message = f"`{call}` in the matcher is not understood; remove it"
            raise ExpressionError(message, part[0].offset)
        else:
            self.conjuncts.append(parse_expression(part, end, self.entry.at))

    def _holds(self, token: Token) -> None:
        """Read a `holds("...")`. Whether its names are known is asked when they are."""
        check_text(token, negations=True)
        offset = token.offset
        for part in token.text.split("&"):
            at = offset + len(part) - len(part.lstrip())
            name = part.strip().removeprefix("!").strip()
            if not _NAME.fullmatch(name):
                raise ExpressionError(
                    f"`{name}` is not a condition; write names joined by `&`", at
                )
            self.written.append((self.entry.at(at), Literal(name, part.lstrip().startswith("!"))))
            offset += len(part) + 1
        if len(self.written) > MAX_LITERALS:
            raise ExpressionError(f"more than {MAX_LITERALS} conditions", token.offset)

    def _refuse(self, offset: int, message: str) -> None:
        self.findings.append(Finding(self.entry.at(offset), message))


def _split(found: Sequence[Token], end: int) -> Iterator[tuple[tuple[Token, ...], int]]:
    """The parts between the outermost `&&`, each with the offset just behind it.

    Raises:
        ExpressionError: a part is empty, or a bracket stands alone.
    """
    first = 0
    for index in (*_joints(found), len(found)):
        offset = found[index].offset if index < len(found) else end
        if first == index:
            raise ExpressionError("a conjunct is missing here; delete the `&&`", offset)
        yield tuple(found[first:index]), offset
        first = index + 1


def _joints(found: Sequence[Token]) -> Iterator[int]:
    """Which tokens are an `&&` outside all brackets."""
    opened: list[Token] = []
    for index, token in enumerate(found):
        if token == _OPEN:
            opened.append(token)
        elif token == _CLOSE and not opened:
            raise ExpressionError("no `(` belongs to this `)`", token.offset)
        elif token == _CLOSE:
            opened.pop()
        elif token == _AND and not opened:
            yield index
    if opened:
        raise ExpressionError("no `)` belongs to this `(`", opened[-1].offset)


def _without_text(part: tuple[Token, ...]) -> tuple[Token, ...]:
    return tuple(Token(Kind.TEXT, "") if token.kind is Kind.TEXT else token for token in part)


_NAME = re.compile(r"[a-z0-9_-]+(:[a-z0-9_-]+)?")  # `app:phone`, `trained`
_OPEN, _CLOSE, _AND = (Token(Kind.SIGN, sign) for sign in ("(", ")", "&&"))
_WANTED = {tuple(tokens(written)): written for written in CONJUNCTS}
# What `holds("...", r.ctx, p.eft)` looks like, whatever the text.
_HOLDS_TEXT = tuple(tokens('holds("", r.ctx, p.eft)'))
