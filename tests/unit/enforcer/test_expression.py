"""Comparisons that stock pycasbin could read otherwise are refused, at their place."""

import pytest

from gateway.domain.finding import Place
from gateway.enforcer.expression import (
    MAX_DEPTH,
    Among,
    ExpressionError,
    Text,
    Word,
    parse_expression,
    tokens,
)


def parse(text):
    return parse_expression(list(tokens(text)), len(text), lambda at: Place("m", 1, at + 1))


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ('r.act = "read"', 6, "`=` is not understood; write `==`"),
        ('r.act == "read', 9, 'a text that begins with `"` must end with it'),
        ('r.act == "read" # why', 16, "a comment needs a line of its own"),
        ('r.act == "a" & r.res == "b"', 13, "write `&&`"),
        ('r.act == "a" | r.res == "b"', 13, "write `||`"),
        ('r.act == "a"&& r.res == "b"', 12, "put a blank on both sides of `&&`"),
        ('r.act == "a" ||r.res == "b"', 13, "put a blank on both sides of `||`"),
        ("r.act == 1", 9, "`1` in the matcher is not understood"),
        ("r.act == \\", 9, "`\\` in the matcher is not understood"),
        ('r . act == "a"', 2, "`.` in the matcher is not understood"),
        ('r.atc == "a"', 0, "unknown word `r.atc`; did you mean `r.act`?"),
        ('r_act == "a"', 0, "did you mean `r.act`?"),
        ('r.act == "a" and r.res == "b"', 13, "`and` is not understood here"),
        ('not r.act == "a"', 0, "unknown word `not`"),
        ('r.act not in ("a", "b")', 6, "a comparison is missing here"),
        ('r.sub == "staff:ken"', 0, "write a rule for `staff:<id>` instead"),
        ('r.ctx == "a"', 0, "ask for what is known of a request with `holds(...)`"),
        ("r.act", 5, "a comparison is missing here: `==`, `!=` or `in (...)`"),
        ('"read"', 6, "a comparison is missing here"),
        ('r.act == "a" "b"', 14, "`b` is not understood here"),
        ('r.act == """a"""', 12, "`a` is not understood here"),
        ('r.act == p.act == "a"', 15, "`==` is not understood here"),
        ("r.act ==", 8, "a word like `r.act` or a quoted text is missing here"),
        ('r.act in ("ab")', 14, "for one value, write `==`"),
        ("r.act in ()", 10, "a word like `r.act` or a quoted text is missing here"),
        ('r.act in "ab"', 10, "`(` is missing here"),
        ('r.act in ("a", "b"', 18, "`)` is missing here"),
        ('r.act in ("a",, "b")', 14, "a word like `r.act` or a quoted text is missing here"),
        ('!r.act == "a"', 1, "put brackets behind `!`: `!(...)`, or write `!=`"),
        ('r.act == "a" || r.act == "b"', 13, "put alternatives in brackets"),
        ('upper(r.act) == "A"', 0, "`upper(...)` is not understood here"),
        ('r.act < "b"', 6, "`<` in the matcher is not understood"),
        ('r.act == "a!"', 11, "Casbin rewrites `!` in a text too"),
        ('r.act == "a && b"', 12, "Casbin rewrites `&&` in a text too"),
        ('r.act == "a || b"', 12, "Casbin rewrites `||` in a text too"),
        ('r.act == "a # b"', 12, "Casbin rewrites `#` in a text too"),
        ('r.act == "r.act"', 10, "Casbin rewrites `r.` in a text too"),
        ('r.act == "x p2.act"', 12, "Casbin rewrites `p2.` in a text too"),
        ('r.act == "eval(x)"', 10, "Casbin rewrites `eval(` in a text too"),
        ('r.act == "a\\n"', 11, "`\\` may not stand in a text"),
        ('r.act == "a\'b"', 11, "`'` may not stand in a text"),
        ('r.act == "й"', 10, "`й` may not stand in a text; write plain ASCII"),
    ],
)
def test_what_is_not_understood_is_named_at_its_place(text, at, says):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert says in str(caught.value)
    assert caught.value.offset == at


@pytest.mark.parametrize(
    "text", ["over.view", "p2", "eval", "a | b & c", "staff:p", "", "$%;=<>()"]
)
def test_a_text_that_casbin_leaves_alone_may_stand(text):
    assert parse(f'p.when == "{text}"') == Among(Word.WHEN, (Text(text),))


def test_brackets_may_lie_in_each_other_to_a_bound():
    def nested(depth):
        return parse("(" * depth + 'r.act == "a"' + ")" * depth)

    assert nested(MAX_DEPTH) == parse('r.act == "a"')
    with pytest.raises(ExpressionError, match="more than 16 brackets in each other"):
        nested(MAX_DEPTH + 1)


def test_brackets_side_by_side_are_not_counted():
    text = " && ".join(['(r.act == "a")'] * (MAX_DEPTH + 5))
    assert len(parse(f"({text})").inner) == MAX_DEPTH + 5
