"""Bodies that ask, from the adapter's text to the refusal."""

import json
from functools import cache

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.finding import PolicyError
from gateway.domain.question import Recheck
from gateway.domain.reason import Reason
from gateway.mapping.adapter import parse_adapter
from gateway.mapping.asked_body import MAX_ASKED, require_body_answerable
from gateway.mapping.routes import Route
from gateway.texts.yamltext import parse_yaml

RESOURCES = """
  client:
    id: id
    fields: {name: name, phone: [phone, contact.phone], line: contact.line}
  booking:
    id: id
    fields: {memo: memo}
    embeds: {whose: {at: client, resource: client}}
  page: {sensitive: false}
"""
ASKS = """{
  page: {max: 100}, "page.size": {max: 50}, cursor: plain, order: {one_of: [asc, desc]},
  "sort[]": field, by: field, q: {searches: [name, phone], recheck: true},
  text: {searches: [name, phone]}, "or[].phone": {searches: [phone]},
  "where.phone.like": {searches: [phone]}, "where.name.like": {searches: [name]},
  "filter.{field}": searches, "filter.{field}.like": searches, "has_{field}": plain,
  "conditions[].field": field, "conditions[].value": plain,
  query: {searches: ["*"]}, variables: {searches: ["*"]}}"""


HIDDEN = Reason.HIDDEN_FIELD_ASKED


@cache
def a_route(asks: str = ASKS, more: str = "", resource: str = "client") -> Route:
    head = f'match: POST /x, resource: {resource}, action: search, records: "[]"'
    text = f"adapter: a\nresources:{RESOURCES}routes:\n  - {{{head}, asks: {asks}{more}}}\n"
    return parse_adapter(parse_yaml(text, "a.yaml")).routes.routes[0]


def findings(asks: str, *, match="POST /x", action="search", records="[]", more="") -> list[str]:
    head = f'match: {match}, resource: client, action: {action}, records: "{records}"'
    text = f"adapter: a\nresources:{RESOURCES}routes:\n  - {{{head}, asks: {asks}{more}}}\n"
    with pytest.raises(PolicyError) as caught:
        parse_adapter(parse_yaml(text, "a.yaml"))
    return [
        found.message for found in caught.value.findings if "no route leads" not in found.message
    ]


def asked(body, *hidden: str, route: Route | None = None):
    try:
        return require_body_answerable(route or a_route(), body, frozenset(hidden))
    except RequestError as error:
        return error.reason


def test_a_body_that_asks_about_what_one_may_see_is_answerable():
    body = {
        "page": 3,
        "order": "asc",
        "cursor": "abc",
        "sort": ["-name", "id"],
        "text": "mei",
        "filter": {"name": "mei", "id": 7, "contact": {"line": True}},
        "conditions": [{"field": "name", "value": 1.5}],
        "has_name": None,
        "query": "{ clients { name } }",
        "variables": {"a": [{"b": {}}]},
    }
    assert asked(body) == ()
    assert asked({}) == ()
    assert asked({}, "phone") == ()


@pytest.mark.parametrize(
    "body",
    [
        {"text": "090"},
        {"text": None},
        {"sort": ["name", "-phone"]},
        {"sort": ["contact.phone"]},
        {"sort": ["PHONE"]},
        {"sort": ["name:p"]},
        {"by": "name,phone"},
        {"by": "p:phone"},
        {"where": {"phone": {"like": ""}}},
        {"where": {"name": {"like": "a"}, "phone": {"like": "0"}}},
        {"filter": {"phone": "090"}},
        {"filter": {"name": "a", "contact.phone": "090"}},
        {"filter": {"contact": {"phone": False}}},
        {"filter": {"contact": {"phone": {"like": "0%"}}}},
        {"filter": {"contact": {"line": "x", "phone": {"like": "0%"}}}},
        {"filter": {"phone": {"like": None}}},
        {"has_phone": True},
        {"has_contact.phone": 1},
        {"or": [{"phone": "1"}]},
        {"conditions": [{"field": "name", "value": 1}, {"field": "phone", "value": "09"}]},
        {"conditions": [{"field": "contact", "value": ""}]},
        {"query": "{ clients { name } }"},
        {"query": "", "variables": {}},
        {"variables": {}},
        {"variables": []},
        {"variables": {"deep": [[["x"]]]}},
    ],
)
def test_a_body_that_asks_about_a_hidden_field_is_refused_wherever_it_stands(body):
    assert asked(body, "phone") is Reason.HIDDEN_FIELD_ASKED
    assert asked(body) == ()


