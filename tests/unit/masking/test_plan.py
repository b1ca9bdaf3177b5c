"""What a plan says about each place of a record."""

from dataclasses import replace

import pytest

from gateway.domain.fieldpath import parse_field_path
from gateway.domain.resource import Embed, Field, Resource
from gateway.masking.plan import MAX_EMBEDDED, UNMAPPED_DROP, Drop, Place, build_node, build_plan

ROOT = parse_field_path("")


def a_resource(*, sensitive=True, record_id="id", **fields):
    """`phone="contact: phone contact.phone"`: class and paths, or paths only."""
    made = {}
    for name, text in fields.items():
        field_class, _, paths = text.rpartition(": ")
        made[name] = Field(
            name=name,
            paths=tuple(map(parse_field_path, paths.split())),
            field_class=field_class or None,
        )
    return Resource(
        name="client",
        sensitive=sensitive,
        id=parse_field_path(record_id) if record_id else None,
        fields=made,
    )


def a_plan(resource, *hidden, records="", beside=()):
    return build_plan(
        resource,
        frozenset(hidden),
        records=parse_field_path(records),
        beside=frozenset(beside),
    )


def test_there_is_nothing_to_do_only_where_nothing_is_sensitive_and_nothing_hidden():
    open_, closed = a_resource(sensitive=False, name="name"), a_resource(name="name")
    assert a_plan(open_).nothing_to_do
    assert not a_plan(open_, "name").nothing_to_do
    assert not a_plan(closed).nothing_to_do
    assert not a_plan(closed, "name").nothing_to_do


def test_unmapped_is_no_secret_of_a_resource_that_is_not_sensitive():
    plan = a_plan(a_resource(sensitive=False, name="name"), "unmapped")
    assert plan.nothing_to_do
    assert plan.record.rest is None


def test_undeclared_members_leave_a_sensitive_record_unless_unmapped_is_visible():
    resource = a_resource(name="name")
    assert a_plan(resource, "unmapped").record.rest == UNMAPPED_DROP
    assert a_plan(resource).record.rest is None


def test_every_path_of_a_hidden_field_is_cut():
    record = a_plan(a_resource(phone="contact: phone contact.phone"), "phone").record
    gone = Drop(fields=("phone",), classes=("contact",))
    assert record.members["phone"].gone == gone
    assert record.members["contact"].members["phone"].gone == gone


def test_a_field_of_no_class_is_counted_under_a_dash():
    record = a_plan(a_resource(name="name"), "name").record
    assert record.members["name"].gone == Drop(fields=("name",), classes=("-",))


def test_two_fields_on_one_path_are_counted_once_per_class_and_deny_wins():
    resource = a_resource(a="contact: x", b="contact: x", c="health: x", d="x")
    gone = a_plan(resource, "a", "b", "c").record.members["x"].gone
    assert gone == Drop(fields=("a", "b", "c"), classes=("contact", "health"))


def test_a_visible_field_under_a_hidden_one_leaves_with_it():
    resource = a_resource(contact="contact: contact.**", preferred="contact.preferred")
    contact = a_plan(resource, "contact").record.members["contact"]
    assert contact.gone == Drop(fields=("contact",), classes=("contact",))


def test_a_hidden_field_under_a_visible_whole_one_is_taken_out_of_it():
    resource = a_resource(contact="contact.**", phone="contact: contact.phone")
    contact = a_plan(resource, "phone", "unmapped").record.members["contact"]
    assert contact.gone is None
    assert contact.rest is None  # what else is in it stays ...
    assert contact.misfit == UNMAPPED_DROP  # ... but not as a list nobody announced
    assert contact.members["phone"].gone is not None


def test_the_id_stays_even_if_a_hidden_field_has_its_path():
    resource = a_resource(number="health: id")
    spot = a_plan(resource, "number").record.members["id"]
    assert spot.gone is None
    assert spot.leaf
    assert spot.names == ("number",)  # it is seen, so the audit entry says so


def test_the_id_stays_even_under_a_hidden_path_and_alone():
    resource = a_resource(record_id="client.id", client="contact: client", name="client.name")
    client = a_plan(resource, "client").record.members["client"]
    assert client.gone is None
    assert client.members["id"].leaf
    assert client.members["name"].gone == Drop(fields=("client",), classes=("contact",))
    assert client.rest == Drop(fields=("client",), classes=("contact",))


def test_a_branch_that_is_opened_for_the_id_only_still_hides():
    resource = a_resource(record_id="a.client.id", client="contact: a.client")
    for sensitive in (True, False):
        resource = replace(resource, sensitive=sensitive)
        branch = a_plan(resource, "client").record.members["a"]
        assert branch.hides
        assert branch.misfit == UNMAPPED_DROP
        assert branch.members["client"].misfit == Drop(fields=("client",), classes=("contact",))


def test_the_nearest_hidden_field_above_names_what_leaves():
    resource = a_resource(record_id="a.b.id", outer="a", inner="health: a.b")
    inner = a_plan(resource, "outer", "inner").record.members["a"].members["b"]
    assert inner.rest == Drop(fields=("inner",), classes=("health",))


