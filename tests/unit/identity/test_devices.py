"""Which device comes in, who is idle, and what a document of devices may be."""

from datetime import date, timedelta

import msgspec
import pytest

from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import STATUS, Reason
from gateway.domain.subject import ANYONE, DeviceId, Post, Principal, StaffId
from gateway.domain.time import from_milliseconds, instant, to_milliseconds
from gateway.identity.devices import (
    MAX_DEVICES,
    MAX_LABEL,
    MAX_PLACES,
    NOTHING,
    Device,
    DeviceRules,
    Known,
    Record,
    Span,
    State,
    approved,
    forgotten,
    is_idle,
    labelled,
    parse_record,
    read_label,
    render_record,
    require_device,
    said_of,
)
from gateway.ports import MAX_DOCUMENT_BYTES

NOON = from_milliseconds(1_795_000_000_000)
NOW = to_milliseconds(NOON)
MEI, HANA = StaffId("staff:mei"), StaffId("staff:hana")
PHONE, TABLET = DeviceId("phone-1"), DeviceId("tablet")
ALLOW, WAIT = DeviceRules(), DeviceRules(wait=True)
MONTH = DeviceRules(idle=timedelta(days=30))


def a_principal(device=PHONE, approved_devices=(), joined=date(2024, 4, 1)):
    post = Post(
        salon="aoyama", held=frozenset({ANYONE}), acting=frozenset({ANYONE}), first_role=ANYONE
    )
    return Principal(
        staff=MEI,
        posts=(post,),
        device=device,
        epoch=1,
        app=None,
        joined=joined,
        approved_devices=frozenset(approved_devices),
    )


def a_device(state=State.KNOWN, **more):
    said = {"said": NOW} if state in {State.APPROVED, State.REFUSED} else {}
    return Device(first=NOW, last=NOW, state=state, **said, **more)


def known(record=NOTHING, began=NOON):
    return Known(record=record, began=began)


def with_state(state):
    return known(Record(devices={PHONE: a_device(state)}))


def ago(days):
    return instant(NOON - timedelta(days=days))


def refused(found, principal, rules):
    with pytest.raises(RequestError) as caught:
        require_device(found, principal, rules, NOON)
    assert STATUS[caught.value.reason] == 403
    return caught.value.reason


def test_a_new_device_comes_in_where_new_ones_are_let_in():
    assert require_device(known(), a_principal(), ALLOW, NOON) == a_principal()


def test_a_new_device_waits_where_new_ones_wait_the_first_one_too():
    assert refused(known(), a_principal(), WAIT) is Reason.DEVICE_WAITS
    assert refused(with_state(State.WAITING), a_principal(), WAIT) is Reason.DEVICE_WAITS


def test_a_device_that_came_before_waits_for_nobody():
    assert require_device(with_state(State.KNOWN), a_principal(), WAIT, NOON)


def test_whoever_names_no_device_waits_where_new_ones_wait():
    found = with_state(State.APPROVED)
    assert refused(found, a_principal(device=None), WAIT) is Reason.DEVICE_WAITS
    assert require_device(found, a_principal(device=None), ALLOW, NOON)


def test_a_device_of_the_roster_needs_no_approval():
    principal = a_principal(approved_devices=[PHONE])
    assert require_device(with_state(State.WAITING), principal, WAIT, NOON) == principal


def test_a_refused_device_stays_out_whatever_the_roster_says():
    principal = a_principal(approved_devices=[PHONE])
    for rules in (ALLOW, WAIT, MONTH):
        assert refused(with_state(State.REFUSED), principal, rules) is Reason.DEVICE_REFUSED


@pytest.mark.parametrize(
    ("state", "roster", "is_approved"),
    [
        (State.KNOWN, False, False),
        (State.WAITING, False, False),
        (State.APPROVED, False, True),
        (State.REFUSED, False, False),
        (State.KNOWN, True, True),
        (State.WAITING, True, True),
        (State.REFUSED, True, False),
    ],
)
def test_approved_is_what_somebody_approved_here_or_on_the_roster(state, roster, is_approved):
    principal = a_principal(approved_devices=[PHONE] if roster else [])
    found = approved(with_state(state), principal)
    assert (PHONE in found.approved_devices) is is_approved


def test_another_persons_approval_says_nothing_of_this_device():
    other = known(Record(devices={TABLET: a_device(State.APPROVED)}))
    assert approved(other, a_principal()).approved_devices == frozenset()


# -- idle


def test_nobody_is_idle_unless_days_are_set():
    seen = known(Record(devices={}, seen=1), began=from_milliseconds(0))
    assert not is_idle(seen, a_principal(), ALLOW, NOON)


def test_idle_begins_after_so_many_days_and_not_with_them():
    at = Record(devices={}, seen=to_milliseconds(ago(30)))
    before = Record(devices={}, seen=to_milliseconds(ago(30)) - 1)
    assert not is_idle(known(at), a_principal(), MONTH, NOON)
    assert is_idle(known(before), a_principal(), MONTH, NOON)
    assert refused(known(before), a_principal(), MONTH) is Reason.IDLE


