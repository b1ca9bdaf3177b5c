"""Comparisons in the matcher of model.conf: a small language inside Casbin's large one.

    any   = all, { "||", all }
    all   = one, { "&&", one }
    one   = "!", one | "(", any, ")" | operand, ("==" | "!="), operand | operand, "in", list
    list  = "(", operand, ",", [ operand, { ",", operand }, [ "," ] ], ")"

INVARIANT: what is read here, stock pycasbin reads as the same. It replaces `&&`, `||`, `!`,
`r.` and `p.` in the bare text, in quotes too, and gives the rest to Python: `"a"&&r.act` becomes
`"a"andr.act`, `in ("ab")` looks for letters, and `!r.act == "x"` negates the whole. Whatever
could be read in two ways is refused.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from typing import assert_never

from gateway.domain.finding import Place, did_you_mean

MAX_DEPTH = 16  # brackets and `!` in each other; Python's own parser gives up near 100


class Word(StrEnum):
    """What a comparison may name: two words of the request, then the columns of the row."""

    ASKED_RESOURCE = "r.res"
    ASKED_ACTION = "r.act"
    WHO = "p.who"
    RESOURCE = "p.res"
    ACTIONS = "p.act"
    WHEN = "p.when"
    EFFECT = "p.eft"


# Words of the model that a comparison may not name, and what to do instead.
_UNUSABLE = {
    "r.sub": "rules are compiled for roles, not persons; write a rule for `staff:<id>` instead",
    "r.ctx": "ask for what is known of a request with `holds(...)` instead",
}


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text."""

    text: str
    place: Place = field(default=Place(""), compare=False, repr=False)


Operand = Word | Text


@dataclass(frozen=True, slots=True)
class Among:
    """`left == right`, `left in (...)`: the left is one of the others."""

    left: Operand
    others: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """`!(...)`, `!=`."""

    inner: "Expression"


@dataclass(frozen=True, slots=True)
class AllOf:
    """`... && ...`."""

    inner: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`... || ...`."""

    inner: tuple["Expression", ...]


Expression = Among | Not | AllOf | AnyOf


Values = tuple[str, ...]  # what each `Word` is, in the order in which they are declared
Judge = Callable[[Values], bool]


def judge(expression: Expression) -> Judge:
    """Make an expression a function. It is asked once for every row, target and action."""
    match expression:
        case Among(left=left, others=others):
            return _judge_among(left, others)
        case Not(inner=one):
            inner = judge(one)
            return lambda values: not inner(values)
        case AllOf(inner=parts):
            every = tuple(map(judge, parts))
            return lambda values: all(part(values) for part in every)
        case AnyOf(inner=parts):
            some = tuple(map(judge, parts))
            return lambda values: any(part(values) for part in some)
        case _:
            assert_never(expression)


def _judge_among(left: Operand, others: tuple[Operand, ...]) -> Judge:
    value, wanted = _value(left), tuple(map(_value, others))
    texts = frozenset(other.text for other in others if isinstance(other, Text))
    if len(texts) == len(set(others)):  # texts only, as nearly always
        return lambda values: value(values) in texts
    return lambda values: value(values) in [other(values) for other in wanted]


def _value(operand: Operand) -> Callable[[Values], str]:
    if isinstance(operand, Text):
        text = operand.text
        return lambda _: text
    return itemgetter(tuple(Word).index(operand))


def comparisons(expression: Expression) -> Iterator[Among]:
    """Every comparison in an expression, in the order in which they stand."""
    match expression:
        case Among():
            yield expression
        case Not(inner=one):
            yield from comparisons(one)
        case AllOf(inner=parts) | AnyOf(inner=parts):
            for part in parts:
                yield from comparisons(part)
        case _:
            assert_never(expression)


class Kind(StrEnum):
    """What a token is."""

    WORD = "word"
    TEXT = "text"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `offset` counts characters of the whole matcher; a text's are its inner ones."""

    kind: Kind
    text: str
    offset: int = field(default=0, compare=False)


class ExpressionError(ValueError):
    """Something that is not understood, and at which character of the matcher."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


_TOKEN = re.compile(
    r"""(?P<blank>[ \t]+)
      | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<sign>&&|\|\||==|!=|!|\(|\)|,)""",
    re.VERBOSE,
)
_JOINTS = ("&&", "||")


def tokens(matcher: str) -> Iterator[Token]:
    """Take a matcher apart.

    Raises:
        ExpressionError: the first character that begins no token.
    """
    offset = 0
    while offset < len(matcher):
        found = _TOKEN.match(matcher, offset)
        if found is None:
            raise ExpressionError(_unreadable(matcher[offset:]), offset)
        if found.lastgroup == "text":
            yield Token(Kind.TEXT, found[0][1:-1], offset + 1)
        elif found.lastgroup != "blank":
            if found[0] in _JOINTS and not _apart(matcher, found.start(), found.end()):
                raise ExpressionError(f"put a blank on both sides of `{found[0]}`", offset)
            yield Token(Kind(found.lastgroup or ""), found[0], offset)
        offset = found.end()


def _unreadable(rest: str) -> str:
    match rest[0]:
        case "'" | '"' as quote:
            return f"a text that begins with `{quote}` must end with it"
        case "#":
            return "a comment needs a line of its own"
        case "=":
            return "`=` is not understood; write `==`"
        case "&" | "|" as sign:
            return f"`{sign}` is not understood; write `{sign * 2}`"
        case char:
            return f"`{char}` in the matcher is not understood; remove it"


def _apart(matcher: str, start: int, end: int) -> bool:
    """Does it stand between blanks? Casbin writes a word in its place."""
    edges = {"", " ", "\t"}
    return matcher[:start][-1:] in edges and matcher[end:][:1] in edges


# What Casbin rewrites wherever it stands: `r.act` to `r_act`, `&&` to `and`, and so on.
_REWRITTEN = re.compile(r"&&|\|\||!|#|\b[rp]\d*\.|\beval\(", re.ASCII)
_NOT_PLAIN = re.compile(r"""[^ -~]|[\\"']""")


