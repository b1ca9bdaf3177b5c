"""No input that is kept breaks a promise, nor do a few hundred changed ones.

What once broke one lies in corpus/<harness>/ and is tried here for ever. The long search is
`make fuzz`.
"""

import re
from itertools import islice
from random import Random

import pytest

from tests.fuzz.blind import changed
from tests.fuzz.harnesses import CORPUS, HERE, inputs, load, max_bytes, names, promise, words

# Of one harness; the slow ones read YAML or run an event loop at each.
CHANGED = {"adapter": 12, "websocket": 60, "documents": 60, "judged": 150, "hours": 100}
USUALLY = 300


@pytest.mark.parametrize("name", names())
def test_kept_inputs_break_no_promise(name):
    harness = load(name)
    assert promise(harness).endswith(".")
    for data in inputs(name, harness):
        harness.check(data)


@pytest.mark.parametrize("name", names())
def test_changed_inputs_break_no_promise(name):
    harness = load(name)
    dice = Random(name)  # noqa: S311  # the same inputs every time
    source = changed(inputs(name, harness), words(harness), max_bytes(harness), dice)
    for data in islice(source, CHANGED.get(name, USUALLY)):
        harness.check(data)


def test_every_harness_is_in_the_docs_and_no_other():
    page = (HERE.parents[1] / "docs" / "testing.md").read_text(encoding="utf-8")
    table = page.partition("| harness | promise |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == names()


def test_every_kept_input_belongs_to_a_harness():
    assert {folder.name for folder in CORPUS.iterdir()} <= set(names())