@pytest.mark.parametrize(
    ("body", "hidden"),
    [
        ({"filter": {"phone": {}}}, True),
        ({"filter": {"contact": {}}}, True),  # an object that holds the hidden one
        ({"filter": {"contact.phone": {}}}, True),
        ({"where": {"phone": {}}}, True),
        ({"where": {}}, True),
        ({"or": []}, True),
        ({"or": [{}]}, True),
        ({"filter": {}}, False),  # names no field at all
        ({"filter": {"name": {}}}, False),
        ({"where": {"name": {}}}, False),
        ({"sort": []}, False),
        ({"conditions": []}, False),
        ({"page": {}}, False),
    ],
)
def test_an_empty_object_or_list_asks_about_what_is_declared_inside_by_name(body, hidden):
    assert asked(body, "phone") == (Reason.HIDDEN_FIELD_ASKED if hidden else ())
    assert asked(body) == ()


@pytest.mark.parametrize(
    "body",
    [
        {"Text": "x"},
        {"TEXT": "x"},
        {"text ": "x"},
        {"ｔext": "x"},
        {"text[]": ["x"]},
        {"where": {"Phone": {"like": "x"}}},
        {"where.phone.like": "x"},
        {"filter": {"Phone": "x"}},
        {"filter": {"email": "x"}},
        {"filter": {"$or": [{"phone": "x"}]}},
        {"filter": {"phone": {"$gt": ""}}},
        {"filter": {"contact": {"phone": {"like": "x", "x": 1}}}},
        {"filter": {"whose.phone": "x"}},
        {"conditions": [{"field": "name", "value": 1, "or": {"field": "phone"}}]},
        {"select": ["phone"]},
        {"include": "bookings"},
        {"p": "phone"},
        {"": "x"},
        {"page": {"size": 1, "sort": "phone"}},
    ],
)
def test_what_nobody_declared_is_refused_whoever_asks(body):
    assert asked(body) is Reason.UNKNOWN_PARAMETER
    assert asked(body, "phone") is Reason.UNKNOWN_PARAMETER


def test_an_open_resource_does_not_open_its_bodies():
    route = a_route("{page: plain}", resource="page")
    assert asked({"page": 1}, route=route) == ()
    assert asked({"v": 1}, route=route) is Reason.UNKNOWN_PARAMETER


@pytest.mark.parametrize(
    "body",
    [
        {"page": "x"},
        {"page": 101},
        {"page": -1},
        {"page": True},
        {"page": 1.0},
        {"page": None},
        {"page": {"size": 51}},
        {"page": [1]},
        {"order": "up"},
        {"order": None},
        {"order": ["asc"]},
        {"cursor": {}},
        {"cursor": ["a"]},
        {"sort": "name"},
        {"sort": [["name"]]},
        {"sort": [{"name": 1}]},
        {"sort": [""]},
        {"sort": [None]},
        {"sort": {"name": 1}},
        {"by": ""},
        {"by": 7},
        {"text": ["a"]},
        {"text": {"a": 1}},
        {"q": 7},
        {"q": None},
        {"where": "x"},
        {"where": {"name": "x"}},
        {"where": [{"name": {"like": "x"}}]},
        {"conditions": {"field": "name", "value": 1}},
        {"conditions": [{"value": 1}]},
        {"conditions": [{}]},
        {"conditions": ["name"]},
        {"conditions": [None]},
        {"filter": None},
        {"filter": 7},
        {"filter": {"contact": "x"}},
        {"has_name": {}},
    ],
)
def test_what_is_of_another_form_than_declared_is_refused(body):
    reason = asked(body)
    assert reason in {Reason.BODY_INVALID, Reason.UNKNOWN_PARAMETER}
    assert reason is Reason.BODY_INVALID or body == {"filter": {"contact": "x"}}


def test_a_number_may_come_as_a_text_if_it_is_one():
    assert asked({"page": "7"}) == ()
    assert asked({"page": "07"}) is Reason.BODY_INVALID


def test_a_rechecked_search_in_a_body_is_a_condition_where_it_touches_what_is_hidden():
    fields = frozenset({"name", "phone"})
    assert asked({"q": "Mei 090"}, "phone") == (Recheck(words=("mei", "090"), fields=fields),)
    assert asked({"q": "Mei 090"}) == ()
    assert asked({"q": " "}, "phone") is Reason.BODY_INVALID
    assert asked({"q": "x", "sort": ["phone"]}, "phone") is Reason.HIDDEN_FIELD_ASKED


