"""`replay` foretells what running the same requests under another policy then shows.

The gateway runs in memory. Its entries go through the trail's own lines, and back.
"""

import asyncio
import os
import random
from dataclasses import replace

import pytest

from gateway.audit.chain import GENESIS, parse, render
from gateway.audit.entry import Phase
from gateway.build import SourceFile, Sources, build
from gateway.domain.reason import Cause, Reason
from gateway.tools.recorded import LET_THROUGH, left_out, parse_recorded
from gateway.tools.replay import THERE, Kind, Replayer
from tests.unit.test_pipeline import source
from tests.unit.test_records import (
    ADAPTER,
    DORMANT,
    HOURS,
    MINE,
    NIGHT,
    NOON,
    OTHERS,
    RULES,
    SILENT,
    STAFF,
    Guarded,
)

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
ROWS = [number for number, row in enumerate(RULES.splitlines()) if row.startswith("p")]
ELSEWHERE = MINE | {"id": 11, "salon": "shibuya", "stylist_id": 18}
RECORDS = [MINE, OTHERS, DORMANT, SILENT, ELSEWHERE]
BOOKINGS = [
    {"id": 1, "starts_at": "10:00", "client": MINE},
    {"id": 2, "starts_at": "11:00", "client": OTHERS},
    {"id": 3, "starts_at": "12:00", "client": DORMANT},
    {"id": 4, "starts_at": "13:00", "client": None},
]
BODIES = [{"name": "x"}, {"phone": "070-0000-0001"}, {"last_visit": "2026-01-01"}, {"odd": 1}]


def policy(rules, *, salons, adapter=ADAPTER, hours=HOURS):
    texts = {
        "rules": rules,
        "staff": STAFF,
        "adapter": adapter.replace("SALON", "salon: salon" if salons else ""),
        "hours": hours,
    }
    files = {
        part: SourceFile(name=f"{part}.x", data=text.encode()) for part, text in texts.items()
    }
    return build(Sources(**files, model=source("policies/model.conf"), apps=("backoffice",)))


def without(number):
    lines = RULES.splitlines()
    return "\n".join(lines[:number] + lines[number + 1 :])


def some_requests(dice, count):
    """(who, method, path, body, when): no questions, which the trail does not keep."""
    ids = ["7", "8", "9", "10", "11", "404"]
    for _ in range(count):
        who, at = dice.choice(["mei", "ken", "yuki", "rei"]), dice.choice([NOON, NOON, NIGHT])
        record, body = dice.choice(ids), dice.choice(BODIES)
        yield (
            who,
            *dice.choice(
                [
                    ("GET", "/clients", None),
                    ("GET", f"/clients/{record}", None),
                    ("GET", f"/clients/{record}", None),
                    ("HEAD", f"/clients/{record}", None),
                    ("PATCH", f"/clients/{record}", body),
                    ("PUT", f"/clients/{record}", body),
                    ("DELETE", f"/clients/{record}", None),
                    ("POST", "/clients", body | {"stylist_id": dice.choice([17, 18])}),
                    ("POST", "/clients/delete", {"ids": dice.sample(ids, 2)}),
                    ("POST", "/clients/cleanup", {}),
                    ("POST", f"/clients/{record}/merge", {"duplicate_id": "8"}),
                    ("GET", "/bookings", None),
                    ("GET", f"/bookings/{dice.choice('1235')}", None),
                    ("GET", "/nothing", None),
                ]
            ),
            at,
        )


class World(Guarded):
    """One policy and one CRM that never changes."""

    def __init__(self, bundle):
        super().__init__(*RECORDS, bundle=bundle)
        self.crm.answers["/clients"] = (200, {"data": RECORDS})
        self.crm.answers["/clients/cleanup"] = self.crm.answers["/clients/delete"] = (200, {})
        self.crm.answers["/bookings"] = (200, BOOKINGS)
        for number, booking in enumerate(BOOKINGS, start=1):
            self.crm.answers[f"/bookings/{number}"] = (200, booking)
        self.numbers = iter(range(10**6))
        self.pipeline = replace(self.pipeline, new_request_id=lambda: f"r{next(self.numbers)}")

    async def entry(self, who, method, path, body, at):
        """The answer's entry, as it stands in the trail."""
        self.clock.set(at)
        self.bundle._moments.clear()  # as in a gateway, whose clock goes on
        await self.ask(method, path, who, body=body)
        line, _ = render(self.trail.entries[-1], GENESIS)
        recorded = parse_recorded(parse(line))
        assert self.trail.entries[-1].phase is Phase.ANSWER
        return recorded


