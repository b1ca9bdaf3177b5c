"""Families, rechecked searches and exact look-ups, as an adapter writes them."""

import pytest

from gateway.domain.finding import PolicyError
from gateway.mapping.adapter import parse_adapter
from gateway.mapping.parameters import Capped, Exact, FieldNamed, Named, Plain, Searches
from gateway.mapping.routes import Route
from gateway.texts.yamltext import parse_yaml

TEXT = """\
adapter: demo
actions: [list, read, search, find]
resources:
  client:
    id: id
    fields: {{name: name, phone: [phone, contact.phone]}}
    classes: {{contact: [phone]}}
  booking:
    id: id
    fields: {{memo: memo}}
    embeds: {{whose: {{at: client, resource: client}}}}
routes:
  - {{match: GET /clients, resource: client, action: list, records: "[]", query: {client}}}
  - {{match: GET /bookings, resource: booking, action: list, records: "[]", query: {booking}}}
  - {{match: "GET /clients/{{id}}", resource: client, action: read, query: {card}}}
  - {{match: POST /clients/x, resource: client, action: search, records: "[]", query: {post}}}
"""


def text(client="{}", booking="{}", card="{}", post="{}") -> str:
    return TEXT.format(client=client, booking=booking, card=card, post=post)


def routes(**queries: str) -> tuple[Route, ...]:
    return parse_adapter(parse_yaml(text(**queries), "a.yaml")).routes.routes


