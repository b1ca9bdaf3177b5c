"""One document: who passes while it is active, and what each act makes of it."""

import json
from datetime import timedelta

import msgspec
import pytest

from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import STATUS, Reason
from gateway.domain.subject import Post, Principal, Role, StaffId
from gateway.domain.time import from_milliseconds, to_milliseconds
from gateway.identity.incident import (
    OWNERS,
    begun,
    ended,
    is_contact,
    is_reason,
    parse_incident,
    render_incident,
    require_admitted,
    require_no_incident,
    settled,
)

NOON = from_milliseconds(1_795_000_000_000)
LATER = NOON + timedelta(hours=1)
OWNER, MANAGER = Role("role:owner"), Role("role:manager")
ANYONE = Role("role:anyone")


def an_incident(now=NOON, **more):
    given = {"by": "staff:hana", "reason": "a lost laptop", "contact": "Hana, 00-0000-0000"}
    by = {**given, **more}.pop("by")
    words = {key: value for key, value in {**given, **more}.items() if key != "by"}
    return begun(None, now, by, **words)


def whole(incident=None, highest=0):
    return settled(incident or an_incident(), 1, highest)


def a_principal(held, acting=None):
    acting = frozenset(held if acting is None else acting) | {ANYONE}
    post = Post(
        salon="aoyama",
        held=frozenset(held) | {ANYONE},
        acting=acting,
        first_role=Role("role:manager"),
    )
    return Principal(staff=StaffId("staff:ken"), posts=(post,), device=None, epoch=1, app=None)


def refused(held, incident, owners=OWNERS, acting=None):
    with pytest.raises(RequestError) as caught:
        require_no_incident(a_principal(held, acting), incident, owners)
    return caught.value


def test_while_it_is_active_whoever_holds_no_role_of_the_owners_is_refused():
    error = refused({MANAGER}, an_incident())
    assert (error.reason, STATUS[error.reason]) == (Reason.INCIDENT, 403)
    assert error.detail == "Hana, 00-0000-0000"
    assert refused(set(), an_incident()).reason is Reason.INCIDENT
    require_no_incident(a_principal({OWNER}), an_incident(), OWNERS)


def test_what_is_held_counts_not_what_the_token_narrows_it_to():
    require_no_incident(a_principal({OWNER, MANAGER}, {MANAGER}), an_incident(), OWNERS)


def test_the_owners_are_those_that_are_named():
    assert refused({OWNER}, an_incident(), frozenset({MANAGER})).reason is Reason.INCIDENT
    require_admitted({MANAGER}, an_incident(), frozenset({MANAGER}))


def test_without_one_and_after_it_everybody_passes():
    for none in (None, ended(whole(), LATER, None)):
        require_no_incident(a_principal(set()), none, OWNERS)


def test_a_start_again_leaves_all_but_the_contact_line():
    first = an_incident()
    again = begun(first, LATER, None, reason="another", contact="")
    assert again == first
    told = begun(first, LATER, None, reason="another", contact="Ken")
    assert told == msgspec.structs.replace(first, contact="Ken")


def test_the_next_one_after_an_end_is_another_and_its_floor_is_higher():
    first = ended(whole(highest=to_milliseconds(LATER) + 5), LATER, "staff:hana")
    second = begun(first, NOON, None, reason="again", contact="")
    assert (second.number, second.settled, second.ended) == (2, False, None)
    assert second.floor > first.floor


@pytest.mark.parametrize("ahead", [0, 5_000, 10**9])
def test_it_is_settled_above_every_epoch_also_of_a_clock_that_is_ahead(ahead):
    highest = to_milliseconds(NOON) + ahead
    assert settled(an_incident(), 1, highest).floor > highest


def test_a_floor_never_sinks_and_is_settled_once():
    incident = whole(highest=to_milliseconds(NOON) + 9)
    assert settled(incident, 1, 10**14) is incident
    assert settled(an_incident(), 1, 3).floor == an_incident().floor


def test_what_was_read_for_one_start_settles_no_other():
    assert settled(an_incident(), 2, 0) == an_incident()
    assert settled(None, 1, 0) is None


def test_an_epoch_that_none_can_be_above_leaves_it_closed():
    with pytest.raises(StateUnavailableError):
        settled(an_incident(), 1, 2**60)


def test_what_is_not_settled_does_not_end():
    assert ended(an_incident(), LATER, None) == an_incident()
    assert ended(None, LATER, None) is None


def test_an_end_says_who_and_when_once():
    over = ended(whole(), LATER, "staff:hana")
    assert (over.ended, over.ended_by) == (to_milliseconds(LATER), "staff:hana")
    assert ended(over, LATER + timedelta(hours=1), "staff:ken") == over


@pytest.mark.parametrize("text", ["", " ", "a\nb", "a\x00", "a\u202eb", "x" * 301])
def test_a_reason_is_one_line_that_can_be_read(text):
    assert not is_reason(text)
    with pytest.raises(ValueError, match="reason"):
        an_incident(reason=text)


@pytest.mark.parametrize("text", ["a\nb", "\u2028", "x" * 201])
def test_a_contact_line_is_one_line(text):
    assert not is_contact(text)
    with pytest.raises(ValueError, match="contact"):
        an_incident(contact=text)


@pytest.mark.parametrize(
    "incident",
    [an_incident(), whole(), an_incident(by=None, contact=""), ended(whole(), LATER, None)],
)
def test_it_is_read_back_as_it_was_written(incident):
    assert parse_incident(render_incident(incident)) == incident


DATA = json.loads(render_incident(ended(whole(), LATER, "staff:hana")))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"{}",
        b"[" * 100_000,
        b" " + render_incident(an_incident()),
        render_incident(an_incident())[:-1],
        render_incident(an_incident())[:-1] + b',"number":2}',
        *(
            json.dumps(DATA | changed, separators=(",", ":")).encode()
            for changed in (
                {"more": 1},
                {"number": 0},
                {"number": "1"},
                {"since": -1},
                {"floor": DATA["since"]},
                {"floor": 2**60},
                {"by": "hana"},
                {"by": "staff:"},
                {"reason": ""},
                {"contact": "a\nb"},
                {"settled": False},
                {"settled": 1},
                {"ended": None},
            )
        ),
    ],
)
def test_what_cannot_be_read_is_never_no_incident(document):
    with pytest.raises(StateUnavailableError):
        parse_incident(document)
