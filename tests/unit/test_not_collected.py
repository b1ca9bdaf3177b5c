"""What a salon must not collect is refused by a rule, whoever sends it."""

import pytest

from gateway.domain.http import Answer
from gateway.domain.reason import Reason
from tests.unit.test_pipeline import Salon
from tests.unit.test_pipeline_streams import rules

# Managers may do everything (`*`); a deny always wins.
POLICY = rules("p, role:anyone, client.health, write, , deny")


class Careful(Salon):
    def current(self):
        return POLICY


@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/api/clients"), ("PATCH", "/api/clients/7")]
)
async def test_a_field_that_may_not_be_collected_is_refused_before_the_crm_hears_of_it(
    method, target
):
    salon = Careful()
    refused = await salon.ask(method, target, "ken", body={"name": "Aoi", "notes": "allergic"})
    assert refused.reason is Reason.FIELD_NOT_WRITABLE
    assert "`notes`" in refused.detail
    assert salon.crm.sent == []
    (entry,) = salon.trail.entries
    assert entry.sent == ("name", "notes")
    assert isinstance(await salon.ask(method, target, "ken", body={"name": "Aoi"}), Answer)


async def test_what_is_there_already_may_still_be_read():
    salon = Careful()
    salon.crm.says(200, b'{"id": 7, "notes": "allergic"}')
    assert b"allergic" in (await salon.ask("GET", "/api/clients/7", "ken")).body
