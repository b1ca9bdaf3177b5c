"""What every AuditTrail promises, whoever implements it.

The file trail runs it twice: as it is used, and with files so small that every write
begins a new one.
"""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from gateway.audit.entry import Entry, Phase
from gateway.backends.audit_file import FileAuditTrail
from gateway.domain.errors import AuditUnavailableError
from gateway.domain.reason import Reason
from gateway.domain.time import Instant

AT = Instant(datetime(2026, 11, 21, 11, 31, tzinfo=UTC))


class StillClock:
    def now(self):
        return AT

    def monotonic(self):
        return 0.0


class Files:
    """The file trail, and what a fresh reader finds on disk."""

    def __init__(self, directory, **options):
        self._directory = directory
        self._options = options

    async def open(self):
        return await FileAuditTrail.open(self._directory, clock=StillClock(), **self._options)

    def ids(self):
        lines = [
            json.loads(line)
            for path in sorted(self._directory.glob("*.jsonl"))
            for line in path.read_bytes().splitlines()
        ]
        return [line["request_id"] for line in lines if line["kind"] == "entry"]


@pytest.fixture(params=["files", "tiny files"])
def kept(request, tmp_path):
    return Files(tmp_path, max_file_bytes=1 if request.param == "tiny files" else 2**20)


def an_entry(number, **changes):
    values = {
        "request_id": f"r{number}",
        "at": AT,
        "phase": Phase.ANSWER,
        "method": "GET",
        "peer": "192.0.2.1",
        "policy": "p",
        "reason": Reason.RULE_ALLOWS,
    }
    return Entry(**{**values, **changes})


async def test_an_entry_is_there_when_append_returns(kept):
    trail = await kept.open()
    await trail.append(an_entry(1))
    assert kept.ids() == ["r1"]
    await trail.close()


async def test_entries_stand_in_the_order_in_which_they_came(kept):
    trail = await kept.open()
    for number in range(5):
        await trail.append(an_entry(number))
    assert kept.ids() == [f"r{number}" for number in range(5)]
    await trail.close()


async def test_a_thousand_at_once_are_all_there_in_order(kept):
    trail = await kept.open()
    await asyncio.gather(*(trail.append(an_entry(number)) for number in range(1000)))
    assert kept.ids() == [f"r{number}" for number in range(1000)]
    await trail.close()


async def test_both_lines_of_a_write_are_kept(kept):
    trail = await kept.open()
    await trail.append(an_entry(1, phase=Phase.INTENT, reason=None))
    await trail.append(an_entry(1))
    assert kept.ids() == ["r1", "r1"]
    await trail.close()


async def test_what_was_entered_before_is_kept_when_it_is_opened_again(kept):
    for number in range(3):
        trail = await kept.open()
        await trail.append(an_entry(number))
        await trail.close()
    assert kept.ids() == ["r0", "r1", "r2"]


async def test_a_cancelled_caller_takes_nobody_elses_entry_along(kept):
    trail = await kept.open()
    tasks = [asyncio.ensure_future(trail.append(an_entry(number))) for number in range(20)]
    await asyncio.sleep(0)  # all have asked, none has been answered
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await trail.append(an_entry("last"))
    assert results[1::2] == [None] * 10
    assert set(kept.ids()) >= {f"r{number}" for number in range(1, 20, 2)} | {"rlast"}
    await trail.close()


async def test_an_entry_that_cannot_be_written_down_is_refused_alone(kept):
    trail = await kept.open()
    good, bad = trail.append(an_entry(1)), trail.append(an_entry(2, record="x" * 2**20))
    results = await asyncio.gather(good, bad, return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], AuditUnavailableError)
    assert kept.ids() == ["r1"]
    await trail.close()


async def test_check_is_silent_when_an_entry_could_be_written(kept):
    trail = await kept.open()
    await trail.check()
    await trail.close()


async def test_close_waits_for_what_is_under_way(kept):
    trail = await kept.open()
    tasks = [asyncio.ensure_future(trail.append(an_entry(number))) for number in range(50)]
    await asyncio.sleep(0)
    await trail.close()
    await asyncio.gather(*tasks)
    assert len(kept.ids()) == 50


async def test_a_closed_trail_takes_nothing_and_may_be_closed_again(kept):
    trail = await kept.open()
    await trail.close()
    await trail.close()
    with pytest.raises(AuditUnavailableError):
        await trail.append(an_entry(1))
    with pytest.raises(AuditUnavailableError):
        await trail.check()
    assert kept.ids() == []
