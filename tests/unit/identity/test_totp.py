"""Codes of an app: the vectors of both RFCs, what may be typed, and how a key is told."""

from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.domain.time import from_milliseconds
from gateway.identity.totp import (
    counter_at,
    grouped,
    hotp,
    otpauth_uri,
    read_secret,
    taken,
    write_secret,
)
from tests.oracles.slow_totp import slow_code

KEY = b"12345678901234567890"  # of both appendices


def at(seconds):
    return from_milliseconds(round(seconds * 1000))


@pytest.mark.parametrize(
    ("counter", "code"),
    [
        (0, "755224"),
        (1, "287082"),
        (2, "359152"),
        (3, "969429"),
        (4, "338314"),
        (5, "254676"),
        (6, "287922"),
        (7, "162583"),
        (8, "399871"),
        (9, "520489"),
    ],
)
def test_the_vectors_of_rfc_4226_appendix_d(counter, code):
    assert hotp(KEY, counter) == code
    assert slow_code(KEY, counter) == code


@pytest.mark.parametrize(
    ("seconds", "step", "code"),
    [
        (59, 0x1, "94287082"),
        (1111111109, 0x23523EC, "07081804"),
        (1111111111, 0x23523ED, "14050471"),
        (1234567890, 0x273EF07, "89005924"),
        (2000000000, 0x3F940AA, "69279037"),
        (20000000000, 0x27BC86AA, "65353130"),
    ],
)
def test_the_vectors_of_rfc_6238_appendix_b(seconds, step, code):
    assert counter_at(at(seconds)) == step
    assert slow_code(KEY, step, 8) == code
    assert hotp(KEY, step) == code[-6:]  # ours have six digits: the last ones
    assert taken(KEY, code[-6:], at(seconds), after=-1) == step


def test_one_step_to_either_side_is_good_and_no_further():
    now = at(1_111_111_111)
    here = counter_at(now)
    good = [n for n in range(here - 5, here + 6) if taken(KEY, hotp(KEY, n), now, after=-1)]
    assert good == [here - 1, here, here + 1]


def test_a_step_that_was_taken_and_all_before_it_are_over():
    now = at(1_111_111_111)
    here = counter_at(now)
    assert taken(KEY, hotp(KEY, here), now, after=here) is None
    assert taken(KEY, hotp(KEY, here - 1), now, after=here) is None
    assert taken(KEY, hotp(KEY, here + 1), now, after=here) == here + 1


def test_the_very_first_step_has_none_before_it():
    assert taken(KEY, hotp(KEY, 0), at(0), after=-1) == 0


@pytest.mark.parametrize("typed", ["287 082", "287-082", " 287082 ", "２８７０８２", "287\t082"])
def test_a_code_is_read_as_people_type_it(typed):
    assert taken(KEY, typed, at(59), after=-1) == 1


@pytest.mark.parametrize(
    "typed", ["", "28708", "2870820", "287082a", "94287082", "x" * 10**6, "\ud800"]
)
def test_nothing_else_is_a_code(typed):
    assert taken(KEY, typed, at(59), after=-1) is None


def test_a_key_has_one_spelling():
    assert write_secret(KEY) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert read_secret(write_secret(KEY)) == KEY
    for other in ("", "GEZDGNBV", write_secret(KEY).lower(), write_secret(KEY) + "=", "1" * 32):
        with pytest.raises(ValueError, match=r".*"):
            read_secret(other)


def test_a_key_is_shown_in_groups_of_four():
    assert grouped("GEZDGNBVGY") == "GEZD GNBV GY"


def test_the_address_for_apps_names_the_salon_and_the_staff_id():
    parts = urlsplit(otpauth_uri(KEY, salon="aoyama", who="mei"))
    assert (parts.scheme, parts.netloc, parts.path) == ("otpauth", "totp", "/aoyama:mei")
    assert parse_qs(parts.query) == {
        "secret": ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"],
        "issuer": ["aoyama"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }
