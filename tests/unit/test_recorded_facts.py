"""What an entry keeps so that another policy can be asked about the request."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from gateway.domain.reason import Cause, Reason
from gateway.domain.record import RecordFact, RecordNote, RecordState, parse_comparison
from gateway.domain.subject import DeviceId, Role, staff_id
from gateway.identity.claims import ClaimNames, TokenPolicy, issue
from gateway.identity.keys import secret_table
from tests.unit.test_pipeline import SECRET
from tests.unit.test_records import (
    DORMANT,
    MINE,
    OTHERS,
    RULES,
    SILENT,
    WITH_SALONS,
    WITHOUT_LOOKUP,
    Guarded,
)
from tests.unit.tools.test_replay import policy


def noted(salon):
    entry = salon.trail.entries[-1]
    return entry.record_salon, entry.record_facts


def fact(name):
    field, comparison = parse_comparison("visits is 1")
    return RecordFact(name=name, field=field, comparison=comparison)


@pytest.mark.parametrize(
    ("state", "salons", "note"),
    [
        (RecordState("aoyama", 0b01, 0b10), True, RecordNote("aoyama", ("a", "!b"))),
        (RecordState(None, 0b00, 0b01), True, RecordNote("?", ("!a", "?b"))),
        (RecordState(None, 0b11, 0b00), False, RecordNote(None, ("a", "b"))),
    ],
)
def test_a_note_names_every_fact_so_that_what_is_missing_was_not_looked_at(state, salons, note):
    assert state.note((fact("a"), fact("b")), salons=salons) == note


@pytest.mark.parametrize(
    ("record", "who", "facts"),
    [
        (MINE, "mei", ("own_client", "!dormant")),
        (OTHERS, "mei", ("!own_client", "!dormant")),
        (SILENT, "ken", ("?own_client", "?dormant")),
    ],
)
async def test_a_read_of_one_record_notes_everything_that_it_tells(record, who, facts):
    salon = Guarded(record, bundle=WITH_SALONS)
    await salon.ask("GET", f"/clients/{record['id']}", who)
    assert noted(salon) == (record.get("salon", "?"), facts)


async def test_also_of_a_record_that_may_not_be_seen():
    salon = Guarded(DORMANT)
    refused = await salon.ask("GET", "/clients/9", "yuki")
    assert refused.reason is Reason.NO_SUCH_RECORD
    assert noted(salon) == (None, ("!own_client", "dormant"))
    salon = Guarded(OTHERS)
    await salon.ask("DELETE", "/clients/8", "mei")
    assert salon.trail.entries[-1].cause is Cause.RECORD_REFUSED
    assert noted(salon) == (None, ("!own_client", "!dormant"))


async def test_and_of_a_record_that_may_not_be_made():
    salon = Guarded()
    refused = await salon.ask("POST", "/clients", "mei", body={"name": "x", "stylist_id": 18})
    assert refused.reason is not Reason.RULE_ALLOWS
    assert noted(salon) == (None, ("!own_client", "?dormant"))


async def test_of_a_list_or_of_several_records_nothing_is_noted():
    salon = Guarded(MINE, OTHERS)
    salon.crm.answers["/clients"] = (200, {"data": [MINE]})
    await salon.ask("GET", "/clients", "mei")
    assert noted(salon) == (None, ())
    await salon.ask("POST", "/clients/delete", "mei", body={"ids": ["7", "8"]})
    assert noted(salon) == (None, ())


async def test_a_change_is_noted_as_the_record_was_before_it():
    salon = Guarded(MINE)
    calls = iter([(200, MINE), (200, MINE | {"stylist_id": 18})])
    salon.crm.found = lambda _: next(calls)
    await salon.ask("PATCH", "/clients/7", "mei", body={"name": "y"})
    intent, done = salon.trail.entries
    assert intent.record_facts == done.record_facts == ("own_client", "!dormant")
    assert "phone" in done.hidden  # of what it has become


async def test_the_names_of_the_fields_that_a_body_sends_stand_in_it_never_their_values():
    salon = Guarded(MINE, bundle=WITHOUT_LOOKUP)
    await salon.ask("PATCH", "/clients/7", "ken", body={"phone": "070-0000-0099", "odd": 1})
    (*_, entry) = salon.trail.entries
    assert entry.sent == ("phone", "unmapped")
    assert "0099" not in repr(entry)


class Narrowing(Guarded):
    """Tokens that may narrow."""

    def __init__(self, *records, proxies=()):
        super().__init__(*records)
        doorway = replace(
            self.pipeline.doorway,
            tokens=TokenPolicy(
                issuer="i", audience="a", keys=secret_table(SECRET), names=ClaimNames(roles="r")
            ),
            trusted_proxies=proxies,
        )
        self.pipeline = replace(self.pipeline, doorway=doorway)

    async def token_for(self, who, roles):
        now = self.clock.moment
        return issue(
            key=SECRET, algorithm="HS256", kid="default", issuer="i", audience="a",
            names=ClaimNames(roles="r"), staff=staff_id(who), device=DeviceId("d"), roles=roles,
            epoch=await self.epochs.enrol(staff_id(who), DeviceId("d"), now), now=now,
            lifetime_seconds=60, app=None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("claimed", "kept"),
    [
        (None, ()),
        ({"role:reception"}, ("role:reception",)),
        (set(), ("role:-",)),  # an empty list would not be seen in a line
    ],
)
async def test_the_roles_that_a_token_claims_are_kept(claimed, kept):
    salon = Narrowing(MINE)
    roles = None if claimed is None else frozenset(map(Role, claimed))
    token = await salon.token_for("ken", roles)
    await salon.ask("GET", "/clients/7", "ken", token=token)
    assert salon.trail.entries[-1].narrowed_to == kept


async def test_a_proxy_that_does_not_say_for_whom_it_asks_is_told_from_a_person():
    salon = Narrowing(MINE, proxies=(ip_network("192.0.2.0/24"),))
    token = await salon.token_for("ken", None)
    await salon.ask("GET", "/clients/7", token=token)
    assert (salon.trail.entries[-1].peer, salon.trail.entries[-1].unplaced) == ("192.0.2.7", True)
    await salon.ask(
        "GET", "/clients/7", token=token, headers=(("X-Forwarded-For", "198.51.100.9"),)
    )
    assert (salon.trail.entries[-1].peer, salon.trail.entries[-1].unplaced) == (
        "198.51.100.9",
        False,
    )


async def test_also_what_no_rule_of_today_asks_is_noted():
    rules = "".join(row for row in RULES.splitlines(keepends=True) if "dormant" not in row)
    for method, body in (("GET", None), ("PATCH", {"name": "x"})):
        salon = Guarded(MINE, bundle=policy(rules))
        await salon.ask(method, "/clients/7", "mei", body=body)
        assert noted(salon) == (None, ("own_client", "!dormant"))
