"""The compiled index gives the verdicts of stock pycasbin with our functions registered."""

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.enforcer.index import compile_index
from gateway.enforcer.model import stock_verdict
from tests.properties.worlds import ACTIONS, TARGETS, VOCABULARY, facts, principals, rule_lists

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
MODEL = Path("policies/model.conf").read_text(encoding="utf-8")
CLASSES = {"client.contact", "client.health"}  # never asked of themselves, only their fields
questions = st.lists(
    st.tuples(st.sampled_from([t for t in TARGETS if t not in CLASSES]), st.sampled_from(ACTIONS)),
    min_size=8,
    max_size=8,
    unique=True,
)


@settings(max_examples=400 * FUZZ, deadline=None)
@given(rule_lists, principals(), facts, questions)
def test_the_index_agrees_with_stock_pycasbin(rules, principal, known, asked):
    stock = stock_verdict(MODEL, rules, [(principal.staff, principal.held)], VOCABULARY)
    index = compile_index(rules, VOCABULARY, [principal.subjects])
    for target, action in asked:
        ours = index.cell(principal, target, action).firing(principal, known).allowed
        assert ours == stock(principal, target, action, known), (target, action)


@given(st.sampled_from(ACTIONS), principals(), facts)
def test_stock_pycasbin_with_no_rule_allows_nothing(action, principal, known):
    stock = stock_verdict(MODEL, [], [(principal.staff, principal.held)], VOCABULARY)
    assert stock(principal, "client", action, known) is False
