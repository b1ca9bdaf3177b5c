"""The compiled index gives the verdicts of stock pycasbin with our functions registered."""

import os
from itertools import product
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.enforcer.index import compile_index
from gateway.enforcer.model import stock_verdict
from tests.properties.worlds import (
    ACTIONS,
    TARGETS,
    VOCABULARY,
    facts,
    principals,
    records,
    rule_lists,
    state_of,
    subjects,
)

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
MODEL = Path("policies/model.conf").read_text(encoding="utf-8")
CLASSES = {"client.contact", "client.health"}  # never asked of themselves, only their fields
QUESTIONS = tuple(product((target for target in TARGETS if target not in CLASSES), ACTIONS))


@settings(max_examples=400 * FUZZ, deadline=None)
@given(rule_lists, principals(salons=1), facts, records)
def test_the_index_agrees_with_stock_pycasbin(rules, principal, known, record):
    """Every question there is, of 400 policies, people and records.

    What the index leaves to the record, and then the record, against all facts at once."""
    staff, post = principal.staff, principal.home
    stock = stock_verdict(MODEL, rules, [(staff, post)], VOCABULARY)
    index = compile_index(rules, VOCABULARY, subjects(principal))
    for target, action in QUESTIONS:
        card = VOCABULARY.resources[target.partition(".")[0]]
        everything = known | {fact.name: record[1][fact.name] for fact in card.facts}
        left = index.cell(staff, post, target, action).firing(staff, post, known).residual
        ours = left.open(state_of(card, record))
        assert ours == stock(staff, post, target, action, everything), (target, action)


@given(st.sampled_from(ACTIONS), principals(salons=1), facts)
def test_stock_pycasbin_with_no_rule_allows_nothing(action, principal, known):
    staff, post = principal.staff, principal.home
    stock = stock_verdict(MODEL, [], [(staff, post)], VOCABULARY)
    assert stock(staff, post, "client", action, known) is False
