"""The theorems of `identity/grant.py`, against a slow reference."""

import os

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, Post, Principal, Role, StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.grant import (
    Grant,
    Review,
    Verdict,
    blocked,
    lifts,
    parse_grant,
    render,
    reviewed,
)
from tests.oracles import slow_grant

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
T0 = 1_795_000_000_000
MINUTE = 60_000
STAFF, DEVICES, SALONS = ("staff:mei", "staff:yuki"), ("phone-1", None), ("aoyama", "shibuya")

moments = st.one_of(
    st.integers(T0 - 2 * MINUTE, T0 + 40 * MINUTE),
    st.sampled_from(
        [
            T0,
            T0 - MINUTE,
            T0 - MINUTE - 1,
            *(T0 + m * MINUTE + d for m in (15, 20) for d in (-1, 0)),
        ]
    ),
)
grants = st.builds(
    Grant,
    id=st.just("g-1"),
    staff=st.sampled_from(STAFF),
    device=st.sampled_from(DEVICES),
    epoch=st.integers(1, 2),
    salon=st.sampled_from(SALONS),
    resource=st.sampled_from(("client", "message")),
    record=st.sampled_from(("7", "07")),
    reason=st.just("an allergy"),
    asked=st.just(T0),
    until=st.sampled_from((T0 + 15 * MINUTE, T0 + 20 * MINUTE)),
    told=st.just(("staff:ken",)),
    review=st.sampled_from(
        (None, None, None, Review(by="staff:ken", at=T0, verdict=Verdict.JUSTIFIED))
    ),
)
requests = st.fixed_dictionaries(
    {
        "staff": st.sampled_from(STAFF),
        "device": st.sampled_from(DEVICES),
        "epoch": st.integers(1, 2),
        "salons": st.lists(st.sampled_from(SALONS), min_size=1, unique=True),
        "method": st.sampled_from(("GET", "GET", "GET", "HEAD", "PUT", "POST")),
        "resource": st.sampled_from(("client", "message")),
        "action": st.sampled_from(("read", "read", "read", "list", "export")),
        "record": st.sampled_from(("7", "07", None)),
        "now": moments,
    }
)
KEYS = ("staff", "device", "epoch", "resource", "record", "method", "action", "salons")


def principal(request):
    posts = tuple(
        Post(
            salon=salon,
            held=frozenset({Role("role:stylist")}),
            acting=frozenset(),
            first_role=Role("role:stylist"),
        )
        for salon in request["salons"]
    )
    device = request["device"]
    return Principal(
        staff=StaffId(request["staff"]),
        posts=posts,
        device=None if device is None else DeviceId(device),
        epoch=request["epoch"],
        app=None,
    )


def plain(grant):
    names = ("staff", "device", "epoch", "salon", "resource", "record", "asked", "until")
    return {n: getattr(grant, n) for n in names} | {"reviewed": grant.review is not None}


@settings(max_examples=800 * FUZZ, deadline=None)
@given(grants, requests, st.sets(st.sampled_from(KEYS)), moments)
def test_a_grant_lifts_exactly_what_the_plain_reference_says(grant, request, differing, now):
    same = plain(grant) | {"method": "GET", "action": "read", "salons": [grant.salon]}
    asked = {k: request[k] if k in differing else same[k] for k in KEYS} | {"now": now}
    found = lifts(
        grant,
        principal(asked),
        method=asked["method"],
        resource=asked["resource"],
        action=asked["action"],
        record=asked["record"],
        now=from_milliseconds(now),
    )
    assert found == slow_grant.lifts(plain(grant), asked)
    why = blocked(grant, from_milliseconds(now))
    assert (None if why is None else why.value) == slow_grant.may_ask(plain(grant), now)


@settings(max_examples=200 * FUZZ, deadline=None)
@given(grants, st.sampled_from(("staff:ken", *STAFF)), moments)
def test_nobody_reviews_their_own_and_a_review_is_never_changed(grant, by, now):
    at = from_milliseconds(max(now, 0))
    if by == grant.staff:
        with pytest.raises(ValueError, match="their own"):
            reviewed(grant, StaffId(by), Verdict.JUSTIFIED, at)
        return
    after = reviewed(grant, StaffId(by), Verdict.NOT_JUSTIFIED, at)
    assert after.review is not None
    assert after.review == (grant.review or after.review)
    assert reviewed(after, StaffId("staff:hana"), Verdict.JUSTIFIED, at) == after
    assert not after.is_open(at)


@settings(max_examples=300 * FUZZ, deadline=None)
@given(grants, st.data())
def test_a_grant_is_read_back_as_it_was_written_or_not_at_all(grant, data):
    text = render(grant)
    assert parse_grant(text) == grant
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255))
    damaged = text[:at] + bytes([byte]) + text[at + 1 :]
    try:
        found = parse_grant(damaged)
    except StateUnavailableError:
        return
    assert render(found) == damaged


@pytest.mark.parametrize(
    "change",
    [
        {"until": T0 + 14 * MINUTE},
        {"until": T0 + 31 * MINUTE},
        {"told": []},
        {"told": ["staff:mei"]},
        {"reason": ""},
        {"reason": " an allergy"},
        {"reason": "x" * 301},
        {"reason": "a\u202egnp"},
        {"record": "7/../8"},
        {"record": ""},
        {"staff": "role:owner"},
        {"epoch": "1"},
        {"extra": 1},
        {"review": {"by": "staff:mei", "at": T0, "verdict": "justified"}},
        {"review": {"by": "staff:ken", "at": T0, "verdict": "fine"}},
    ],
)
def test_what_no_asking_could_have_written_is_no_grant(change):
    whole = {
        "id": "g-1", "staff": "staff:mei", "device": "phone-1", "epoch": 1, "salon": "aoyama",
        "resource": "client", "record": "7", "reason": "an allergy", "asked": T0,
        "until": T0 + 20 * MINUTE, "told": ["staff:ken"],
    }  # fmt: skip
    encode = msgspec.json.encode
    assert parse_grant(encode(whole)).record == "7"
    with pytest.raises(StateUnavailableError):
        parse_grant(encode(whole | change))