def findings(**queries: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse_adapter(parse_yaml(text(**queries), "a.yaml"))
    return [found.message for found in caught.value.findings]


def finding(**queries: str) -> str:
    (only,) = findings(**queries)
    return only


def test_a_family_that_searches_compares_each_name_with_its_field():
    query = routes(client='{"filter[{field}][$like]": searches}')[0].query
    assert query == {
        "filter[id][$like]": Searches(fields=frozenset()),
        "filter[name][$like]": Searches(fields=frozenset({"name"})),
        # `phone` is a member itself, and so is `contact.phone`.
        "filter[phone][$like]": Searches(fields=frozenset({"phone"})),
        "filter[contact.phone][$like]": Searches(fields=frozenset({"phone"})),
        "filter[contact][phone][$like]": Searches(fields=frozenset({"phone"})),
    }


def test_a_family_whose_value_is_plain_speaks_of_the_field_by_its_name_alone():
    query = routes(
        client="""{
            "order[{field}]": {one_of: [asc, desc]}, "n[{field}]": {max: 3},
            "g[{field}]": plain}"""
    )[0].query
    fields = frozenset({"phone"})
    order = Plain(one_of=frozenset({"asc", "desc"}))
    assert query["order[phone]"] == Named(fields=fields, value=order)
    assert query["g[phone]"] == Named(fields=fields, value=Plain())
    assert query["n[contact][phone]"] == Named(fields=fields, value=Capped(max=3))


def test_a_family_spells_embedded_fields_by_their_path():
    query = routes(booking='{"{field}__icontains": searches}')[1].query
    phone = Searches(fields=frozenset({"whose.phone"}))
    assert query["client.phone__icontains"] == phone
    assert query["client__phone__icontains"] == phone
    assert query["client__contact__phone__icontains"] == phone
    whole = query["client__icontains"]
    assert isinstance(whole, Searches)
    assert "whose.phone" in whole.fields


def test_a_name_that_is_written_out_wins_over_a_family():
    query = routes(client='{"{field}": searches, name: plain}')[0].query
    assert query["name"] == Plain()
    assert query["phone"] == Searches(fields=frozenset({"phone"}))


def test_sparse_fieldsets_of_json_api_are_names_with_brackets():
    query = routes(client='{"fields[client]": field, include: field}')[0].query
    assert isinstance(query["fields[client]"], FieldNamed)


def test_two_families_that_spell_one_name_are_a_finding():
    message = finding(booking='{"{field}__gt": searches, "client__{field}__gt": plain}')
    assert message == (
        "`client__{field}__gt` and `{field}__gt` both spell `client__id__gt`; keep one"
    )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{"f[{fields}]": searches}', "may hold `{field}` once, and no other braces"),
        ('{"f[{field}][{field}]": searches}', "may hold `{field}` once, and no other braces"),
        ('{"f[{field}]": {searches: [name]}}', "the slot names the field; write `searches`"),
        ('{"f[{field}]": {exact: phone, action: find, allowance: 3}}', "the slot names the field"),
        ('{"f[{field}]": field}', "names fields twice"),
        ('{"f[{field}]": serches}', "must be `plain`"),
        ('{"f[{field}]": {one_of: []}}', "must list the values"),
        ('{"a\\tb{field}": searches}', "can never arrive"),
        ("{q: searches}", "say where it looks"),
        ("{q: {max: 3, recheck: true}}", "`recheck` goes with `searches`"),
        ("{q: {recheck: true}}", "a parameter is one of"),
        ("{q: {searches: [name], allowance: 3}}", "a parameter is one of"),
        ("{q: {max: 3, action: find}}", "a parameter is one of"),
        ("{p: {exact: phone}}", "no more or less"),
        ("{p: {exact: phone, action: find}}", "no more or less"),
        ("{p: {exact: phone, action: find, allowance: 3, max: 4}}", "no more or less"),
        ("{p: {exact: fone, action: find, allowance: 3}}", "did you mean `phone`?"),
        ("{p: {exact: unmapped, action: find, allowance: 3}}", "unknown field `unmapped`"),
        ("{p: {exact: phone, action: fnd, allowance: 3}}", "add it to `actions`, or: did you"),
        ("{p: {exact: phone, action: list, allowance: 3}}", "an action of its own"),
        ("{p: {exact: phone, action: read, allowance: 3}}", "an action of its own"),
        ("{p: {exact: phone, action: write, allowance: 3}}", "an action of its own"),
        ("{p: {exact: phone, action: find, allowance: 0}}", "greater than or equal to 1"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said(query, message):
    assert message in finding(client=query)


def test_only_a_list_can_be_rechecked_or_looked_up_in():
    assert "`recheck` needs an answer that is a list" in finding(
        card="{q: {searches: [name], recheck: true}}"
    )
    exact = "{p: {exact: phone, action: find, allowance: 3}}"
    needs = "an exact look-up needs a GET route that answers with one list, and no stream"
    assert finding(card=exact) == needs
    assert finding(post=exact) == needs


def test_a_search_can_be_rechecked():
    query = routes(client='{q: {searches: ["*"], recheck: true}, r: {searches: [name]}}')[0].query
    assert query["q"] == Searches(
        fields=frozenset({"name", "phone", "unmapped"}), everything=True, recheck=True
    )
    assert query["r"] == Searches(fields=frozenset({"name"}))


def test_an_exact_look_up_is_another_route_with_its_own_action_and_few_parameters():
    (route, *_) = routes(
        client="""{
            tel: {exact: phone, action: find, allowance: 20}, page: plain, per_page: {max: 5},
            order: {one_of: [asc]}, sort: field, q: {searches: [name], recheck: true},
            "f[{field}]": searches, "o[{field}]": plain}"""
    )
    assert "tel" not in route.query
    (name, variant), *others = route.variants.items()
    assert (name, others) == ("tel", [])
    assert (route.action, variant.action) == ("list", "find")
    assert dict(variant.query) == {
        "tel": Exact(field="phone", allowance=20),
        "order": Plain(one_of=frozenset({"asc"})),
    }
    assert (variant.template, variant.records) == (route.template, route.records)
    assert variant.variants == {}


def test_two_exact_look_ups_are_two_routes_and_neither_takes_the_other():
    (route, *_) = routes(
        client="""{tel: {exact: phone, action: find, allowance: 20},
                   no: {exact: name, action: search, allowance: 2}}"""
    )
    assert {name: set(one.query) for name, one in route.variants.items()} == {
        "tel": {"tel"},
        "no": {"no"},
    }


def test_rules_are_asked_about_variants_too():
    adapter = parse_adapter(
        parse_yaml(text(client="{p: {exact: phone, action: find, allowance: 3}}"), "a.yaml")
    )
    assert [(r.resource.name, r.action) for r in adapter.routes.ruled()] == [
        ("client", "list"),
        ("client", "find"),
        ("booking", "list"),
        ("client", "read"),
        ("client", "search"),
    ]


def test_an_exact_look_up_wins_over_a_family_that_spells_its_name():
    (route, *_) = routes(
        client='{"{field}": searches, phone: {exact: phone, action: find, allowance: 3}}'
    )
    assert "phone" not in route.query
    assert set(route.variants) == {"phone"}
    assert "contact.phone" in route.query


def test_the_names_of_a_route_are_known_however_they_are_disguised():
    (route, *_) = routes(
        client="""{
            "o[{field}]": plain, per_page: plain,
            p: {exact: phone, action: find, allowance: 3}}"""
    )
    assert {"ophone", "ocontactphone", "perpage", "p"} <= route.folded