def test_whoever_never_came_is_counted_from_when_the_list_began():
    assert not is_idle(known(began=ago(29)), a_principal(), MONTH, NOON)
    assert is_idle(known(began=ago(31)), a_principal(), MONTH, NOON)


def test_a_new_colleague_is_counted_from_their_first_day():
    joined = ago(10).date()
    assert not is_idle(known(began=ago(400)), a_principal(joined=joined), MONTH, NOON)


def test_when_the_list_began_does_not_help_somebody_who_was_seen_before_that():
    old = Record(devices={}, seen=to_milliseconds(ago(60)))
    assert is_idle(known(old, began=ago(1)), a_principal(), MONTH, NOON)


def test_a_refused_device_is_told_so_before_idleness_and_idleness_before_waiting():
    long_ago = to_milliseconds(ago(60))
    out = known(Record(devices={PHONE: a_device(State.REFUSED)}, seen=long_ago))
    waits = known(Record(devices={PHONE: a_device(State.WAITING)}, seen=long_ago))
    both = DeviceRules(wait=True, idle=timedelta(days=30))
    assert refused(out, a_principal(), both) is Reason.DEVICE_REFUSED
    assert refused(waits, a_principal(), both) is Reason.IDLE


# -- acts


def test_the_same_said_again_leaves_who_said_it_first():
    once = said_of(Record(devices={PHONE: a_device()}), PHONE, State.REFUSED, NOON, HANA)
    later = instant(NOON + timedelta(hours=1))
    assert said_of(once, PHONE, State.REFUSED, later, None) == once
    after = said_of(once, PHONE, State.APPROVED, later, None).devices[PHONE]
    assert (after.state, after.by, after.said) == (State.APPROVED, None, to_milliseconds(later))


def test_what_is_not_there_cannot_be_spoken_of():
    for act in (
        lambda: said_of(NOTHING, PHONE, State.APPROVED, NOON, None),
        lambda: labelled(NOTHING, PHONE, "x"),
        lambda: forgotten(NOTHING, PHONE),
    ):
        with pytest.raises(KeyError):
            act()


@pytest.mark.parametrize("typed", ["", "   ", "a\x1b[31m", "x\u202ey", "line\nline", "x" * 41])
def test_a_name_for_a_device_is_a_few_printable_characters(typed):
    with pytest.raises(ValueError, match="printable"):
        read_label(typed)


def test_a_name_is_kept_as_it_is_read():
    record = labelled(Record(devices={PHONE: a_device()}), PHONE, read_label("  ゆきの iPad "))
    assert record.devices[PHONE].label == "ゆきの iPad"
    assert parse_record(render_record(record)) == record


# -- documents


def test_the_largest_document_fits_the_store():
    spans = tuple(Span(place=f"{n:08x}", first=NOW, last=NOW + n) for n in range(MAX_PLACES))
    devices = {
        f"{n:02}".ljust(64, "d"): Device(
            first=NOW,
            last=NOW,
            state=State.APPROVED,
            app="a" * 63,
            label="\N{GRINNING FACE}" * MAX_LABEL,
            by="staff:" + "b" * 63,
            said=NOW,
            spans=spans,
            shared=NOW,
        )
        for n in range(MAX_DEVICES)
    }
    data = render_record(Record(devices=devices, seen=NOW, reactivated=NOW))
    assert len(data) <= MAX_DOCUMENT_BYTES
    assert parse_record(data).devices == devices


GOOD = render_record(Record(devices={PHONE: a_device(State.APPROVED, by=HANA)}, seen=NOW))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"approved"', b'"blessed"'),
        (b'"approved"', b'"known"'),  # said, though nobody says such a thing
        (b'"staff:hana"', b'"hana"'),
        (b'"phone-1"', b'"phone 1"'),
        (b'"seen":', b'"Seen":'),
        (b'"seen":1', b'"seen":-1'),
        (b'"seen":1', b'"seen":"1"'),
        (b'{"devices"', b' {"devices"'),
        (b'"first":', b'"first":99'),
        (b'{"devices"', b'{"devices":{},"devices"'),
    ],
)
def test_what_is_not_exactly_a_record_is_an_error_and_never_nothing(old, new):
    assert old in GOOD
    with pytest.raises(StateUnavailableError):
        parse_record(GOOD.replace(old, new, 1))
    for data in (b"", b"null", b"{}", b"[" * 5000, GOOD + b" ", GOOD[:-1], b"\xff"):
        with pytest.raises(StateUnavailableError):
            parse_record(data)


def test_a_seventeenth_device_makes_it_no_record():
    many = {f"d{n}": msgspec.structs.asdict(a_device()) for n in range(MAX_DEVICES + 1)}
    with pytest.raises(StateUnavailableError):
        parse_record(msgspec.json.encode({"devices": many}))
