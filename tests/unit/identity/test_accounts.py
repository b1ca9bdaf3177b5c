from datetime import timedelta

import pytest

from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId
from gateway.domain.time import from_milliseconds, instant, to_milliseconds
from gateway.identity.accounts import (
    MAX_DEVICES,
    MAX_SESSION_DAYS,
    Account,
    may_renew,
    parse_account,
    render_account,
    signed_in,
    with_password,
)
from gateway.ports import MAX_DOCUMENT_BYTES

NOON = from_milliseconds(1_795_000_000_000)
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo"
PHONE = DeviceId("phone-1")


def later(**span):
    return instant(NOON + timedelta(**span))


def an_account(**changes):
    return with_password(None, HASH, NOON, must_change=False, **changes)


def test_a_new_password_is_another_generation_and_keeps_the_devices_known():
    one = signed_in(an_account(), PHONE, NOON)
    two = with_password(one, HASH, later(days=1), must_change=True)
    assert (one.generation, two.generation) == (1, 2)
    assert two.must_change
    assert two.knows(PHONE)
    assert not two.knows(None)
    assert not two.knows(DeviceId("phone-2"))


def test_the_device_longest_unused_makes_room():
    account = an_account()
    for number in range(MAX_DEVICES):
        account = signed_in(account, DeviceId(f"d{number}"), later(minutes=number))
    account = signed_in(account, DeviceId("d0"), later(hours=1))  # used again
    account = signed_in(account, DeviceId("new"), later(hours=2))
    assert len(account.devices) == MAX_DEVICES
    assert account.knows(DeviceId("d0"))
    assert not account.knows(DeviceId("d1"))
    longest = signed_in(account, DeviceId("x" * 64), later(hours=3))
    assert len(render_account(longest)) < MAX_DOCUMENT_BYTES


def test_a_rehash_changes_the_hash_and_nothing_else():
    account = an_account()
    again = signed_in(account, PHONE, NOON, rehashed=HASH.replace("t=2", "t=3"))
    assert again.generation == account.generation
    assert again.password != account.password


def test_a_session_is_renewed_for_so_many_days_and_on_its_device_only():
    account = signed_in(an_account(), PHONE, NOON)
    assert may_renew(account, PHONE, NOON)
    end = later(days=MAX_SESSION_DAYS)
    assert may_renew(account, PHONE, instant(end - timedelta(milliseconds=1)))
    assert not may_renew(account, PHONE, end)
    assert not may_renew(account, None, NOON)
    assert not may_renew(account, DeviceId("phone-2"), NOON)
    given = with_password(account, HASH, NOON, must_change=True)
    assert not may_renew(given, PHONE, NOON)


def test_what_is_written_can_be_read():
    account = signed_in(an_account(), PHONE, NOON)
    assert parse_account(render_account(account)) == account


GOOD = render_account(signed_in(an_account(), PHONE, NOON))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"must_change":false', b'"must_change":0'),
        (b'"must_change":false,', b""),
        (b'"must_change":false', b'"must_change":true,"must_change":false'),
        (b'"generation":1', b'"generation":0'),
        (b'"generation":1', b'"generation":"1"'),
        (b'"phone-1"', b'"phone 1"'),
        (b'"since":1795000000000', b'"since":-1'),
        (b"$argon2id", b"argon2id"),
        (b"{", b'{"more":1,'),
        (b":", b": "),
    ],
)
def test_what_is_not_written_like_that_is_a_state_that_cannot_answer(old, new):
    assert old in GOOD
    with pytest.raises(StateUnavailableError):
        parse_account(GOOD.replace(old, new, 1))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_account_at_all(data):
    with pytest.raises(StateUnavailableError):
        parse_account(data)


def test_too_many_devices_are_no_account():
    with pytest.raises(ValueError, match="so many"):
        Account(
            password=HASH,
            must_change=False,
            changed_at=to_milliseconds(NOON),
            generation=1,
            devices={
                f"d{n}": next(iter(signed_in(an_account(), PHONE, NOON).devices.values()))
                for n in range(MAX_DEVICES + 1)
            },
        )