def test_under_hidden_items_only_the_id_stays():
    resource = a_resource(record_id="a[].id", a="a", name="a[].name")
    items = a_plan(resource, "a").record.members["a"].items
    assert items.members["id"].leaf
    assert items.members["name"].gone == Drop(fields=("a",), classes=("-",))


def test_a_branch_under_which_nothing_may_stay_is_barren():
    resource = a_resource(phone="contact.phone", mail="contact.mail")
    assert a_plan(resource, "phone", "mail", "unmapped").record.members["contact"].barren
    assert not a_plan(resource, "phone", "unmapped").record.members["contact"].barren
    assert not a_plan(resource, "phone", "mail").record.members["contact"].barren


def test_null_stays_in_place_of_members_that_may_all_be_seen():
    resource = a_resource(phone="contact.phone", mail="contact.mail")
    assert not a_plan(resource, "unmapped").record.members["contact"].hides
    assert a_plan(resource, "phone").record.members["contact"].hides


def test_error_bodies_are_cut_more_strictly_as_soon_as_anything_is_hidden():
    resource = a_resource(sensitive=False, name="name", phone="phone")
    assert a_plan(resource, "phone").record.rest is None
    assert a_plan(resource, "phone").error.rest == UNMAPPED_DROP
    assert a_plan(resource).open_error.rest is None


def test_a_hidden_name_that_does_not_exist_is_an_error_not_a_shrug():
    with pytest.raises(ValueError, match="has no field `emial`"):
        a_plan(a_resource(email="email"), "emial")


@pytest.mark.parametrize("path", ["", "[]", "[].email"])
def test_a_field_path_must_start_at_a_member(path):
    field = Field(name="email", paths=(parse_field_path(path),))
    with pytest.raises(ValueError, match="must start with a name"):
        a_plan(Resource(name="client", fields={"email": field}))


def test_a_subtree_cannot_be_where_records_stand():
    with pytest.raises(ValueError, match=r"`data\.\*\*` cannot say where records stand"):
        a_plan(a_resource(), records="data.**")


# -- records inside records, and records that depend -----------------------------------------


def with_embeds(resource, **places):
    embeds = {
        name: Embed(path=parse_field_path(path), resource="client")
        for name, path in places.items()
    }
    return replace(resource, embeds=embeds)


def test_where_another_record_stands_only_it_or_null_may_stay():
    spot = a_plan(with_embeds(a_resource(sensitive=False), client="who")).record.members["who"]
    drop = Drop(fields=("client",), classes=("-",))
    assert spot.embed == Place(resource="client", prefix=("client",), drop=drop)
    assert spot.misfit == UNMAPPED_DROP
    assert not spot.hides


def test_a_branch_of_another_shape_never_stays_over_another_record():
    resource = with_embeds(a_resource(sensitive=False, who="who.**"), client="who.client")
    assert a_plan(resource).record.members["who"].misfit == UNMAPPED_DROP


def test_another_record_under_a_hidden_field_leaves_with_it():
    resource = with_embeds(a_resource(who="contact: who.**"), client="who.client")
    gone = a_plan(resource, "who").record.members["who"].gone
    assert gone == Drop(fields=("who",), classes=("contact",))


def test_names_inside_another_record_begin_with_its_embed():
    resource = with_embeds(a_resource(phone="contact: phone", name="name"), stylist="stylist")
    record = build_node(resource, frozenset({"phone"}), ("client", "friend"))
    assert record.members["phone"].gone == Drop(
        fields=("client.friend.phone",), classes=("contact",)
    )
    assert record.members["name"].names == ("client.friend.name",)
    place = record.members["stylist"].embed
    assert place.prefix == ("client", "friend", "stylist")
    assert place.drop.fields == ("client.friend.stylist",)


def test_records_are_followed_into_records_so_far_and_no_further():
    resource = with_embeds(a_resource(), client="client")
    deep = ("client",) * MAX_EMBEDDED
    assert build_node(resource, frozenset(), deep[1:]).members["client"].embed is not None
    assert build_node(resource, frozenset(), deep).members["client"].gone == UNMAPPED_DROP


def test_there_is_something_to_do_where_records_stand_inside_or_decide_themselves():
    page = a_resource(sensitive=False)
    assert not a_plan(with_embeds(page, client="client")).nothing_to_do
    assert not build_plan(page, frozenset(), records=ROOT, depends=True).nothing_to_do


def test_only_what_depends_on_the_record_can_refuse_one():
    with pytest.raises(ValueError, match="depends on the record"):
        build_plan(a_resource(), frozenset(), records=ROOT, may_refuse=True)


def test_records_inside_leave_error_bodies():
    plan = a_plan(with_embeds(a_resource(), client="client"))
    for node in (plan.error, plan.open_error):
        assert node.members["client"].gone == Drop(fields=("client",), classes=("-",))