async def run(bundle, requests):
    world = World(bundle)
    return [await world.entry(*request) for request in requests]


def missing(entry):
    """Answered 404 because the CRM has no such record, whoever said so."""
    return entry.cause is Cause.RECORD_MISSING or (entry.let_through and entry.status == 404)


def reason(entry):
    return Reason.RULE_ALLOWS if entry.let_through else entry.reason


def check(change, then, now):
    """One foretold change, or none, against what really happened."""
    if missing(then) and missing(now):
        assert change is None or change.unrecorded == (THERE,), change
        return
    if reason(then) is not reason(now):
        assert change is not None, (then, now)
        certain = {
            Kind.REFUSED: then.let_through and not now.let_through,
            Kind.LET_THROUGH: not then.let_through and now.let_through,
            Kind.OTHER_REASON: not then.let_through and not now.let_through,
        }
        assert certain.get(change.kind) or (
            change.kind in {Kind.MAY_REFUSE, Kind.MAY_LET_THROUGH} and change.unrecorded
        ), (change, now)
        if change.kind in certain:
            assert change.reason is reason(now), (change, now)
        return
    assert change is None or change.kind not in {
        Kind.REFUSED,
        Kind.LET_THROUGH,
        Kind.OTHER_REASON,
    }, (change, now)
    if not (then.let_through and now.let_through):
        return
    hides, shows, may_hide, may_show = (
        (set(), set(), set(), set())
        if change is None
        else map(set, (change.hides, change.shows, change.may_hide, change.may_show))
    )
    shown = set(then.shown)
    if then.whole:
        shown, hides = set(), set()  # what was in it nobody knows
    lost = (shown - set(then.hidden)) & set(now.hidden)
    gained = (set(then.hidden) - shown) & set(now.shown)
    assert lost <= hides | may_hide, (change, then, now)
    assert gained <= shows | may_show, (change, then, now)
    if now.refused == then.refused:
        assert not hides & set(now.shown), (change, then, now)
        assert not shows & set(now.hidden), (change, then, now)
        assert hides == shown - set(now.shown) or may_hide, (change, then, now)
    assert now.refused <= then.refused or change.fewer, (change, then, now)
    assert now.refused >= then.refused or change.more, (change, then, now)


@pytest.mark.parametrize("salons", [False, True])
def test_under_the_policy_that_judged_it_nothing_changes(salons):
    bundle = policy(RULES, salons=salons)
    again = Replayer(policy(RULES, salons=salons))
    dice = random.Random(1)  # noqa: S311  # a test's dice
    for then in asyncio.run(run(bundle, list(some_requests(dice, 120 * FUZZ)))):
        assert left_out(then) is not None or again.change(then) is None, again.change(then)


@pytest.mark.parametrize("salons", [False, True])
@pytest.mark.parametrize("number", ROWS)
def test_with_a_row_deleted_exactly_that_changes_which_running_it_changes(number, salons):
    old, new = policy(RULES, salons=salons), policy(without(number), salons=salons)
    dice = random.Random(number)  # noqa: S311  # a test's dice
    requests = list(some_requests(dice, 25 * FUZZ))
    before, after = asyncio.run(run(old, requests)), asyncio.run(run(new, requests))
    for known in ([old], []):
        there, back = Replayer(new, known), Replayer(old, [new] if known else [])
        for then, now in zip(before, after, strict=True):
            if left_out(then) is None and left_out(now) is None:
                check(there.change(then), then, now)
                check(back.change(now), now, then)


def test_a_deleted_row_is_noticed():
    """The test above would hold of a `replay` that always says `may`."""
    old = policy(RULES, salons=False)
    dice = random.Random(7)  # noqa: S311  # a test's dice
    entries = asyncio.run(run(old, list(some_requests(dice, 300))))
    kinds = set()
    for number in ROWS:
        again = Replayer(policy(without(number), salons=False), [old])
        changes = [c for e in entries if left_out(e) is None and (c := again.change(e))]
        kinds |= {change.kind for change in changes}
        for change in changes:
            # Of one record that was looked at, nothing is left open.
            if change.recorded.note is not None and not change.recorded.sent:
                assert change.kind not in {Kind.MAY_REFUSE, Kind.MAY_LET_THROUGH}, change
    assert {Kind.REFUSED, Kind.LET_THROUGH, Kind.OTHER_REASON, Kind.MASK} <= kinds
    assert {entry.reason for entry in entries} >= LET_THROUGH - {Reason.WOULD_DENY}
