import pytest

from gateway.domain.errors import StateUnavailableError
from gateway.identity.attempts import (
    BUCKETS,
    FREE_TRIES,
    KNOWN_MOST,
    NOBODY_YET,
    UNKNOWN_NETWORK,
    Strangers,
    Tries,
    bucket_of,
    network_of,
    parse_strangers,
    parse_tries,
    render,
    stranger_tried,
    tried,
    wait_of_known,
    wait_of_stranger,
)

NOON = 1_795_000_000_000


def tries(count, at=NOON):
    kept = None
    for _ in range(count):
        kept = tried(kept, at)
    return kept


def test_four_wrong_passwords_cost_nothing_and_the_fifth_a_quarter_of_a_minute():
    assert [wait_of_known(tries(count), NOON) for count in range(8)] == [
        *[0] * FREE_TRIES,
        15_000,
        30_000,
        60_000,
    ]
    assert wait_of_known(tries(FREE_TRIES), NOON + 14_999) == 1
    assert wait_of_known(tries(FREE_TRIES), NOON + 15_000) == 0


def test_a_wait_stops_growing():
    assert wait_of_known(tries(60), NOON) == KNOWN_MOST


def test_a_count_of_the_future_is_a_clock_that_was_wrong():
    assert wait_of_known(tries(60, NOON + 10**9), NOON) == 0
    kept = stranger_tried(NOBODY_YET, "-", NOON + 10**9)
    assert wait_of_stranger(kept, "-", NOON) == 0


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", UNKNOWN_NETWORK),
        ("", UNKNOWN_NETWORK),
        ("salon", UNKNOWN_NETWORK),
    ],
)
def test_an_address_counts_as_its_network(peer, network):
    assert network_of(peer) == network


def test_names_fall_into_so_many_buckets_whether_anybody_has_them():
    found = {bucket_of(f"name-{number}") for number in range(20 * BUCKETS)}
    assert len(found) == BUCKETS
    assert bucket_of("ann") == bucket_of("ann")
    assert bucket_of("\ud800") in found  # whatever was typed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b'{"failures":0,"last":1}',
        b'{"failures":1.0,"last":1}',
        b'{"failures":true,"last":1}',
        b'{"failures":1,"last":-1}',
        b'{"failures":1,"last":1,"more":1}',
        b'{"failures":1,"failures":9,"last":1}',
        b'{"failures":1, "last":1}',
        b'{"last":1,"failures":1}\n',
        b"[" * 100_000,
    ],
)
def test_what_is_not_written_like_that_is_a_state_that_cannot_answer(data):
    with pytest.raises(StateUnavailableError):
        parse_tries(data)
    with pytest.raises(StateUnavailableError):
        parse_strangers(data)


def test_what_is_written_can_be_read():
    one = Tries(failures=3, last=NOON)
    assert parse_tries(render(one)) == one
    many = Strangers(paid_until=NOON, networks={"-": one})
    assert parse_strangers(render(many)) == many
