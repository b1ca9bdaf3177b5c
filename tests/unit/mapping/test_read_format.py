"""`format` and `columns` of a route."""

import pytest

from gateway.domain.fieldpath import parse_field_path
from gateway.domain.finding import PolicyError
from gateway.domain.http import Format
from gateway.mapping.adapter import parse_adapter
from gateway.texts.yamltext import parse_yaml

RESOURCES = """
  client:
    id: id
    fields: {name: name, phone: [phone, contact.phone], tags: "tags[]", history: history.**}
  booking:
    id: id
    fields: {when: starts_at}
    embeds: {client: client, guests: {at: "guests[]", resource: client}}
  page: {sensitive: false}
"""


def read(*routes):
    lines = "".join(f"  - {{{route}}}\n" for route in routes)
    text = f"adapter: demo\nresources:{RESOURCES}routes:\n{lines}"
    return parse_adapter(parse_yaml(text, "a.yaml"))


def route_of(route):
    return read(route).routes.routes[0]


def findings(*routes):
    with pytest.raises(PolicyError) as caught:
        read(*routes)
    return [finding.message for finding in caught.value.findings]


def a_table(columns, *, resource="client", more=""):
    return (
        f"match: GET /x.csv, resource: {resource}, action: list, format: csv, "
        f"columns: {{{columns}}}{more}"
    )


def test_a_route_answers_with_one_json_document_unless_it_says_otherwise():
    route = route_of("match: GET /x, resource: client, action: read")
    assert (route.format, route.columns) == (Format.JSON, {})


@pytest.mark.parametrize("written", ["", ', records: "[]"'])
def test_ndjson_and_csv_are_lists_of_records_also_where_nobody_says_so(written):
    lines = route_of(f"match: GET /x, resource: client, action: list, format: ndjson{written}")
    assert (lines.format, lines.records) == (Format.NDJSON, parse_field_path("[]"))
    assert route_of(a_table("ID: id", more=written)).records == parse_field_path("[]")


def test_events_are_records_where_the_route_says():
    route = route_of(
        "match: GET /x, resource: client, action: list, format: events, records: data"
    )
    assert (route.format, route.records) == (Format.EVENTS, parse_field_path("data"))


def test_columns_lead_to_members_of_the_record_and_of_records_inside_it():
    assert route_of(a_table('"お名前": name, Tel: contact.phone, H: history.a.b')).columns == {
        "お名前": parse_field_path("name"),
        "Tel": parse_field_path("contact.phone"),
        "H": parse_field_path("history.a.b"),
    }
    inside = route_of(a_table("A: client.phone, B: client.id, C: starts_at", resource="booking"))
    assert inside.columns["A"] == parse_field_path("client.phone")


@pytest.mark.parametrize(
    ("route", "said"),
    [
        (a_table("A: nmae"), "no field has the path `nmae`; did you mean `name`?"),
        (a_table("A: contact"), "no field has the path `contact`"),
        (a_table("A: client", resource="booking"), "no field has the path `client`"),
        (a_table("A: guests.name", resource="booking"), "no field has the path `guests.name`"),
        (a_table('A: "tags[]"'), "`tags[]` must be one member of a record"),
        (a_table("A: history.**"), "`history.**` must be one member of a record"),
        (a_table('A: ""'), "`` must be one member of a record"),
        (a_table("A: a..b"), "`a..b` has an empty member name"),
        (a_table("A: name, B: name"), "`name` is where the column `A` stands already"),
        (a_table("A: history, B: history.x"), "`history.x` is where the column `A` stands"),
        (a_table('"": name'), "`` can never stand in a header"),
        (a_table(r'"a\nb": name'), "can never stand in a header"),
        (a_table("A: id", more=", records: data"), "`csv` answers are a list of records"),
        (
            "match: GET /x, resource: client, action: list, format: csv",
            "`format: csv` needs `columns`",
        ),
        (
            "match: GET /x, resource: client, action: list, columns: {A: id}",
            "`columns` are of CSV",
        ),
        (
            "match: GET /x, resource: client, action: list, format: ndjson, records: data",
            "`ndjson` answers are a list of records",
        ),
        (
            "match: POST /x, resource: client, action: update, format: ndjson",
            "only what reads can answer as `ndjson`",
        ),
        (
            "match: DELETE /x, resource: client, action: list, format: events",
            "only what reads can answer as `events`",
        ),
        (
            "match: GET /x, resource: page, action: read, pass: true, format: events",
            "a `pass` route is neither asked nor cut; remove `format`",
        ),
        ("match: GET /x, resource: client, action: list, format: xml", "got `xml`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(route, said):
    assert any(said in message for message in findings(route)), findings(route)


def test_a_search_by_post_may_answer_in_any_format():
    route = "match: POST /x, resource: client, action: search, format: ndjson"
    assert route_of(route).format is Format.NDJSON


def test_everything_wrong_is_said_at_once():
    wrong = findings(a_table('A: nmae, B: "tags[]", "": id', more=", records: data"))
    assert len(wrong) == 4
