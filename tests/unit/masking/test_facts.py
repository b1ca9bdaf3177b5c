"""What a record says: facts in three values, and its salon."""

import json
from datetime import date

import msgspec
import pytest

from gateway.domain.fieldpath import parse_field_path
from gateway.domain.record import (
    NOTHING_KNOWN,
    Asker,
    RecordFact,
    RecordState,
    SalonOf,
    parse_comparison,
)
from gateway.domain.resource import Field, Resource
from gateway.masking.facts import MAX_REMEMBERED, FactReader

ANN = Asker(crm_id="7", today=date(2026, 11, 21))
_split = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def a_resource(facts=(), salon=None, **fields):
    """`facts`: one `<field> <comparison>` each."""
    parsed = [parse_comparison(text) for text in facts]
    return Resource(
        name="client",
        fields={
            name: Field(name=name, paths=tuple(map(parse_field_path, paths.split())))
            for name, paths in fields.items()
        },
        facts=tuple(
            RecordFact(name=f"fact{n}", field=name, comparison=comparison)
            for n, (name, comparison) in enumerate(parsed)
        ),
        salon=salon,
    )


OWN = a_resource(["stylist is me"], stylist="stylist_id")


def said(text, resource=OWN, **wanted):
    """What bytes say; and parsed they say the same."""
    reader = FactReader(resource, ANN, **wanted)
    state = reader.state(_split(text.encode()))
    assert reader.state(_split(text.encode())) == state
    assert reader.read_state(json.loads(text)) == state
    return state


TRUE, FALSE, UNKNOWN = RecordState(None, 1, 0), RecordState(None, 0, 1), NOTHING_KNOWN


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ("7", TRUE),
        ('"7"', TRUE),
        ('"\\u0037"', TRUE),
        ('"8"', FALSE),
        ("8", FALSE),
        ('" 7"', FALSE),
        ("7.0", UNKNOWN),
        ("7e0", UNKNOWN),
        ("true", UNKNOWN),
        ("null", UNKNOWN),
        ("{}", UNKNOWN),
        ('["7"]', UNKNOWN),
        ('{"id":"7"}', UNKNOWN),
    ],
)
def test_a_value_is_true_false_or_says_nothing(value, state):
    assert said(f'{{"stylist_id":{value}}}') == state


def test_a_member_that_is_missing_says_nothing():
    assert said("{}") == UNKNOWN
    assert said('{"stylist":"7"}') == UNKNOWN


@pytest.mark.parametrize("number", ["1" * 5000, "1e400", "-1e400"])
def test_a_number_beyond_all_bounds_says_nothing(number):
    reader = FactReader(OWN, ANN)
    assert reader.state(_split(f'{{"stylist_id":{number}}}'.encode())) == UNKNOWN


def test_facts_are_numbered_by_the_resource_also_on_one_field():
    resource = a_resource(
        ["last older than 2y", "visits at least 5", "last older than 5y"],
        last="last_visit",
        visits="visits",
    )
    assert said('{"last_visit":"2023-01-01","visits":2}', resource) == RecordState(
        None, 0b001, 0b110
    )
    assert said('{"visits":5}', resource) == RecordState(None, 0b010, 0)


def test_only_the_facts_that_matter_are_read():
    resource = a_resource(
        ["a is true", "b is true"], a="a", b="b", s="s", salon=SalonOf(field="s")
    )
    text = '{"a":true,"b":true,"s":"aoyama"}'
    assert said(text, resource, asks=0b10, salon=False) == RecordState(None, 0b10, 0)
    assert said(text, resource, asks=0) == RecordState("aoyama", 0, 0)
    assert said(text, resource) == RecordState("aoyama", 0b11, 0)


def test_equal_values_of_other_types_are_not_taken_for_each_other():
    """`True == 1 == 1.0` in Python; a memory keyed by value alone would mix them up."""
    resource = a_resource(["a is true", "a is 1", "a at least 1"], a="a")
    reader = FactReader(resource, ANN)
    for _ in range(2):
        for value, state in (
            ("1", RecordState(None, 0b110, 0)),
            ("true", RecordState(None, 0b001, 0)),
            ("1.0", RecordState(None, 0b100, 0)),
            ('"1"', RecordState(None, 0b010, 0)),
        ):
            assert reader.state(_split(f'{{"a":{value}}}'.encode())) == state


