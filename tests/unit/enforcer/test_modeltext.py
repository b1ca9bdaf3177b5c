"""Lines that Casbin's reader would take otherwise than they look are refused."""

import pytest

from gateway.domain.finding import Place, PolicyError
from gateway.enforcer.modeltext import parse_model_text

M = ("matchers", "m")


def refused(text):
    with pytest.raises(PolicyError) as caught:
        parse_model_text(text, "model.conf")
    return [str(finding) for finding in caught.value.findings]


def test_comments_in_any_script_and_empty_lines_are_skipped():
    text = "# 営業時間\n\n  ; години\n[matchers]\r\n\t m = a\r\n"
    (entry,) = parse_model_text(text, "model.conf").values()
    assert (entry.value, entry.place) == ("a", Place("model.conf", 5, 3))


def test_a_long_value_goes_on_below_a_backslash_and_keeps_its_places():
    text = "[matchers]\nm = ab \\\n   cd \\\r\nef\n"
    entry = parse_model_text(text, "model.conf")[M]
    assert entry.value == "ab cd ef"
    assert [entry.at(entry.value.index(x)) for x in "abce"] == [
        Place("model.conf", 2, 5),
        Place("model.conf", 2, 6),
        Place("model.conf", 3, 4),
        Place("model.conf", 4, 1),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("m = a", "1:1: `m` stands above the first `[section]`"),
        ("[matchers]\nm = a\nm = b", "3:1: `m` stands in line 2 already; delete one"),
        ("[matchers]\nm = a\n\n[matchers]", "4:1: `[matchers]` stands in line 1 already"),
        (
            "[Matchers]",
            "1:1: the section `[Matchers]` is not understood; did you mean `matchers`?",
        ),
        ("[ matchers ]", "did you mean `matchers`?"),
        ("[matchers] # ours", "1:1: a `[section]` stands alone on its line"),
        ("[matchers]\nm: a", "2:1: `m: a` is not understood; write `key = value`"),
        ("[matchers]\n  m = a\n   && b", "3:4: `&& b` is not understood; write `key = value`"),
        ("[matchers]\n= a", "2:1: `= a` is not understood"),
        ("[matchers]\nm = a && \\\n# why\nb", "2:1: the line ends in `\\` but does not go on"),
        ("[matchers]\nm = a && \\\n\nb", "2:1: the line ends in `\\` but does not go on"),
        ("[matchers]\nm = a && \\\n[role_definition]", "2:1: the line ends in `\\`"),
        ("[matchers]\nm = a && \\", "2:1: the line ends in `\\` but does not go on"),
        ("\ufeff[matchers]", "1:1: `U+FEFF` may only stand in a comment"),
        ("[matchers]\nm\u3000= a", "2:2: `U+3000` may only stand in a comment"),
        ("[matchers]\rm = a\r", "1:11: `U+000D` may only stand in a comment"),
        ("[matchers]\nm = a\x0b", "2:6: `U+000B` may only stand in a comment"),
    ],
)
def test_a_line_that_two_readers_could_take_differently_is_refused(text, says):
    found = refused(text)
    assert any(f"model.conf:{says}" in finding or says in finding for finding in found), found


def test_every_line_is_judged_before_anything_is_said():
    assert len(refused("[matcher]\nx\n[matchers]\ny\nm = \u00a0")) == 4
