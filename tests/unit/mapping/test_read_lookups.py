import pytest

from gateway.domain.finding import PolicyError, Severity
from gateway.mapping.adapter import Adapter, parse_adapter
from gateway.texts.yamltext import parse_yaml

ROUTES = """
  - {match: "GET /clients/{id}", resource: client, action: read}
  - {match: GET /clients, resource: client, action: list, records: "[]"}
  - {match: POST /clients, resource: client, action: create}
  - {match: "PATCH /clients/{id}", resource: client, action: update}
  - {match: "POST /clients/{id}/merge", resource: client, action: merge}
  - {match: "POST /clients/{id}/card", resource: client, action: read}
  - {match: "GET /clients/{id}/rows", resource: client, action: read, records: "data[]"}
  - {match: "GET /clients/{id}/card", resource: client, action: read, records: data}
  - {match: "GET /clients/{id}/parts/{part}", resource: client, action: read}
  - {match: "GET /people/{client}", resource: client, action: read}
  - {match: "GET /files/{id}/**", resource: client, action: read}
  - {match: GET /me, resource: client, action: read}
  - {match: GET /pages/**, resource: page, action: read, pass: true}
  - {match: "GET /pages/{id}", resource: page, action: read, pass: true}
  - {match: "PATCH /pages/{id}", resource: page, action: update}
  - {match: "DELETE /pages/{id}", resource: page, action: delete, pass: true}
  - {match: "GET /notes/{id}", resource: page, action: read}
"""


def a_text(lookup: str, *, page: str = "", record_id: str = "id: id, ") -> str:
    return f"""adapter: demo
resources:
  client: {{{record_id}lookup: "{lookup}"}}
  page: {{sensitive: false, id: id{page}}}
routes:{ROUTES}"""


def read(text: str) -> Adapter:
    return parse_adapter(parse_yaml(text, "a.yaml"))


def finding(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        read(text)
    (only,) = (found for found in caught.value.findings if found.severity is Severity.ERROR)
    return str(only)


def test_every_ruled_route_that_changes_a_record_knows_how_to_look_it_up():
    adapter = read(a_text("GET /clients/{id}", page=', lookup: "GET /notes/{id}"'))
    assert {route.template: route.lookup for route in adapter.routes.routes if route.lookup} == {
        "POST /clients": "GET /clients/{id}",
        "PATCH /clients/{id}": "GET /clients/{id}",
        "POST /clients/{id}/merge": "GET /clients/{id}",
        "POST /clients/{id}/card": "GET /clients/{id}",
        "PATCH /pages/{id}": "GET /notes/{id}",
    }


def test_the_adapter_keeps_the_way_to_one_record_by_resource():
    adapter = read(a_text("GET /clients/{id}/card"))
    (found,) = adapter.lookups.items()
    name, lookup = found
    assert name == "client"
    assert lookup.route is next(
        route for route in adapter.routes.routes if route.template == "GET /clients/{id}/card"
    )
    assert (lookup.before, lookup.after) == (("clients",), ("card",))


def test_without_a_lookup_nothing_is_looked_up():
    adapter = read(a_text("GET /clients/{id}").replace('lookup: "GET /clients/{id}"', ""))
    assert adapter.lookups == {}
    assert all(route.lookup is None for route in adapter.routes.routes)


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        ("GET /client/{id}", "no route is written `GET /client/{id}`; did you mean `GET /clients"),
        ("GET /clients/{client}", "no route is written"),
        ("/clients/{id}", "no route is written"),
        ("", "no route is written ``"),
        ("GET /notes/{id}", "`GET /notes/{id}` leads to `page`; name a route of `client`"),
        ("POST /clients/{id}/card", "must be a GET route with the action `read`"),
        ("GET /people/{client}", "must hold `{id}` once, and no other"),
        ("GET /me", "must hold `{id}` once, and no other"),
        ("GET /clients/{id}/parts/{part}", "must hold `{id}` once, and no other"),
        ("GET /files/{id}/**", "must hold `{id}` once, and no other"),
        ("GET /clients/{id}/rows", "answers with a list"),
    ],
)
def test_a_lookup_is_a_plain_read_of_one_record(lookup, message):
    found = finding(a_text(lookup))
    assert message in found
    assert found.startswith("a.yaml:3:20: ")


def test_a_lookup_does_not_skip_the_rules():
    text = a_text("GET /clients/{id}", page=', lookup: "GET /pages/{id}"')
    assert "must be a GET route with the action `read`, under rules" in finding(text)


def test_a_list_of_records_is_no_lookup_of_one():
    with pytest.raises(PolicyError, match=r"a list(.|\n)*must be a GET route(.|\n)*must hold"):
        read(a_text("GET /clients"))


def test_a_record_that_cannot_say_which_it_is_cannot_be_looked_up():
    text = a_text("GET /clients/{id}", record_id="")
    assert "`client` needs its `id`" in finding(text)


def test_a_route_that_is_wrong_itself_is_not_called_missing_as_well():
    text = a_text("GET /clients/{id}").replace(
        "resource: client, action: read}", "resource: client, action: raed}", 1
    )
    assert "unknown action `raed`" in finding(text)