# -- several paths, and paths that lead inside -----------------------------------------------

TWICE = a_resource(["stylist is me"], stylist="stylist_id stylist.id")


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('{"stylist_id":7,"stylist":{"id":"7"}}', TRUE),
        ('{"stylist_id":7,"stylist":{"name":"x"}}', TRUE),
        ('{"stylist":{"id":7}}', TRUE),
        ('{"stylist_id":8,"stylist":{"id":9}}', FALSE),
        ('{"stylist_id":7,"stylist":{"id":8}}', UNKNOWN),
        ('{"stylist_id":7,"stylist":{"id":null}}', UNKNOWN),
        ('{"stylist_id":7,"stylist":{"id":[7]}}', UNKNOWN),
        ('{"stylist_id":7,"stylist":null}', UNKNOWN),
        ('{"stylist_id":7,"stylist":"7"}', UNKNOWN),
        ('{"stylist_id":7,"stylist":[{"id":7}]}', UNKNOWN),
        ("{}", UNKNOWN),
    ],
)
def test_all_values_that_are_present_must_agree(text, state):
    assert said(text, TWICE) == state


def test_agreement_is_about_what_values_say_fact_by_fact():
    resource = a_resource(["n at least 5", "n at least 9"], n="a b")
    assert said('{"a":6,"b":9}', resource) == RecordState(None, 0b01, 0)


SHOP = SalonOf(field="shop", names={"SHI": "shibuya", "3": "aoyama"})


@pytest.mark.parametrize(
    ("text", "salon"),
    [
        ('{"shop":"aoyama"}', "aoyama"),
        ('{"shop":"SHI"}', "shibuya"),
        ('{"shop":3}', "aoyama"),
        ('{"shop":"3","branch":{"name":"aoyama"}}', "aoyama"),
        ('{"shop":"aoyama","branch":{"name":"SHI"}}', None),
        ('{"shop":"aoyama","branch":"aoyama"}', None),
        ('{"shop":"aoyama","branch":{"name":""}}', None),
        ('{"shop":null}', None),
        ('{"shop":["aoyama"]}', None),
        ("{}", None),
    ],
)
def test_the_salon_is_what_all_values_name(text, salon):
    resource = a_resource(salon=SHOP, shop="shop branch.name")
    assert said(text, resource).salon == salon


@pytest.mark.parametrize(
    ("value", "salon"), [('"SHI"', "shibuya"), ("3", "aoyama"), ("true", None), ("{}", None)]
)
def test_a_salon_in_a_member_of_its_own(value, salon):
    assert said(f'{{"shop":{value}}}', a_resource(salon=SHOP, shop="shop")).salon == salon
    assert said("{}", a_resource(salon=SHOP, shop="shop")).salon is None


@pytest.mark.parametrize("path", ["tags[]", "prefs.**", "rows[].id"])
def test_a_field_of_many_values_carries_no_fact(path):
    with pytest.raises(ValueError, match="no single value"):
        FactReader(a_resource(["x is me"], x=path), ANN)
    with pytest.raises(ValueError, match="no single value"):
        FactReader(a_resource(salon=SalonOf(field="x"), x=path), ANN)


def test_a_fact_on_a_field_that_is_not_there_is_an_error_not_a_shrug():
    with pytest.raises(ValueError, match="no field `stylst`"):
        FactReader(a_resource(["stylst is me"], stylist="s"), ANN)


def test_what_is_remembered_is_bounded():
    resource = a_resource(["n is me"], salon=SalonOf(field="s"), n="n", s="s")
    reader = FactReader(resource, ANN)
    for number in range(MAX_REMEMBERED + 50):
        text = f'{{"n":"{number}","s":"{number}"}}'
        state = reader.state(_split(text.encode()))
        assert state == RecordState(str(number), int(number == 7), int(number != 7))
    long = "7" * 10_000
    assert reader.state(_split(f'{{"n":"{long}","s":"{long}"}}'.encode())).salon == long
    sizes = [len(said) for _, said in reader._facts]
    assert max(*sizes, len(reader._salons), len(reader._states)) <= MAX_REMEMBERED
