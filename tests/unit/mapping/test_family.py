import pytest

from gateway.mapping.family import is_family, slot_error, spelled

MEMBERS = {
    "id": frozenset(),
    "name": frozenset({"name"}),
    "client.phone": frozenset({"whose.phone"}),
}


def names(text: str) -> set[str]:
    return set(spelled(text, MEMBERS))


def test_a_family_is_spelled_once_for_every_spelling_of_a_field():
    assert spelled("order[{field}]", {"name": frozenset({"name"})}) == {
        "order[name]": frozenset({"name"})
    }
    assert names("{field}") == {"id", "name", "client.phone"}
    assert names("filter:{field}") == {"filter:id", "filter:name", "filter:client.phone"}


def test_a_slot_in_brackets_is_spelled_in_nested_brackets_too():
    assert names("filter[{field}][$like]") == {
        "filter[id][$like]",
        "filter[name][$like]",
        "filter[client.phone][$like]",
        "filter[client][phone][$like]",
    }


@pytest.mark.parametrize(
    ("text", "nested"),
    [
        ("{field}__icontains", "client__phone__icontains"),
        ("f__{field}", "f__client__phone"),
        ("f__{field}__gt", "f__client__phone__gt"),
    ],
)
def test_a_slot_at_a_double_underscore_is_spelled_with_them_too(text, nested):
    assert nested in names(text)
    assert nested.replace("client__phone", "client.phone") in names(text)
    assert len(names(text)) == 4


@pytest.mark.parametrize(
    "text", ["f[{field}_cont]", "f_{field}", "{field}]", "[{field}", "f.{field}"]
)
def test_no_other_way_to_nest_is_guessed(text):
    assert len(names(text)) == len(MEMBERS)


def test_one_name_of_two_members_speaks_of_both():
    members = {"a.b": frozenset({"one"}), "a__b": frozenset({"two"})}
    assert spelled("{field}__gt", members)["a__b__gt"] == {"one", "two"}


@pytest.mark.parametrize(
    "text", ["{fields}", "{field}{field}", "{}", "a{", "a}", "{{field}}", "{field}}", "}{field}{"]
)
def test_a_slot_is_written_one_way_and_stands_once(text):
    assert is_family(text)
    assert f"`{text}`" in str(slot_error(text))


def test_what_has_no_slot_is_no_family():
    assert not is_family("filter[name]")
    assert slot_error("filter[{field}]") is None
