import pytest

from gateway.domain.finding import PolicyError
from gateway.mapping.adapter import parse_adapter
from gateway.texts.yamltext import parse_yaml


def a_text(keys, match="GET /live"):
    return f"""adapter: demo
resources:
  client:
    fields: {{name: name}}
routes:
  - {{match: {match}, resource: client, action: read, {keys}}}
"""


def routes(text):
    return parse_adapter(parse_yaml(text, "a.yaml")).routes.routes


def findings(text):
    with pytest.raises(PolicyError) as caught:
        parse_adapter(parse_yaml(text, "a.yaml"))
    return [str(found) for found in caught.value.findings]


def test_a_route_is_a_websocket_only_if_it_says_so():
    assert [r.websocket for r in routes(a_text("websocket: true"))] == [True]
    assert [r.websocket for r in routes(a_text("websocket: false"))] == [False]
    assert [r.websocket for r in routes(a_text("records: data"))] == [False]


def test_a_websocket_may_say_where_records_stand_and_what_is_asked():
    keys = 'websocket: true, records: "data[]", beside: [at], query: {since: plain}'
    (route,) = routes(a_text(keys))
    assert route.websocket
    assert set(route.query) == {"since"}


def test_a_websocket_opens_with_get():
    found = findings(a_text("websocket: true", match="DELETE /live"))
    wanted = "a WebSocket opens with GET; match `GET` instead of `DELETE`"
    assert any(text.startswith("a.yaml:6:") and wanted in text for text in found)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("format: ndjson", "every message of a WebSocket is one JSON document"),
        ("headers: [X-Total]", "a WebSocket opens with none of the CRM's headers"),
        ("beside: [n], totals: [n], records: 'data[]'", "a WebSocket has no pages to count"),
    ],
)
def test_what_speaks_of_one_answer_does_not_go_with_it(key, why):
    name = key.partition(":")[0] if "totals" not in key else "totals"
    found = findings(a_text(f"websocket: true, {key}"))
    assert any(text.endswith(f"{why}; remove `{name}` or `websocket`") for text in found)