def check_text(token: Token, *, negations: bool = False) -> None:
    """Refuse a text that stock pycasbin would not see as typed.

    Args:
        token: the text.
        negations: `!` is fine; its reader knows that Casbin makes `not ` of it.

    Raises:
        ExpressionError: what is wrong with it, at its place.
    """
    strange = _NOT_PLAIN.search(token.text)
    if strange:
        message = f"`{strange[0]}` may not stand in a text; write plain ASCII without quotes"
        raise ExpressionError(message, token.offset + strange.start())
    for found in _REWRITTEN.finditer(token.text):
        if not (negations and found[0] == "!"):
            message = f"Casbin rewrites `{found[0]}` in a text too; write the text without it"
            raise ExpressionError(message, token.offset + found.start())


def parse_expression(part: Sequence[Token], end: int, place: Callable[[int], Place]) -> Expression:
    """Read one conjunct of a matcher as comparisons.

    Args:
        part: its tokens, at least one.
        end: the offset just behind it.
        place: where an offset stands in the file.

    Raises:
        ExpressionError: the first thing that is not understood.
    """
    return _Parser(part, end, place).whole()


@dataclass(slots=True)
class _Parser:
    """Recursive descent over the tokens of one conjunct."""

    part: Sequence[Token]
    end: int
    place: Callable[[int], Place]
    next: int = 0
    depth: int = 0

    def whole(self) -> Expression:
        # A bare `a || b` between conjuncts would swallow them all: Casbin's `&&` binds closer.
        expression = self._one()
        token = self._peek()
        if token is None:
            return expression
        if token.text == "||":
            raise self._error("put alternatives in brackets: `(... || ...)`", token)
        raise self._strange(token)

    def _any(self) -> Expression:
        parts = [self._all()]
        while self._take("||"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self) -> Expression:
        parts = [self._one()]
        while self._take("&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self) -> Expression:
        token = self._peek()
        if token is not None and token in {_NEGATE, _OPEN}:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise self._error(f"more than {MAX_DEPTH} brackets in each other", token)
            expression = self._negated() if self._take("!") else self._bracketed()
            self.depth -= 1
            return expression
        return self._comparison()

    def _negated(self) -> Not:
        token = self._peek()
        if token not in {_NEGATE, _OPEN}:
            raise self._error("put brackets behind `!`: `!(...)`, or write `!=`", token)
        return Not(self._one())

    def _bracketed(self) -> Expression:
        self._require("(")
        expression = self._any()
        self._require(")")
        return expression

    def _comparison(self) -> Expression:
        left = self._operand()
        token = self._peek()
        if self._take("=="):
            return Among(left, (self._operand(),))
        if self._take("!="):
            return Not(Among(left, (self._operand(),)))
        if token == Token(Kind.WORD, "in"):
            self.next += 1
            return Among(left, self._list())
        raise self._error("a comparison is missing here: `==`, `!=` or `in (...)`", token)

    def _list(self) -> tuple[Operand, ...]:
        self._require("(")
        found = [self._operand()]
        # To Python, `("ab")` is a text and not a list: `in` would look for letters in it.
        if self._peek() == _CLOSE:
            raise self._error("for one value, write `==`", self._peek())
        while self._take(","):
            if self._peek() == _CLOSE:
                break
            found.append(self._operand())
        self._require(")")
        return tuple(found)

    def _operand(self) -> Operand:
        token = self._peek()
        if token is None or token.kind is Kind.SIGN:
            raise self._error("a word like `r.act` or a quoted text is missing here", token)
        self.next += 1
        if token.kind is Kind.TEXT:
            check_text(token)
            return Text(token.text, self.place(token.offset))
        if token.text in set(Word):
            return Word(token.text)
        raise self._error(self._unknown(token), token)

    def _unknown(self, token: Token) -> str:
        if self._peek() == _OPEN:
            return f"`{token.text}(...)` is not understood here; only comparisons may stand here"
        if token.text in _UNUSABLE:
            return f"`{token.text}` may not be compared: {_UNUSABLE[token.text]}"
        return f"unknown word `{token.text}`; {did_you_mean(token.text, set(Word))}"

    def _peek(self) -> Token | None:
        return self.part[self.next] if self.next < len(self.part) else None

    def _take(self, sign: str) -> bool:
        if self._peek() != Token(Kind.SIGN, sign):
            return False
        self.next += 1
        return True

    def _require(self, sign: str) -> None:
        if not self._take(sign):
            raise self._error(f"`{sign}` is missing here", self._peek())

    def _strange(self, token: Token) -> ExpressionError:
        return self._error(f"`{token.text}` is not understood here", token)

    def _error(self, message: str, token: Token | None) -> ExpressionError:
        return ExpressionError(message, self.end if token is None else token.offset)


_NEGATE, _OPEN, _CLOSE = (Token(Kind.SIGN, sign) for sign in "!()")
