from pathlib import Path

import pytest

from gateway.domain.fieldpath import parse_field_path
from gateway.domain.finding import PolicyError
from gateway.domain.http import SAFE_METHODS
from gateway.domain.resource import UNMAPPED
from gateway.mapping.adapter import Adapter, parse_adapter
from gateway.mapping.lookup import lookup_target
from gateway.mapping.parameters import Capped, FieldNamed, Plain, Searches
from gateway.mapping.pattern import Reading
from gateway.mapping.routes import IdSource, RouteKind
from gateway.texts.yamltext import parse_yaml

SHIPPED = Path(__file__).parents[3] / "adapters"
CLIENT = """
  client:
    id: id
    fields: {name: name, phone: [phone, contact.phone], notes: notes}
    classes: {contact: [phone], health: [notes]}
  page: {sensitive: false}
"""
LIST = '{match: GET /clients, resource: client, action: list, records: "[]"}'


def an_adapter(*routes: str, resources: str = CLIENT, more: str = "") -> str:
    lines = "".join(f"  - {route}\n" for route in routes or (LIST,))
    return f"adapter: demo\n{more}resources:{resources}routes:\n{lines}"


def read(text: str) -> Adapter:
    return parse_adapter(parse_yaml(text, "a.yaml"))


def findings(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read(text)
    return [str(finding) for finding in caught.value.findings]


def finding(text: str) -> str:
    (only,) = findings(text)
    return only


def test_an_adapter_names_resources_fields_and_classes():
    adapter = read(an_adapter())
    client = adapter.vocabulary.resources["client"]
    assert adapter.name == "demo"
    assert client.sensitive
    assert client.id == parse_field_path("id")
    assert client.fields["phone"].paths == tuple(map(parse_field_path, ("phone", "contact.phone")))
    assert client.fields["phone"].field_class == "contact"
    assert client.fields["name"].field_class is None
    assert not adapter.vocabulary.resources["page"].sensitive
    assert adapter.warnings == ()


def test_a_route_is_read_with_everything_it_says():
    route = """
    match: GET /clients
    resource: client
    action: list
    records: data[]
    beside: [total]
    headers: [X-Total-Count]
    query:
      page: plain
      order: {one_of: [asc, desc]}
      per_page: {max: 50}
      sort: field
      q: {searches: [name, phone]}
      all: {searches: ["*"]}"""
    (found,) = read(an_adapter(route)).routes.routes
    assert (found.method, found.template) == ("GET", "GET /clients")
    assert found.kind is RouteKind.RULED
    assert found.records == parse_field_path("data[]")
    assert found.beside == {"total"}
    assert found.answer_headers == {"x-total-count"}
    assert isinstance(found.query["sort"], FieldNamed)
    assert {name: kind for name, kind in found.query.items() if name != "sort"} == {
        "page": Plain(),
        "order": Plain(one_of=frozenset({"asc", "desc"})),
        "per_page": Capped(max=50),
        "q": Searches(fields=frozenset({"name", "phone"})),
        "all": Searches(fields=frozenset({"name", "phone", "notes", UNMAPPED}), everything=True),
    }


def test_pass_and_public_are_kinds_of_route():
    adapter = read(
        an_adapter(
            LIST,
            "{match: GET /a/**, resource: page, action: read, pass: true}",
            "{match: GET /b, resource: page, action: read, public: true}",
        )
    )
    kinds = [route.kind for route in adapter.routes.routes]
    assert kinds == [RouteKind.RULED, RouteKind.PASS, RouteKind.PUBLIC]


def test_the_list_of_actions_may_be_closed_but_read_and_write_stay():
    text = an_adapter(more="actions: [list, rebook]\n")
    assert read(text).vocabulary.actions == {"list", "rebook", "read", "write"}
    assert {"merge", "export", "send"} <= read(an_adapter()).vocabulary.actions


def test_everything_wrong_is_said_at_once_each_at_its_place():
    text = """adapter: Demo
acions: [list]
resources:
  client: {sensitve: true, id: id, fields: {name: name}}
  card: {fields: {name: name}, classes: {contact: [nmae]}}
routes:
  - {match: GET /a//, resource: crad, action: raed}
  - {match: GET /b, resource: client, action: list}
  - {match: GET /c, resource: card, action: read, query: {q: {serches: [name]}}}
"""
    assert findings(text) == [
        "a.yaml:1:1: the adapter name `Demo` must be lower-case letters, digits, `_` and `-`",
        "a.yaml:2:1: unknown key `acions`; did you mean `actions`?",
        "a.yaml:4:12: unknown key `sensitve`; did you mean `sensitive`?",
        "a.yaml:5:52: unknown field `nmae`; did you mean `name`?",
        "a.yaml:7:6: `GET /a//` has an empty segment; `//` is refused",
        "a.yaml:7:23: unknown resource `crad`; did you mean `card`?",
        "a.yaml:7:39: unknown action `raed`; did you mean `read`?",
        "a.yaml:9:63: unknown key `serches`; did you mean `searches`?",
    ]


@pytest.mark.parametrize(
    "text", ["", "adapter: demo", "- a", "adapter: [a]\nresources: a\nroutes: 7"]
)
def test_a_file_of_another_form_is_a_finding_and_no_crash(text):
    assert findings(text)


@pytest.mark.parametrize(
    ("fields", "classes", "message"),
    [
        ("{Name: name}", "{}", "the field name `Name` must be lower-case"),
        ("{unmapped: name}", "{}", "name the field otherwise"),
        ("{name: a..b}", "{}", "empty member name"),
        ("{name: '[]'}", "{}", "must start with a member"),
        ("{name: ''}", "{}", "names no member"),
        ("{name: []}", "{}", "names no member"),
        ("{name: [a, '']}", "{}", "must start with a member"),
        (
            "{name: name, kana: name}",
            "{}",
            "(the field `kana`) and `name` (the field `name`) overlap",
        ),
        ("{name: [name, name]}", "{}", "overlap"),
        ("{tag: tags, other: 'tags[]'}", "{}", "overlap"),
        ("{a: contact.**, b: contact.phone}", "{}", "overlap"),
        ("{a: contact, ab: contacts, b: contact.phone}", "{}", "overlap"),
        ("{a: x.y, b: x.y.z}", "{}", "overlap"),
        ("{number: id}", "{}", "`id` (the record id) and `id` (the field `number`) overlap"),
        ("{name: name}", "{name: [name]}", "`name` is a field and a class"),
        ("{name: name}", "{unmapped: [name]}", "there already"),
        ("{name: name}", "{'Bad': [name]}", "the class name `Bad`"),
        ("{name: name}", "{a: []}", "has no fields"),
        ("{name: name}", "{a: [name], b: [name]}", "in the class `a` already"),
        ("{name: name}", "{a: [name, name]}", "stands twice in the class `a`"),
    ],
)
def test_a_word_that_two_things_could_mean_is_refused(fields, classes, message):
    resources = f"\n  client: {{id: id, fields: {fields}, classes: {classes}}}\n"
    assert message in finding(an_adapter(resources=resources))


@pytest.mark.parametrize("path", ["ids[]", "a.**"])
def test_a_record_id_is_one_member(path):
    resources = f"\n  client: {{id: '{path}', fields: {{name: name}}}}\n"
    assert "must be one member" in finding(an_adapter(resources=resources))


def test_a_resource_name_follows_the_rule_for_names():
    text = an_adapter(resources="\n  Client: {}\n  client: {}\n")
    assert "the resource name `Client`" in finding(text)


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("resource: page, pass: true, public: true", "not both"),
        ("resource: client, pass: true", "`pass` would skip the rules of the sensitive resource"),
        ("resource: client, public: true", "`public` would skip the rules of the sensitive"),
        ("resource: page, pass: true, query: {q: plain}", "remove `query`"),
        ("resource: page, public: true, headers: [X-A]", "remove `headers`"),
        ("resource: page, passes: true", "unknown key `passes`; did you mean `pass`?"),
        ("resource: client, records: 'a[].b'", "one record or to one list"),
        ("resource: client, records: a.**", "one record or to one list"),
        ("resource: client, records: a..b", "empty member name"),
        ("resource: client, beside: [total]", "needs records in one envelope"),
        ("resource: client, records: '[]', beside: [total]", "needs records in one envelope"),
        ("resource: client, records: 'data[]', beside: [data]", "holds the records"),
        ("resource: client, records: 'data[]', beside: [a.b]", "one member name"),
        ("resource: client, headers: [Set-Cookie]", "never passes"),
        ("resource: client, headers: ['X A']", "not a header name"),
        ("resource: client, query: {q: plane}", "did you mean `plain`?"),
        ("resource: client, query: {q: []}", "should be a valid string"),
        ("resource: client, query: {q: {}}", "a parameter is one of"),
        ("resource: client, query: {q: {max: 5, searches: [name]}}", "a parameter is one of"),
        ("resource: client, query: {q: {max: many}}", "valid integer"),
        ("resource: client, query: {q: {max: -1}}", "greater than or equal to 0"),
        ("resource: client, query: {q: {one_of: []}}", "must list the values"),
        ("resource: client, query: {q: {searches: []}}", "must list the fields"),
        ("resource: client, query: {q: {searches: [fone]}}", "unknown field `fone`"),
        ("resource: client, query: {'a b': plain}", "can never arrive"),
        ("resource: client, query: {q: {searches: [whose.name]}}", "unknown field `whose.name`"),
        ("resource: client, ids: ['body:id']", "a GET request has no body to hold `body:id`"),
        ("resource: client, ids: ['query:id']", "`id` is no parameter of this route"),
        (
            "resource: client, query: {number: plain}, ids: ['query:nmber']",
            "did you mean `number`?",
        ),
        ("resource: client, ids: [id]", "must be `query:` and a parameter or `body:` and a"),
        ("resource: client, ids: ['path:id']", "must be `query:` and a parameter"),
        ("resource: client, ids: ['']", "must be `query:` and a parameter"),
        (
            "resource: client, query: {id: plain}, ids: ['query:id', 'query:id']",
            "`query:id` names what another line names already",
        ),
        ("resource: client, totals: [total]", "`total` must stand in `beside` as well"),
        (
            "resource: client, records: 'data[]', beside: [count, all], totals: [cuont]",
            "did you mean `count`?",
        ),
    ],
)
def test_what_is_wrong_with_a_route_is_said(route, message):
    text = an_adapter(LIST, f"{{match: GET /x, action: read, {route}}}")
    assert message in finding(text)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ("['body:']", "one id or to one list"),
        ("['body:[]']", "one id or to one list"),
        ("['body:ids[].id']", "one id or to one list"),
        ("['body:ids[][]']", "one id or to one list"),
        ("['body:ids.**']", "one id or to one list"),
        ("['body:a..b']", "empty member name"),
        ("['body:id', 'body:id']", "names what another line names already"),
        ("['body:ids', 'body:ids[]']", "names what another line names already"),
        ("['body:a.id', 'body:a']", "names what another line names already"),
    ],
)
def test_a_place_that_holds_no_record_id_is_a_finding(ids, message):
    route = f"{{match: POST /x, resource: client, action: merge, ids: {ids}}}"
    assert message in finding(an_adapter(LIST, route))


