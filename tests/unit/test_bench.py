"""`make bench` runs and prints what it promises. How long anything took is nobody's claim here."""

import re
import sys
import xml.etree.ElementTree as ET
from contextlib import redirect_stdout
from io import StringIO

import pytest

from tests.bench import __main__ as bench
from tests.bench import policies
from tests.bench.beside import CUT, OURS, PASSED, Compared
from tests.bench.contestants import peers
from tests.bench.growing import Passing
from tests.bench.load import LoadError, load, request_text
from tests.bench.measure import Timing
from tests.bench.picture import picture
from tests.bench.processes import speaking
from tests.bench.targets import TARGETS, targets_section
from tests.bench.templates import PEERS
from tests.bench.wire import Asked, WrongAnswerError, check

PROMISED = {
    "What was to be reached, and what was": [
        *(target.what for target in TARGETS),
        "a file of 1 GB, against a bare aiohttp proxy",
        "memory that a file of 1 GB takes",
        "the loop stands still for a body of 5 MB",
    ],
    "Whole processes, side by side": ["aiohttp", *OURS],
    "Who was there": ["aiohttp"],
    "A file of 16 MiB": ["aiohttp", "**ours: `pass`**"],
    "How long the loop stands still": ["1 KB, cut", "100 KB, cut", "5 MB, cut", "8 MB, cut"],
    "Growth over rules": ["10"],
    "Growth over people": ["10"],
    "Growth over the size of the answer": [
        "682 bytes, 1 records",
        "10,230 bytes, 15 records",
        "102,300 bytes, 150 records",
        "1,023,000 bytes, 1,500 records",
        "5,115,000 bytes, 7,500 records",
    ],
    "Growth over connections": ["1", "16"],
    "One decision": ["10", "100"],
    "Loading a policy": ["10", "100"],
    "One record against a permit": [
        "one fact: `own_client`",
        "two facts: `own_client`, `regular`",
        "one of them in a member of a member: `own_client`, `consented`",
        "one of them a date, nearly every record's another: `own_client`, `dormant`",
    ],
    "A list of 150 records in 100 KB": [
        "four fields hidden",
        "four fields hidden, and a test of each record",
        "four fields hidden, two objects inside each record",
        "objects inside, and a test of each record",
        "for scale, Python's `json`: parse, delete four, write",
    ],
    "One request through the pipeline": [
        "1 KB, not guarded: a `pass` route",
        "1 KB client, four fields hidden",
        "1 KB client, with a record test",
        "100 KB list, four fields hidden",
        "100 KB list, with record tests",
    ],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One quick run beside a plain aiohttp proxy: what it printed, and where it may write."""
    folder = tmp_path_factory.mktemp("docs")
    printed = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setattr(bench, "PAGE", folder / "benchmarks.md")
        patch.setattr(bench, "PICTURE", folder / "benchmarks.svg")
        bench.main(["--quick", "--peers", "aiohttp"])
    return printed.getvalue(), folder


@pytest.fixture
def page(run):
    return run[0]


def first_cells(page):
    """Section → the first cell of each of its rows, without the head of the table."""
    parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    return {
        title: [line.split("|")[1].strip() for line in text.splitlines() if line[:2] == "| "][1:]
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_a_quick_run_prints_every_row_it_promises(page):
    assert first_cells(page) == PROMISED


def test_every_row_has_a_figure_in_every_column(page):
    for line in page.splitlines():
        if line.startswith("| "):
            assert all(cell.strip() for cell in line.strip("|").split("|")), line


def test_the_page_says_on_which_machine_and_when(page):
    assert re.search(r"Measured on \d{4}-\d\d-\d\d at \d\d:\d\d UTC: .+ cores, .+Python \d", page)


def test_a_quick_run_writes_no_page(run):
    assert not list(run[1].iterdir())


def test_the_peers_have_names_of_their_own_and_who_is_missing_can_be_had():
    everybody = peers()
    assert len({peer.name for peer in everybody}) == len(everybody)
    assert all(peer.install for peer in everybody if peer.version is None)


@pytest.fixture
def an_upstream(tmp_path):
    """A server that says `[1, 2, 3]` to `/list`, and how often one likes."""
    (tmp_path / "list").write_bytes(b"[1, 2, 3]")
    (tmp_path / "targets.json").write_text('{"/list": "list"}', encoding="utf-8")
    words = [sys.executable, str(PEERS / "lean_upstream.py"), str(tmp_path)]
    with speaking(words, tmp_path / "log") as running:
        yield running


def test_every_request_of_a_load_is_answered_and_counted(an_upstream):
    with load(an_upstream.port, request_text("/list", "none"), connections=3) as machine:
        assert machine.run(20) == 20 * len(b"[1, 2, 3]")
        assert machine.run(2) == 2 * len(b"[1, 2, 3]")


def test_an_answer_that_is_not_200_stops_the_load(an_upstream):
    request = request_text("/other", "none")
    with (
        load(an_upstream.port, request, connections=2) as machine,
        pytest.raises(LoadError, match="404"),
    ):
        machine.run(2)


@pytest.mark.parametrize(("body", "cut"), [(b"[1, 2]", False), (b"[1, 2, 3] ", False)])
def test_a_server_that_changes_what_it_should_pass_on_is_not_measured(an_upstream, body, cut):
    right = Asked(server=an_upstream, target="/list", body=b"[1, 2, 3]")
    check("one", right)
    with pytest.raises(WrongAnswerError):
        check("one", Asked(server=an_upstream, target="/list", body=body, cut=cut))


def test_a_server_that_cuts_too_little_is_not_measured(tmp_path):
    record = b'{"id": 1, "phone": "070-0000-0001", "email": "", "address": "", "notes": ""}'
    (tmp_path / "one").write_bytes(record)
    (tmp_path / "targets.json").write_text('{"/one": "one"}', encoding="utf-8")
    words = [sys.executable, str(PEERS / "lean_upstream.py"), str(tmp_path)]
    with speaking(words, tmp_path / "log") as running, pytest.raises(WrongAnswerError):
        check("one", Asked(server=running, target="/one", body=record, cut=True))


def compared(**seconds):
    """(name, 1 KB) and (name, 100 KB) at so many seconds a request."""
    return Compared(
        {
            (name, size): Timing((each,), 1)
            for name, each in seconds.items()
            for size in ("1 KB", "100 KB")
        }
    )


FILE = Passing(times=None, grown=2**20)


@pytest.mark.parametrize(
    ("ours", "verdict"), [(34, "both"), (36, "the first, not the next"), (51, "**missed**")]
)
def test_a_target_that_is_missed_is_said_to_be(ours, verdict):
    section = targets_section(compared(**{CUT: ours, PASSED: ours, "aiohttp": 100}), FILE, 0.006)
    by_what = {row[0]: row[-1] for row in section.rows}
    assert by_what["1 KB, cut, against a bare aiohttp proxy"] == verdict
    assert by_what["1 KB, cut, against Caddy passing it on"] == "not measured"
    assert by_what["a file of 1 GB, against a bare aiohttp proxy"] == "not measured"
    assert by_what["memory that a file of 1 GB takes"] == "reached"
    assert by_what["the loop stands still for a body of 5 MB"] == "**missed**"


def test_the_picture_is_true_to_scale_and_says_which_bars_are_cut_off():
    drawn = picture(compared(**{CUT: 2e-3, "aiohttp": 4e-3, "slow": 1.0}), ["aiohttp"], "today")
    root = ET.fromstring(drawn)  # noqa: S314  # drawn by us
    widths = [float(bar.get("width")) for bar in root.findall(".//{*}rect")][1:4]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
    assert widths[2] == pytest.approx(6 * widths[0], abs=0.5)
    assert "1 s, cut off at 6× ours" in drawn


@pytest.mark.parametrize("rows", [10, 11, 1000, 20_000])
def test_a_policy_has_so_many_rows_no_two_alike_and_the_same_every_time(rows):
    text = policies.rules_csv(rows)
    written = [line for line in text.splitlines() if line.startswith("p, ")]
    assert len(written) == len(set(written)) == rows
    assert policies.rules_csv(rows) == text