def test_embedded_fields_are_asked_by_their_path_in_objects_or_with_dots():
    route = a_route('{"filter.{field}": searches, "w.{field}__gt": searches}', resource="booking")
    for body in (
        {"filter": {"client": {"phone": "1"}}},
        {"filter": {"client": {"contact": {"phone": "1"}}}},
        {"filter": {"client.contact.phone": "1"}},
        {"filter": {"client": "1"}},
        {"w": {"client__phone__gt": "1"}},
        {"w": {"client.phone__gt": "1"}},
    ):
        assert asked(body, "whose.phone", route=route) is Reason.HIDDEN_FIELD_ASKED, body
        assert asked(body, route=route) == ()
    assert asked({"filter": {"client": {"name": "1"}}}, "whose.phone", route=route) == ()
    for body in ({"filter": {"client": {"email": "1"}}}, {"w": {"client": {"phone__gt": "1"}}}):
        assert asked(body, "whose.phone", route=route) is Reason.UNKNOWN_PARAMETER


def test_a_body_asks_a_bounded_number_of_things():
    assert asked({"sort": ["name"] * (MAX_ASKED - 1)}) == ()
    assert asked({"sort": ["name"] * MAX_ASKED}) is Reason.BODY_INVALID


def test_without_asks_no_member_is_known():
    head = "{match: POST /x, resource: client, action: search}"
    text = f"adapter: a\nresources:{RESOURCES}routes:\n  - {head}\n"
    (route,) = parse_adapter(parse_yaml(text, "a.yaml")).routes.routes
    assert route.asks is None
    assert asked({"q": "x"}, route=route) is Reason.UNKNOWN_PARAMETER


def test_refusals_of_a_body_name_nothing_that_was_typed():
    for body in ({"secret": 1}, {"by": "secret"}, {"filter": {"secret": 1}}, {"page": "secret"}):
        with pytest.raises(RequestError) as caught:
            require_body_answerable(a_route(), body, frozenset({"phone"}))
        assert "secret" not in str(caught.value), json.dumps(body)


# --- what an owner may write ------------------------------------------------------------


@pytest.mark.parametrize(
    ("asks", "message"),
    [
        ("{'a..b': plain}", "empty member name"),
        ("{'a[b]': plain}", "is not a path"),
        ("{'': plain}", "must be a member of the body"),
        ("{'[]': plain}", "must be a member of the body"),
        ("{'[].a': plain}", "must be a member of the body"),
        ("{'a.**': plain}", "must be a member of the body"),
        ("{'a.{fields}': searches}", "may hold `{field}` once"),
        ("{'{field}.{field}': searches}", "may hold `{field}` once"),
        ("{'a.{field}': field}", "names fields twice"),
        ("{'a.{field}': {searches: [name]}}", "the slot names the field"),
        ("{a: {exact: phone, action: find, allowance: 3}}", "stands in `query`"),
        ("{a: serches}", "must be `plain`"),
        ("{a: {searches: [fone]}}", "did you mean `phone`?"),
        ("{'a[]': {searches: [name], recheck: true}}", "not for every item of a list"),
    ],
)
def test_what_is_wrong_with_a_body_s_members_is_said(asks, message):
    assert any(message in found for found in findings(asks)), findings(asks)


def test_two_families_that_spell_one_member_are_a_finding():
    (found,) = findings("{'a.{field}': searches, 'a.contact.{field}': plain}")
    assert found == ("`a.contact.{field}` and `a.{field}` both spell `a.contact.phone`; keep one")


def test_a_member_that_is_written_out_wins_over_a_family():
    route = a_route("{'a.{field}': searches, 'a.phone': plain, 'a.contact': plain}")
    assert asked({"a": {"phone": "x", "contact": "y"}}, "phone", route=route) == ()
    assert asked({"a": {"contact": {"phone": "x"}}}, "phone", route=route) is HIDDEN
    assert asked({"a": {"name": "x"}}, "name", route=route) is HIDDEN


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"match": "GET /x"}, "only what asks by POST, PUT or PATCH has `asks`"),
        ({"match": "DELETE /x"}, "only what asks by POST, PUT or PATCH has `asks`"),
        ({"action": "create"}, "give the route the action `list`, `read` or `search`"),
        ({"action": "export"}, "give the route the action `list`, `read` or `search`"),
    ],
)
def test_only_a_route_that_asks_by_a_body_has_asks(where, message):
    assert any(message in found for found in findings("{a: plain}", **where))


def test_a_search_of_one_record_is_not_rechecked():
    found = findings("{q: {searches: [name], recheck: true}}", records="")
    assert any("needs an answer that is a list" in one for one in found)


def test_a_pass_route_has_no_asks():
    found = findings("{a: plain}", more=", pass: true")
    assert any("remove `asks`" in one for one in found)