def test_only_what_is_decided_by_rules_names_records():
    route = "{match: POST /x, resource: page, action: send, pass: true, ids: ['body:id']}"
    assert "a `pass` route is neither asked nor cut; remove `ids`" in finding(
        an_adapter(LIST, route)
    )


def test_a_route_says_where_further_records_are_named():
    route = """
    match: POST /clients/{id}/merge
    resource: client
    action: merge
    query: {into: plain}
    ids: ["body:duplicate_id", "query:into", "body:more.ids[]"]"""
    (found,) = read(an_adapter(route)).routes.routes
    assert found.ids == (
        IdSource(path=parse_field_path("duplicate_id")),
        IdSource(parameter="into"),
        IdSource(path=parse_field_path("more.ids[]")),
    )


def test_a_total_that_counts_this_answer_is_one_of_those_beside_the_records():
    text = """
    match: GET /clients
    resource: client
    action: list
    records: data[]
    beside: [count, all]
    totals: [count]"""
    (found,) = read(an_adapter(text)).routes.routes
    assert (found.beside, found.page_totals) == ({"count", "all"}, {"count"})


def test_embedded_fields_can_be_searched_by_name_and_are_part_of_everything():
    resources = (
        f"{CLIENT}  booking: {{id: id, fields: {{memo: memo}}, embeds: {{whose: client}}}}\n"
    )
    text = """
    match: GET /bookings
    resource: booking
    action: list
    records: "[]"
    query:
      phone: {searches: [whose.phone, whose.unmapped]}
      q: {searches: ["*"]}
      sort: field"""
    (_, found) = read(an_adapter(LIST, text, resources=resources)).routes.routes
    assert found.query["phone"] == Searches(fields=frozenset({"whose.phone", "whose.unmapped"}))
    embedded = {"whose.name", "whose.phone", "whose.notes", "whose.unmapped"}
    assert found.query["q"] == Searches(
        fields=frozenset({"memo", UNMAPPED, *embedded}), everything=True
    )
    assert found.query["sort"].members["whose.contact.phone"] == {"whose.phone"}


