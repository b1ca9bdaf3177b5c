"""A second factor in an account: begun by a first code, each code once, and how it is kept."""

import pytest

from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import from_milliseconds
from gateway.identity.accounts import parse_account, render_account, with_password, with_second
from gateway.identity.second_factor import begun, recovery_code, used
from gateway.identity.totp import counter_at, hotp

NOW = from_milliseconds(1_795_000_000_000)
KEY = b"k" * 20
CODES = tuple(recovery_code(bytes([n]) * 10) for n in range(10))
HASH = "$quick$1$aa"


def code(steps=0):
    return hotp(KEY, counter_at(NOW) + steps)


def a_second():
    second = begun(KEY, code(), CODES, NOW)
    assert second is not None
    return second


def test_it_begins_with_a_right_code_only():
    assert begun(KEY, "000000", CODES, NOW) is None
    assert a_second().last == counter_at(NOW)


def test_the_code_that_began_it_lets_nobody_in():
    assert used(a_second(), code(), NOW) is None
    assert used(a_second(), code(1), NOW) is not None


def test_a_recovery_code_works_once_and_the_others_stay():
    after = used(a_second(), CODES[3], NOW)
    assert after is not None
    assert len(after.recovery) == 9
    assert used(after, CODES[3], NOW) is None
    assert used(after, CODES[4].upper().replace("-", " "), NOW) is not None


def test_a_recovery_code_leaves_the_steps_alone_and_the_other_way_round():
    second = a_second()
    by_recovery, by_app = used(second, CODES[0], NOW), used(second, code(1), NOW)
    assert by_recovery is not None
    assert by_app is not None
    assert by_recovery.last == second.last
    assert by_app.recovery == second.recovery


def test_no_recovery_code_stands_in_what_is_kept():
    kept = render_account(with_second(an_account(), a_second())).decode()
    for one in CODES:
        assert one not in kept
        assert one.replace("-", "") not in kept


def test_recovery_codes_have_80_bits_and_no_two_spellings():
    assert recovery_code(bytes(10)) == "aaaa-aaaa-aaaa-aaaa"
    assert recovery_code(b"\xff" * 10) == "7777-7777-7777-7777"
    with pytest.raises(ValueError, match="10 bytes"):
        recovery_code(bytes(9))


def an_account():
    return with_password(None, HASH, NOW, must_change=False)


def test_an_account_without_one_is_written_as_before_there_were_any():
    assert b"second" not in render_account(an_account())
    assert parse_account(render_account(an_account())) == an_account()


def test_an_account_with_one_comes_back_as_it_was():
    account = with_second(an_account(), a_second())
    assert parse_account(render_account(account)) == account
    assert len(render_account(account)) < 1024
    assert account.generation == an_account().generation + 1


def test_a_new_password_keeps_it():
    account = with_second(an_account(), a_second())
    assert with_password(account, HASH, NOW, must_change=True).second == a_second()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"secret":"', '"secret":"A'),
        ('"last":', '"last":-'),
        ('"since":', '"since":-'),
        ('"recovery":["', '"recovery":["x'),
        ('"recovery":[', '"recovery":["00000000000000000000000000000000",'),
    ],
)
def test_what_is_not_as_it_was_written_is_not_read(old, new):
    data = render_account(with_second(an_account(), a_second())).decode()
    assert old in data
    with pytest.raises(StateUnavailableError):
        parse_account(data.replace(old, new).encode())
