"""Sessions of other issuers against the rule written a second time, over random histories."""

import os
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.subject import device_id, staff_id
from gateway.domain.time import Instant
from gateway.identity.claims import SessionName
from gateway.identity.foreign import DEVICE_PREFIX, session_key
from tests.oracles.foreign_world import ROSTER, SECRET, START, World
from tests.oracles.slow_foreign import SlowSessions

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
PEOPLE = ("mei", "ken")
SESSIONS = ("s1", "s2", "s3", "s4")
KNOWN_LONG = (("welcome",), ("wait", 60_000))

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("show"),
            st.sampled_from(SESSIONS),
            st.sampled_from(("sid", "jti")),
            st.integers(0, 5),  # seconds before now: `iat`
            st.one_of(st.none(), st.integers(0, 9)),  # `auth_time`
        ),
        st.tuples(st.just("log out"), st.sampled_from(PEOPLE), st.none()),
        st.tuples(st.just("log out"), st.sampled_from(PEOPLE), st.sampled_from(SESSIONS)),
        st.tuples(st.just("welcome")),
        st.tuples(st.just("wait"), st.sampled_from((200, 400, 1000, 3000))),  # milliseconds
        st.tuples(st.just("restart")),
    ),
    min_size=4,
    max_size=25,
)


def device_named(session):
    key = session_key(SECRET, "https://a.example", SessionName.SID, session)
    return device_id(f"{DEVICE_PREFIX}{key[:32]}")


def whole_second(moment):
    return Instant(moment.replace(microsecond=0))


@settings(max_examples=500 * FUZZ, deadline=None)
@given(st.booleans(), steps, st.sampled_from((0, 3)), st.sampled_from(PEOPLE))
async def test_a_session_is_in_exactly_if_its_history_says_so(known, history, leeway, owner):
    world, slow = World(), SlowSessions()
    world.clock.later(minutes=1)
    service = world.worker(leeway)
    for step in (*KNOWN_LONG[: 2 * known], *history):
        now = world.clock.now()
        match step:
            case ("show", session, by, iat, auth_time):
                # Each session is one person's: the first two are `owner`'s.
                person = owner if session in SESSIONS[:2] else PEOPLE[owner == PEOPLE[0]]
                made = whole_second(now - timedelta(seconds=iat))
                signed_in = None
                if auth_time is not None:
                    signed_in = whole_second(now - timedelta(seconds=auth_time))
                told = (
                    None if signed_in is None else int((signed_in - START) / timedelta(seconds=1))
                )
                claims = {by: session}
                if told is not None:
                    claims["auth_time"] = told + int(START.timestamp())
                token = world.token(at=made, staff=person, **claims)
                claimed = await world.who(token, service)
                device = session if by == "sid" else None
                if device is not None and hasattr(claimed, "device"):
                    assert claimed.device == device_named(session)
                expected = slow.shown(person, (by, session), device, made, signed_in, now, leeway)
                assert await world.is_in(token, service) == expected
            case ("log out", person, None):
                await world.log_out(person)
                slow.log_out(person, None, now)
            case ("log out", person, session):
                await world.log_out(person, device_named(session))  # seen before or not
                slow.log_out(person, session, now)
            case ("welcome",):
                await service.welcome(ROSTER, now)
                for person in PEOPLE:
                    slow.become_known(person, now)
            case ("wait", milliseconds):
                world.clock.later(milliseconds=milliseconds)
            case ("restart",):
                service = world.worker(leeway)
    assert {staff_id(person) for person in PEOPLE} == ROSTER
