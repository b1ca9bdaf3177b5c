"""Where everything declared of a resource stands."""

import pytest

from gateway.domain.fieldpath import parse_field_path
from gateway.domain.resource import Embed, Field, Resource
from gateway.masking.tree import tree_of


def a_booking(*, fields=(), record_id="id", **embeds):
    return Resource(
        name="booking",
        id=parse_field_path(record_id),
        fields={path: Field(name=path, paths=(parse_field_path(path),)) for path in fields},
        embeds={
            name: Embed(path=parse_field_path(path), resource="client")
            for name, path in embeds.items()
        },
    )


def test_embeds_stand_in_the_tree_beside_fields_also_in_lists_and_branches():
    root = tree_of(a_booking(fields=("when", "party.size"), client="client", guest="party.all[]"))
    assert root.members["client"].embed == "client"
    assert root.members["party"].members["all"].items.embed == "guest"
    assert sorted(root.all_embeds()) == ["client", "guest"]


def test_a_field_may_stand_above_another_record():
    root = tree_of(a_booking(fields=("who.**", "party"), client="who.client", guest="party.lead"))
    assert root.members["who"].members["client"].embed == "client"


@pytest.mark.parametrize(
    "declared",
    [
        {"fields": ["client"], "client": "client"},
        {"fields": ["client.name"], "client": "client"},
        {"record_id": "client.id", "client": "client"},
        {"record_id": "client", "client": "client"},
        {"client": "client", "friend": "client"},
        {"client": "client", "friend": "client.friend"},
        {"friend": "client.friend", "client": "client"},
        {"client": "clients[]", "first": "clients"},
        {"client": "client.**"},
        {"client": "[]"},
        {"client": ""},
    ],
)
def test_another_record_stands_alone(declared):
    with pytest.raises(ValueError, match=r"embedded record|must start with a name"):
        tree_of(a_booking(**declared))
