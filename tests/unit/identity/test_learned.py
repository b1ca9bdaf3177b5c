import json
from datetime import timedelta

import msgspec
import pytest

from gateway.domain.errors import StateUnavailableError
from gateway.domain.login import Place, Source
from gateway.domain.time import instant, to_milliseconds
from gateway.identity.learned import (
    MAX_OF_SESSION,
    MAX_SESSIONS,
    REMEMBERED,
    Learned,
    Use,
    claims_of,
    credential_key,
    decode,
    encode,
    remembered_until,
    succeeded_by,
    surplus,
)
from tests.oracles.login_samples import MEI, NOW, SECRET, YUKI

COOKIE = Source(place=Place.COOKIE, name="sid")
START = to_milliseconds(NOW)


def a_learned(**how):
    told = {
        "staff": MEI,
        "device": "crm.1",
        "session": "s1",
        "epoch": 7,
        "use": Use.ACCESS,
        "issued_at": START,
        "expires_at": START + 60_000,
    }
    return Learned(**(told | how))


def test_a_document_is_read_back_as_it_was_written():
    assert decode(encode(a_learned())) == a_learned()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        encode(a_learned()) + b" ",
        encode(a_learned()).replace(b'"epoch":7', b'"epoch":"7"'),
        encode(a_learned()).replace(b'"epoch":7', b'"epoch":7.0'),
        encode(a_learned()).replace(b'"epoch":7', b'"epoch":7,"epoch":8'),
        encode(a_learned()).replace(b'"epoch":7', b'"epoch":7,"more":1'),
        encode(a_learned(staff="mei")),
        encode(a_learned(staff="staff:Mei")),
        encode(a_learned(device="")),
        encode(a_learned(session="")),
        encode(a_learned(epoch=-1)),
        encode(a_learned(epoch=2**63)),
        encode(a_learned(expires_at=START)),
        encode(a_learned(issued_at=-1)),
    ],
)
def test_what_cannot_be_read_is_never_nobody(document):
    with pytest.raises(StateUnavailableError):
        decode(document)


def test_a_document_holds_nothing_of_the_credential():
    assert set(json.loads(encode(a_learned()))) == set(Learned.__struct_fields__)


def test_a_learned_credential_stands_in_place_of_a_token():
    claims = claims_of(a_learned())
    assert (claims.staff, claims.device, claims.epoch) == (MEI, "crm.1", 7)
    assert (claims.app, claims.roles) == (None, None)
    assert claims.expires_at == NOW + timedelta(minutes=1)


def test_it_stays_known_after_its_end():
    assert remembered_until(a_learned()) == NOW + timedelta(minutes=1) + REMEMBERED


def test_a_successor_has_the_epoch_and_the_session_of_the_first():
    later = instant(NOW + timedelta(hours=1))
    after = succeeded_by(
        a_learned(), use=Use.REFRESH, now=later, expires_at=instant(NOW + timedelta(hours=2))
    )
    changed = {
        name
        for name in Learned.__struct_fields__
        if getattr(after, name) != getattr(a_learned(), name)
    }
    assert changed == {"use", "issued_at", "expires_at"}


def test_a_key_is_of_the_place_the_name_the_use_and_the_value_under_a_secret():
    keys = {
        credential_key(secret, use, Source(place=place, name=name), value)
        for secret in (SECRET, SECRET[::-1])
        for use, place, name, value in (
            (Use.ACCESS, Place.COOKIE, "sid", "abc"),
            (Use.ACCESS, Place.HEADER, "sid", "abc"),
            (Use.ACCESS, Place.COOKIE, "sida", "bc"),
            (Use.ACCESS, Place.COOKIE, "si", "dabc"),
            (Use.ACCESS, Place.COOKIE, "sid", "abC"),
            (Use.ACCESS, Place.COOKIE, "sid", '"abc"'),
            (Use.REFRESH, Place.COOKIE, "sid", "abc"),
        )
    }
    assert len(keys) == 14
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)


def test_a_refresh_token_is_the_same_wherever_it_is_presented():
    body = Source(place=Place.BODY)
    assert credential_key(SECRET, Use.REFRESH, body, "abc") == credential_key(
        SECRET, Use.REFRESH, COOKIE, "abc"
    )


def test_a_short_secret_is_none():
    with pytest.raises(ValueError, match="32 bytes"):
        credential_key(SECRET[:31], Use.ACCESS, COOKIE, "abc")


def test_of_too_many_sessions_the_oldest_go_with_everything_in_them():
    kept = {
        f"{n}{use}": a_learned(session=f"s{n}", use=use, issued_at=START - n)
        for n in range(MAX_SESSIONS + 2)
        for use in Use
    }
    gone = surplus(kept, MEI)
    oldest = (MAX_SESSIONS, MAX_SESSIONS + 1)
    assert set(gone) == {f"{n}{use}" for n in oldest for use in Use}


def test_of_one_session_the_latest_credentials_of_each_kind_stay():
    kept = {f"{n}": a_learned(issued_at=START - n) for n in range(MAX_OF_SESSION + 3)} | {
        "refresh": a_learned(use=Use.REFRESH, issued_at=START - 1_000_000)
    }
    assert set(surplus(kept, MEI)) == {str(n) for n in range(MAX_OF_SESSION, MAX_OF_SESSION + 3)}


def test_nobody_elses_credentials_are_too_many():
    kept = {str(n): a_learned(session=f"s{n}", staff=YUKI) for n in range(100)}
    assert surplus(kept, MEI) == ()
    assert len(surplus(kept, YUKI)) == 100 - MAX_SESSIONS


def test_a_use_is_one_of_a_closed_list():
    document = encode(a_learned()).replace(b'"access"', b'"admin"')
    with pytest.raises(StateUnavailableError):
        decode(document)
    assert msgspec.json.decode(encode(a_learned()))["use"] == "access"
