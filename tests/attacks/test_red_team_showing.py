"""What an answer tells besides its records: that there is one, or one that was asked for."""

import json

import pytest

from gateway.mapping.hygiene import private_rules
from tests.attacks.red_team_world import card_answer, open_salon
from tests.attacks.test_red_team_wire import FINDING, OWN_ONLY, PHONE


@pytest.mark.parametrize("asked", ["q=09000", f"tel={PHONE}"])
async def test_a_redirect_to_the_only_hit_does_not_tell_that_a_hidden_phone_matches(asked):
    async with open_salon() as salon:
        salon.current = lambda: FINDING
        salon.says = card_answer(
            "Location: /api/clients/7", status="302 Found", body=b"", kind=None
        )
        status, head, _ = await salon.ask("GET", f"/api/clients?{asked}", "yuki")
        assert status == 502
        assert b"location" not in head.lower()


@pytest.mark.parametrize("status", ["409 Conflict", "500 Oops"])
async def test_an_error_to_a_search_shows_no_record_that_hidden_phones_explain(status):
    async with open_salon() as salon:
        card = {"id": 7, "name": "Aoi", "visits": 3}
        salon.says = card_answer(body=json.dumps(card).encode(), status=status)
        assert (await salon.ask("GET", "/api/clients?q=09000", "yuki"))[2] == b""


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "205 Reset Content"])
async def test_an_answer_without_a_record_does_not_tell_that_there_is_one(status):
    async with open_salon() as salon:
        salon.current = lambda: OWN_ONLY
        salon.says = card_answer(status=status, body=b"", length=0 if status[2] != "4" else False)
        assert (await salon.ask("GET", "/api/clients/7", "yuki"))[0] == 404


def test_no_cache_control_of_the_crm_holds_up_the_worker():
    assert private_rules(["a," + " " * 16_000 + "="]) == "no-store"
