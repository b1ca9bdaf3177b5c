from datetime import date

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import ANYONE, Post, Principal, Role, StaffId
from gateway.identity.session import CurrentPrincipal, require_current, require_standing


def a_principal(epoch=5, joined=date(2024, 4, 1), leaves_on=None):
    roles = frozenset({Role("role:stylist"), ANYONE})
    return Principal(
        staff=StaffId("staff:mei"),
        posts=(
            Post(
                salon="aoyama",
                held=roles,
                acting=roles,
                first_role=Role("role:stylist"),
            ),
        ),
        device=None,
        epoch=epoch,
        app=None,
        joined=joined,
        leaves_on=leaves_on,
    )


def test_a_token_of_the_floors_epoch_is_current():
    mei = a_principal(epoch=5)
    assert require_current(mei, 5) is mei
    assert require_current(mei, 4) is mei


def test_a_token_behind_the_floor_is_logged_out():
    with pytest.raises(RequestError) as caught:
        require_current(a_principal(epoch=5), 6)
    assert (caught.value.reason, caught.value.cause) == (
        Reason.UNAUTHENTICATED,
        Cause.EPOCH_STALE,
    )


def test_a_person_the_store_does_not_know_is_refused_and_not_taken_for_zero():
    with pytest.raises(RequestError) as caught:
        require_current(a_principal(epoch=2**60), None)
    assert (caught.value.reason, caught.value.cause) == (
        Reason.UNAUTHENTICATED,
        Cause.SESSION_UNKNOWN,
    )


def test_a_floor_of_zero_is_a_floor():
    assert require_current(a_principal(epoch=0), 0)


@pytest.mark.parametrize("today", [date(2024, 4, 1), date(2026, 11, 20), date(2026, 11, 21)])
def test_the_first_and_the_last_day_are_worked(today):
    mei = CurrentPrincipal(a_principal(leaves_on=date(2026, 11, 21)))
    assert require_standing(mei, today) is mei


def test_the_day_after_the_last_is_too_late():
    mei = CurrentPrincipal(a_principal(leaves_on=date(2026, 11, 21)))
    with pytest.raises(RequestError) as caught:
        require_standing(mei, date(2026, 11, 22))
    assert caught.value.reason is Reason.HAS_LEFT


def test_the_day_before_the_first_is_too_early():
    with pytest.raises(RequestError) as caught:
        require_standing(CurrentPrincipal(a_principal()), date(2024, 3, 31))
    assert caught.value.reason is Reason.NOT_ON_ROSTER


def test_without_dates_there_is_nothing_to_run_out():
    mei = CurrentPrincipal(a_principal(joined=None))
    assert require_standing(mei, date(1970, 1, 1)) is mei
