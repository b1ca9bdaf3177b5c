"""What is one worker's part of gateway.yaml."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.finding import PolicyError
from gateway.settings import MAX_WORKERS, Settings, parse_settings
from gateway.workers import share_of

TEXT = """
upstream:
  url: 'http://crm.example'
  adapter: a.yaml
  headers: {X-Key: geheim}
  max_connections: 10
  max_streams: 0
tokens: {secret: 0123456789012345678901234567890123456789, cookie: s, origins: ["https://s.example"]}
state: {url: "redis://:password@r.example"}
limits: {connections: 1000, connections_per_peer: 3}
networks: {salon: ["192.0.2.0/24"]}
workers: 4
"""


def whole():
    return parse_settings(TEXT, "gateway.yaml", {}, lambda _: "")


@given(st.integers(1, MAX_WORKERS))
def test_the_parts_together_are_the_whole_or_a_little_more(workers):
    part, settings = share_of(whole(), workers, 8443), whole()
    for section, name in (
        ("limits", "connections"),
        ("limits", "connections_per_peer"),
        ("upstream", "max_connections"),
        ("upstream", "max_streams"),
    ):
        all_of_it = getattr(getattr(settings, section), name)
        its = getattr(getattr(part, section), name)
        assert all_of_it <= its * workers < all_of_it + workers
    assert part.listen.port == 8443


def test_nothing_else_changes_and_it_arrives_as_it_was_sent():
    settings = whole()
    part = share_of(settings, 4, 8080)
    same = {"limits": settings.limits, "upstream": settings.upstream}
    assert part.model_copy(update=same) == settings
    assert Settings.model_validate_json(part.model_dump_json(exclude_unset=True)) == part


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("0", "greater than or equal to 1"),
        ("65", "less than or equal to 64"),
        ("x", "a valid integer"),
    ],
)
def test_gateway_yaml_takes_1_to_64_workers(number, says):
    text = TEXT.replace("workers: 4", f"workers: {number}")
    with pytest.raises(PolicyError) as caught:
        parse_settings(text, "gateway.yaml", {}, lambda _: "")
    (finding,) = caught.value.findings
    assert says in str(finding)
