"""`make bench` runs and prints what it promises. How long anything took is nobody's claim here."""

import re

import pytest

from tests.bench import __main__ as bench
from tests.bench import policies

PROMISED = {
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
def page():
    return "\n".join(bench.parts(quick=True))


def first_cells(page):
    """Section → the first cell of each of its rows, without the head of the table."""
    parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    return {
        title: [line.split("|")[1].strip() for line in text.splitlines() if line[:2] == "| "][1:]
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_a_quick_run_prints_every_row_it_promises(page):
    assert first_cells(page) == PROMISED | {"Not measured yet": []}


def test_every_row_has_a_figure_in_every_column(page):
    for line in page.splitlines():
        if line.startswith("| "):
            assert all(cell.strip() for cell in line.strip("|").split("|")), line


def test_the_page_says_on_which_machine_and_when(page):
    assert re.search(r"Measured on \d{4}-\d\d-\d\d at \d\d:\d\d UTC: .+ cores, .+Python \d", page)


def test_a_quick_run_writes_no_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "PAGE", tmp_path / "benchmarks.md")
    bench.main(["--quick"])
    assert "## One decision" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rows", [10, 11, 1000, 20_000])
def test_a_policy_has_so_many_rows_no_two_alike_and_the_same_every_time(rows):
    text = policies.rules_csv(rows)
    written = [line for line in text.splitlines() if line.startswith("p, ")]
    assert len(written) == len(set(written)) == rows
    assert policies.rules_csv(rows) == text
