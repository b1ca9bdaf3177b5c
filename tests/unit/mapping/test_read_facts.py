import pytest

from gateway.domain.access import REQUEST_CONDITIONS
from gateway.domain.finding import PolicyError
from gateway.domain.record import (
    MAX_FACTS,
    AtLeast,
    Is,
    IsMe,
    OlderThan,
    RecordFact,
    SalonOf,
)
from gateway.domain.resource import Resource
from gateway.mapping.adapter import parse_adapter
from gateway.texts.yamltext import parse_yaml

CONDITIONS = sorted(REQUEST_CONDITIONS)


def a_text(keys: str) -> str:
    return f"""adapter: demo
resources:
  client:
    fields: {{stylist: [by_id, by.id], seen: seen, vip: vip, tags: "tags[]", past: past.**}}
    {keys}
routes:
  - {{match: GET /clients, resource: client, action: list, records: "[]"}}
"""


def read(keys: str) -> Resource:
    return parse_adapter(parse_yaml(a_text(keys), "a.yaml")).vocabulary.resources["client"]


def finding(keys: str) -> str:
    with pytest.raises(PolicyError) as caught:
        parse_adapter(parse_yaml(a_text(keys), "a.yaml"))
    (only,) = caught.value.findings
    return str(only)


def test_facts_are_comparisons_of_fields_in_the_order_of_the_file():
    resource = read(
        "facts: {own_client: stylist is me, dormant: seen older than 5y, vip: vip is true, "
        "good: vip at least 3}"
    )
    assert resource.facts == (
        RecordFact(name="own_client", field="stylist", comparison=IsMe()),
        RecordFact(name="dormant", field="seen", comparison=OlderThan(5, "y")),
        RecordFact(name="vip", field="vip", comparison=Is(value=True)),
        RecordFact(name="good", field="vip", comparison=AtLeast(3)),
    )
    assert read("id: id").facts == ()


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ("{own: stylst is me}", "unknown field `stylst`; did you mean `stylist`?"),
        ("{own: client.stylist is me}", "unknown field `client.stylist`"),
        ("{own: by_id is me}", "unknown field `by_id`"),
        ("{own: stylist == me}", "`stylist == me` is not understood; write `<field> is me`"),
        ("{own: stylist is not me}", "is not understood"),
        ("{own: ''}", "is not understood"),
        ("{old: seen older than 5 years}", "is not understood"),
        ("{own: tags is red}", "`tags[]` (the field `tags`) is more than one value"),
        ("{own: past is red}", "`past.**` (the field `past`) is more than one value"),
        ("{Own: stylist is me}", "the name of the fact `Own` must be lower-case letters"),
        ("{'app:phone': stylist is me}", "the name of the fact `app:phone` must be"),
        ("{'role:x': stylist is me}", "the name of the fact `role:x` must be"),
        ("{own: [stylist is me]}", "valid string"),
        *((f"{{{n}: stylist is me}}", f"`{n}` is a condition") for n in CONDITIONS),
    ],
)
def test_a_fact_that_nobody_could_judge_is_a_finding(facts, message):
    found = finding(f"facts: {facts}")
    assert message in found
    assert found.startswith("a.yaml:5:")


def test_everything_wrong_with_the_facts_is_said_at_once():
    with pytest.raises(PolicyError) as caught:
        read("facts: {trained: stylst is me, own: tags is me}")
    first, second, third = (str(found) for found in caught.value.findings)
    assert first.startswith("a.yaml:5:13: `trained` is a condition of every request")
    assert second == "a.yaml:5:13: unknown field `stylst`; did you mean `stylist`?"
    assert third == (
        "a.yaml:5:36: `tags[]` (the field `tags`) is more than one value; "
        "only a field without `[]` and `.**` can be compared"
    )


def test_a_resource_has_as_many_facts_as_fit_a_small_set():
    facts = [f"f{n}: vip is true" for n in range(MAX_FACTS + 1)]
    assert len(read(f"facts: {{{', '.join(facts[1:])}}}").facts) == MAX_FACTS
    assert f"may have {MAX_FACTS} facts" in finding(f"facts: {{{', '.join(facts)}}}")


def test_a_salon_is_a_field_or_a_field_with_the_crm_s_names():
    assert read("salon: stylist").salon == SalonOf(field="stylist")
    text = 'salon: {field: stylist, names: {"12": aoyama, Shibuya: shibuya}}'
    assert read(text).salon == SalonOf(
        field="stylist", names={"12": "aoyama", "Shibuya": "shibuya"}
    )
    assert read("salon: {field: stylist}").salon == SalonOf(field="stylist")
    assert read("id: id").salon is None


@pytest.mark.parametrize(
    ("salon", "message"),
    [
        ("shop", "a.yaml:5:5: unknown field `shop`"),
        ("''", "unknown field ``"),
        ("tags", "is more than one value"),
        ("past", "is more than one value"),
        ("{field: shop}", "a.yaml:5:13: unknown field `shop`"),
        ("{field: tags}", "is more than one value"),
        ("{}", "the key `field` is missing"),
        ("{feild: stylist, field: stylist}", "unknown key `feild`; did you mean `field`?"),
        ("{field: stylist, names: {'12': Aoyama}}", "the salon name `Aoyama` must be"),
        ("{field: stylist, names: {'': aoyama}}", "a salon's name in the CRM is empty"),
        ("[stylist]", "valid string"),
    ],
)
def test_a_salon_that_no_record_could_tell_is_a_finding(salon, message):
    assert message in finding(f"salon: {salon}")
