import pytest

from gateway.enforcer.budget import SPAN_SECONDS, Budget, Budgets

NOON = 1_000_000.0


def spent(times: int, *, at: float = NOON, allowance: int = 3) -> Budget:
    budget = Budget()
    for _ in range(times):
        assert budget.spend(allowance, at) is None
    return budget


def test_an_allowance_is_spent_and_then_one_waits_for_the_first_to_be_an_hour_old():
    budget = spent(3)
    assert budget.spend(3, NOON) == SPAN_SECONDS
    assert budget.spend(3, NOON + 3599) == 1
    assert budget.spend(3, NOON + SPAN_SECONDS) is None


def test_no_hour_holds_more_than_the_allowance_however_it_is_laid():
    budget = Budget()
    granted = [s for s in range(0, 4 * 3600, 7) if budget.spend(5, NOON + s) is None]
    assert len(granted) == 20
    for first in granted:
        assert sum(first <= one < first + SPAN_SECONDS for one in granted) <= 5


def test_a_refused_ask_costs_nothing():
    budget = spent(3)
    waits = [budget.spend(3, NOON + second) for second in range(100)]
    assert waits[-1] == SPAN_SECONDS - 99
    assert budget.spend(3, NOON + SPAN_SECONDS) is None


def test_an_ask_that_is_exactly_an_hour_old_no_longer_counts():
    budget = spent(1, allowance=1)
    assert budget.spend(1, NOON + SPAN_SECONDS - 0.001) == pytest.approx(0.001)
    assert budget.spend(1, NOON + SPAN_SECONDS) is None
    assert budget.spend(1, NOON + SPAN_SECONDS) == SPAN_SECONDS


def test_another_allowance_counts_what_was_asked_under_the_one_before():
    budget = Budget()
    for minute in range(4):
        assert budget.spend(4, NOON + 60 * minute) is None
    assert budget.spend(2, NOON + 240) == SPAN_SECONDS + 120 - 240  # until the third is old
    assert budget.spend(4, NOON + 240) == SPAN_SECONDS - 240
    assert budget.spend(5, NOON + 240) is None
    assert budget.spend(5, NOON + 240) == SPAN_SECONDS - 240


def test_everybody_has_a_budget_of_their_own_for_each_thing():
    budgets = Budgets()
    for key in (("mei", "a"), ("mei", "b"), ("rei", "a")):
        assert budgets.spend(key, 1, NOON) is None
        assert budgets.spend(key, 1, NOON) == SPAN_SECONDS


def test_a_budget_that_is_whole_again_is_forgotten():
    budgets = Budgets()
    for person in range(100):
        budgets.spend(person, 2, NOON + person)
    budgets.spend(7, 2, NOON + 200)
    assert len(budgets) == 100
    budgets.spend("new", 2, NOON + 50 + SPAN_SECONDS)
    assert len(budgets) == 51  # 51..99, 7 and the new one
    assert budgets.spend(7, 2, NOON + 50 + SPAN_SECONDS) is None
    assert budgets.spend(7, 2, NOON + 50 + SPAN_SECONDS) == 150


def test_where_there_is_no_room_a_new_person_waits_and_nobody_is_forgotten():
    budgets = Budgets(most=2)
    assert budgets.spend("a", 1, NOON) is None
    assert budgets.spend("b", 1, NOON + 10) is None
    assert budgets.spend("c", 1, NOON + 20) == SPAN_SECONDS - 20
    assert len(budgets) == 2
    assert budgets.spend("a", 1, NOON + 20) == SPAN_SECONDS - 20
    assert budgets.spend("c", 1, NOON + SPAN_SECONDS) is None
    assert budgets.spend("b", 1, NOON + SPAN_SECONDS) == 10


def test_whoever_asked_last_is_forgotten_last():
    budgets = Budgets(most=2)
    budgets.spend("a", 5, NOON)
    budgets.spend("b", 5, NOON + 10)
    budgets.spend("a", 5, NOON + 20)
    assert budgets.spend("c", 1, NOON + 10 + SPAN_SECONDS) is None  # b made room
    assert budgets.spend("a", 2, NOON + 10 + SPAN_SECONDS) is None
    assert budgets.spend("a", 2, NOON + 10 + SPAN_SECONDS) == 10