def test_two_routes_for_one_request_are_a_finding():
    one = '{match: "GET /clients/{id}", resource: client, action: read}'
    two = '{match: "GET /clients/{client}", resource: client, action: read}'
    assert finding(an_adapter(one, two)) == (
        "a.yaml:10:6: `GET /clients/{client}` matches what line 9 matches; keep one"
    )


def test_one_place_of_a_path_has_one_name():
    one = '{match: "GET /c/{client}/a", resource: client, action: read}'
    two = '{match: "GET /c/{customer}/b", resource: client, action: read}'
    assert "`{customer}` is called `{client}` in line 9; use one name" in finding(
        an_adapter(one, two)
    )


def test_id_may_be_another_name_of_a_place():
    one = '{match: "GET /c/{id}", resource: client, action: read}'
    two = '{match: "GET /c/{client}/notes/{id}", resource: client, action: read}'
    assert len(read(an_adapter(one, two)).routes.routes) == 2


def test_an_adapter_without_routes_is_refused():
    text = an_adapter().partition("routes:")[0] + "routes: []\n"
    assert "there are no routes" in finding(text)


@pytest.mark.parametrize(("method", "action"), [("GET", "delete"), ("POST", "read")])
def test_an_action_that_does_not_suit_its_method_is_a_warning(method, action):
    text = an_adapter(f"{{match: {method} /c, resource: client, action: {action}}}")
    (warning,) = read(text).warnings
    assert f"warning: the action `{action}` of a {method} route is unusual" in str(warning)


