import pytest

from gateway.domain.fieldpath import parse_field_path
from gateway.domain.finding import PolicyError
from gateway.domain.resource import Embed
from gateway.mapping.adapter import Adapter, parse_adapter
from gateway.texts.yamltext import parse_yaml


def a_text(booking: str, *, more: str = "", query: str = "{}") -> str:
    return f"""adapter: demo
resources:
  client: {{id: id, fields: {{name: name, phone: [phone, contact.phone]}}, {more}}}
  booking: {{id: id, {booking}}}
routes:
  - {{match: GET /b, resource: booking, action: list, records: "[]", query: {query}}}
  - {{match: GET /c, resource: client, action: list, records: "[]"}}
"""


def read(text: str) -> Adapter:
    return parse_adapter(parse_yaml(text, "a.yaml"))


def embeds(booking: str) -> dict[str, Embed]:
    return dict(read(a_text(booking)).vocabulary.resources["booking"].embeds)


def findings(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read(text)
    return [str(found) for found in caught.value.findings]


def test_an_embedded_record_stands_somewhere_and_is_one_of_a_resource():
    found = embeds("embeds: {whose: {at: data.client, resource: client}}")
    assert found == {"whose": Embed(path=parse_field_path("data.client"), resource="client")}


def test_a_list_of_embedded_records_ends_in_its_brackets():
    found = embeds("embeds: {guests: {at: 'guests[]', resource: client}}")
    assert found == {"guests": Embed(path=parse_field_path("guests[]"), resource="client")}


def test_the_short_form_says_that_a_member_of_that_name_holds_the_record():
    found = embeds("embeds: {guest: client}")
    assert found == {"guest": Embed(path=parse_field_path("guest"), resource="client")}


def test_two_resources_may_embed_each_other_and_a_resource_itself():
    text = a_text(
        "embeds: {client: client}",
        more="embeds: {bookings: {at: 'bookings[]', resource: booking}, parent: client}",
    )
    resources = read(text).vocabulary.resources
    assert {e.resource for e in resources["client"].embeds.values()} == {"booking", "client"}


@pytest.mark.parametrize(
    ("booking", "message"),
    [
        ("embeds: {client: clinet}", "unknown resource `clinet`; did you mean `client`?"),
        ("embeds: {client: ''}", "unknown resource ``"),
        ("embeds: {c: {at: c, resource: clinet}}", "a.yaml:4:41: unknown resource `clinet`"),
        ("embeds: {c: {at: c}}", "the key `resource` is missing"),
        ("embeds: {c: {att: c, at: c, resource: client}}", "unknown key `att`"),
        ("embeds: {c: {at: 'a[].c', resource: client}}", "one record or to one list"),
        ("embeds: {c: {at: 'c[][]', resource: client}}", "one record or to one list"),
        ("embeds: {c: {at: c.**, resource: client}}", "one record or to one list"),
        ("embeds: {c: {at: '[]', resource: client}}", "must start with a member"),
        ("embeds: {c: {at: '', resource: client}}", "must start with a member"),
        ("embeds: {c: {at: a..b, resource: client}}", "empty member name"),
        ("embeds: {Client: client}", "the name `Client` of embedded records must be"),
        ("embeds: {unmapped: client}", "not `unmapped`"),
        ("fields: {whose: w}, embeds: {whose: client}", "`whose` is a field already"),
        (
            "fields: {w: w}, classes: {whose: [w]}, embeds: {whose: client}",
            "`whose` is a class already",
        ),
        ("embeds: {c: [client]}", "valid string"),
    ],
)
def test_embedded_records_that_cannot_be_are_a_finding(booking, message):
    (only,) = findings(a_text(booking))
    assert message in only


@pytest.mark.parametrize(
    ("fields", "embedded"),
    [
        ("{who: c.name}", "{at: c, resource: client}"),
        ("{who: c}", "{at: c, resource: client}"),
        ("{who: 'c[].name'}", "{at: 'c[]', resource: client}"),
        ("{who: c.name}", "{at: 'c[]', resource: client}"),
        ("{who: 'c[]'}", "{at: c, resource: client}"),
        ("{who: c}", "{at: 'c[]', resource: client}"),
        ("{who: d.c.**}", "{at: d.c, resource: client}"),
    ],
)
def test_nothing_else_stands_where_an_embedded_record_stands(fields, embedded):
    (only,) = findings(a_text(f"fields: {fields}, embeds: {{whose: {embedded}}}"))
    assert "(the embedded `whose`) and " in only
    assert "(the field `who`) overlap; declare what is inside the embedded records" in only
    assert "in the resource `client`" in only


def test_an_embedded_record_does_not_stand_inside_a_field():
    (only,) = findings(a_text("fields: {d: d.**}, embeds: {whose: {at: d.c, resource: client}}"))
    assert only.endswith(
        "`d.**` (the field `d`) and `d.c` (the embedded `whose`) overlap; "
        "embedded records stand apart from every field"
    )


def test_embedded_records_do_not_share_a_place():
    two = "embeds: {a: {at: c, resource: client}, b: {at: 'c[]', resource: client}}"
    (only,) = findings(a_text(two))
    assert "(the embedded `a`)" in only
    assert "(the embedded `b`) overlap" in only


def test_the_record_id_does_not_stand_in_an_embedded_record():
    text = a_text("embeds: {a: {at: c, resource: client}}").replace(
        "booking: {id: id", "booking: {id: c.id"
    )
    (only,) = findings(text)
    assert "`c` (the embedded `a`) and `c.id` (the record id) overlap" in only


def test_neighbours_whose_names_begin_alike_are_apart():
    fields = "fields: {who: client_id, d: data.name}"
    both = "embeds: {client: client, x: {at: data.x, resource: client}}"
    assert set(embeds(f"{fields}, {both}")) == {"client", "x"}


def test_a_mistake_in_an_embedded_resource_is_said_once():
    text = a_text(
        "embeds: {whose: client}",
        more="sensitve: false",
        query="{q: {searches: [whose.phone]}, sort: field}",
    )
    assert findings(text) == ["a.yaml:3:73: unknown key `sensitve`; did you mean `sensitive`?"]
