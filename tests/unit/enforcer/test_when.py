import re

import pytest

from gateway.enforcer.when import ConditionError, ConditionNames, parse_condition

NAMES = ConditionNames(apps=["phone"], networks=["salon"], roles=["role:manager"]).request()


def condition(text):
    return parse_condition(text, NAMES)


def test_an_empty_when_always_holds():
    assert condition("  ").value({}) is True


def test_negation_binds_to_its_name_and_blanks_do_not_matter():
    assert str(condition(" !app:phone&on_notice ")) == "!app:phone & on_notice"


@pytest.mark.parametrize(
    ("facts", "value"),
    [
        ({"app:phone": False, "on_notice": True}, True),
        ({"app:phone": True, "on_notice": True}, False),
        ({"app:phone": False}, None),
        ({"app:phone": True}, False),  # a false part decides, whatever is unknown
        ({}, None),
    ],
)
def test_a_conjunction_has_three_values(facts, value):
    assert condition("!app:phone & on_notice").value(facts) is value


@pytest.mark.parametrize("text", ["app:phone", "!app:phone"])
def test_unknown_never_fires_an_allow_and_always_fires_a_deny_negated_or_not(text):
    assert condition(text).fires({}, deny=False) is False
    assert condition(text).fires({}, deny=True) is True


def test_x_and_not_x_is_unknown_while_x_is_unknown():
    both = condition("on_notice & !on_notice")
    assert both.value({}) is None
    assert both.value({"on_notice": True}) is False


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("on_notise", 0, "did you mean `on_notice`?"),
        ("on_notice &  traned", 13, "did you mean `trained`?"),
        ("on_notice | trained", 0, "joined by `&` only"),
        ("!!on_notice", 0, "unknown condition `!on_notice`"),
        ("on_notice &", 11, "missing"),
        (" & ".join(["on_notice"] * 17), 0, "more than 16"),
    ],
)
def test_a_condition_that_cannot_be_read_says_where_and_what(text, offset, says):
    with pytest.raises(ConditionError, match=re.escape(says)) as caught:
        condition(text)
    assert caught.value.offset == offset