def test_a_sensitive_resource_that_no_route_leads_to_is_a_warning():
    resources = f"{CLIENT}  card: {{}}\n"
    (warning,) = read(an_adapter(resources=resources)).warnings
    assert str(warning) == "a.yaml:8:3: warning: no route leads to the sensitive resource `card`"


def test_what_is_embedded_somewhere_is_reached_with_it():
    resources = """
  client: {embeds: {a: booking}}
  booking: {embeds: {b: client, c: card}}
  card: {}
"""
    assert read(an_adapter(resources=resources)).warnings == ()


@pytest.mark.parametrize("name", ["salon-demo", "json-server"])
def test_the_shipped_adapters_load_without_a_finding(name):
    file = SHIPPED / f"{name}.yaml"
    adapter = parse_adapter(parse_yaml(file.read_text(encoding="utf-8"), file.name))
    assert adapter.name == name
    assert adapter.warnings == ()


def test_the_shipped_adapters_can_look_up_whatever_they_change():
    for name in ("salon-demo", "json-server"):
        text = (SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")
        adapter = parse_adapter(parse_yaml(text, name))
        assert set(adapter.lookups) == {"client", "message", "booking"}
        ruled = [route for route in adapter.routes.routes if route.kind is RouteKind.RULED]
        assert all(route.lookup for route in ruled if route.method not in SAFE_METHODS)


def test_the_shipped_merge_names_both_cards():
    text = (SHIPPED / "salon-demo.yaml").read_text(encoding="utf-8")
    routes = parse_adapter(parse_yaml(text, "salon-demo")).routes.routes
    (merge,) = (route for route in routes if route.action == "merge")
    assert merge.ids == (IdSource(path=parse_field_path("duplicate_id")),)


def test_the_shipped_adapters_speak_of_the_same_things():
    one, other = (
        parse_adapter(parse_yaml((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"), name))
        for name in ("salon-demo", "json-server")
    )
    resources = one.vocabulary.resources
    for name, resource in other.vocabulary.resources.items():
        assert resources[name] == resource
    assert resources["client"].classes == {"contact", "health", "personal", UNMAPPED}
    assert [fact.name for fact in resources["client"].facts] == [
        "own_client",
        "consented",
        "dormant",
    ]


DJANGO = "{match: GET /clients/, resource: client, action: read}"


def test_how_the_crm_reads_addresses_is_told():
    exact = read(an_adapter(LIST, DJANGO))
    assert [route.slash for route in exact.routes.routes] == [False, True]
    assert exact.routes.reading == Reading()
    either = read(an_adapter(LIST, more="paths: {case: insensitive, trailing_slash: either}\n"))
    assert either.routes.reading == Reading(any_case=True, any_end=True)


@pytest.mark.parametrize(
    ("paths", "second"),
    [
        ("{trailing_slash: either}", DJANGO),
        ("{case: insensitive}", "{match: GET /Clients, resource: client, action: read}"),
    ],
)
def test_two_routes_that_are_one_to_the_crm_are_a_finding(paths, second):
    read(an_adapter(LIST, second))
    text = finding(an_adapter(LIST, second, more=f"paths: {paths}\n"))
    assert "matches what line 10 matches; keep one" in text


def test_a_look_up_keeps_the_slash_of_its_route():
    resources = CLIENT.replace("id: id\n", "id: id\n    lookup: GET /Clients/{id}/\n", 1)
    route = '{match: "GET /Clients/{id}/", resource: client, action: read}'
    text = an_adapter(route, resources=resources, more="paths: {case: insensitive}\n")
    assert lookup_target(read(text).lookups["client"], "7").wire == "/Clients/7/"
