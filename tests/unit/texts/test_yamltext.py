"""Strict YAML: nothing is guessed, and every finding stands where the owner looks."""

from typing import Literal

import pytest
from pydantic import Field

from gateway.domain.finding import Place, PolicyError
from gateway.texts.yamltext import Strict, parse_yaml, validate


def findings(function, *args):
    with pytest.raises(PolicyError) as caught:
        function(*args)
    return [str(finding) for finding in caught.value.findings]


def refused(text):
    return findings(parse_yaml, text, "hours.yaml")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("22:00", "22:00"), ("no", "no"), ("2026-12-29", "2026-12-29"), ("0x1F", "0x1F"), ("", "")],
)
def test_every_scalar_stays_the_text_that_was_typed(typed, kept):
    assert parse_yaml(f"a: {typed}", "x.yaml").data == {"a": kept}


def test_every_key_and_value_knows_its_place():
    document = parse_yaml("salons:\n  aoyama:\n    weekly: [a, b]\n", "hours.yaml")
    assert document.place("salons", "aoyama") == Place("hours.yaml", 2, 3)
    assert document.place("salons", "aoyama", "weekly", 1) == Place("hours.yaml", 3, 17)
    assert document.place("salons", "nowhere") == Place("hours.yaml", 1, 1)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1", "`a` stands twice (first in line 1)"),
        ("a: &x 1\nb: *x\n", "1:4", "alias"),
        ("a: {b: 1}\nc:\n  <<: {d: 1}\n", "3:3", "merge key"),
        ("a: !!python/object:os.system x\n", "1:4", "tag"),
        ("a: !secret x\n", "1:4", "tag `!secret` is not allowed"),
        ("? [a]\n: b\n", "1:3", "a key must be plain text"),
        ("a: [1, 2\n", "2:1", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "2:1", "not valid YAML"),
        ("a: \x07\n", "1:1", "not valid YAML"),
        ("[" * 40 + "]" * 40, "1:34", "nested deeper than 32"),
    ],
)
def test_a_form_that_guesses_or_hides_is_refused(text, place, says):
    found = refused(text)
    assert any(says in finding for finding in found), found
    if "alias" not in says:
        assert any(finding.startswith(f"hours.yaml:{place}: ") for finding in found), found


def test_a_document_nested_a_hundred_thousand_deep_is_a_finding_not_a_crash():
    assert "nested too deeply" in refused("[" * 100_000)[0]


class Inner(Strict):
    minutes: int
    kind: Literal["a", "b"] = "a"


class Outer(Strict):
    inner: Inner
    many: dict[str, Inner] = Field(default_factory=dict)


def meaning(text):
    return findings(validate, parse_yaml(text, "x.yaml"), Outer)


def test_an_unknown_key_is_named_with_the_nearest_known_one_at_its_place():
    (found,) = meaning("inner:\n  minutes: 1\n  knd: a\n")
    assert found == "x.yaml:3:3: unknown key `knd`; did you mean `kind`?"


def test_an_unknown_key_inside_a_mapping_of_models_knows_its_siblings():
    (found,) = meaning("inner: {minutes: 1}\nmany:\n  x: {minutes: 1, kindd: a}\n")
    assert "did you mean `kind`?" in found


def test_a_missing_key_is_placed_at_its_parent():
    assert meaning("inner: {}\n") == ["x.yaml:1:1: the key `minutes` is missing"]


def test_everything_wrong_is_said_at_once():
    found = meaning("inner: {minutes: soon, kind: c}\nmany: {x: {}}\nextra: 1\n")
    assert len(found) == 4
    assert any("got `soon`" in finding for finding in found)
