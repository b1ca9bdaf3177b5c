"""A lockdown: at the door, behind it and while it flows, nobody but the owners passes."""

import pytest

from gateway.domain.http import Answer
from gateway.domain.reason import Reason
from gateway.domain.subject import Role
from gateway.identity.incident import begun, ended, settled
from tests.unit.test_pipeline import Salon

CARD = "/api/clients/7"


def closed(salon):
    now = salon.clock.moment
    return begun(None, now, "staff:hana", reason="a lost laptop", contact="call Hana")


@pytest.fixture
def salon():
    return Salon()


@pytest.mark.parametrize("target", [CARD, "/api/clients", "/assets/logo.png"])
async def test_whoever_is_no_owner_is_refused_on_every_route_and_reads_whom_to_call(salon, target):
    salon.lockdown.incident = closed(salon)
    for who in ("mei", "ken"):
        refusal = await salon.ask("GET", target, who)
        assert (refusal.reason, refusal.detail, salon.crm.sent) == (
            Reason.INCIDENT,
            "call Hana",
            [],
        )
    entries = [(entry.reason, entry.status) for entry in salon.trail.entries]
    assert entries == [(Reason.INCIDENT, 403)] * 2


async def test_whoever_is_logged_out_by_it_reads_that_rather_than_to_sign_in(salon):
    salon.lockdown.incident = closed(salon)
    await salon.epochs.revoke("staff:mei", None, salon.clock.moment)
    assert (await salon.ask("GET", CARD)).reason is Reason.INCIDENT


async def test_those_who_are_named_as_owners_pass(salon):
    salon.lockdown.incident = closed(salon)
    object.__setattr__(salon.pipeline, "owners", frozenset({Role("role:manager")}))
    assert isinstance(await salon.ask("GET", CARD, "ken"), Answer)
    assert (await salon.ask("GET", CARD)).reason is Reason.INCIDENT


async def test_after_the_end_everybody_passes_again(salon):
    salon.lockdown.incident = ended(settled(closed(salon), 1, 0), salon.clock.moment, None)
    assert isinstance(await salon.ask("GET", CARD), Answer)


async def test_a_state_that_cannot_tell_refuses(salon):
    salon.lockdown.away = True
    assert (await salon.ask("GET", CARD)).reason is Reason.STATE_UNAVAILABLE


async def test_what_the_crm_answers_after_the_start_does_not_go_out(salon):
    asked = salon.crm.send

    async def send(*given, **more):
        answer = await asked(*given, **more)
        salon.lockdown.incident = closed(salon)
        return answer

    salon.crm.send = send
    assert (await salon.ask("GET", CARD)).reason is Reason.INCIDENT
