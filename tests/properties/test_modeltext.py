"""Our reader of model.conf and Casbin's read alike what ours accepts."""

import os
from itertools import chain

from casbin.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.finding import PolicyError
from gateway.enforcer.modeltext import SECTIONS, parse_model_text

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
PIECES = (
    "r", "m", "p2", "=", " = ", "a, b", "x && y", '"q"', "[", "]", "#", ";", " ", "\t", "\\",
    "\\\\", "\r", "\u3000", "\u00a0", "\ufeff", "\x0b", "名",
)  # fmt: skip
soup = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
blank = st.sampled_from(("", " ", "\t ", "\r"))
values = st.builds(
    lambda a, value, b: f"={a}{value}{b}",
    blank,
    st.sampled_from(
        ("a, b", "x == y", "", "x\\\\\n y", "# c", "[a]", "a &&\t\\\n\tb \\\r\nc", "\\\n=")
    ),
    blank,
)
keys = st.sampled_from(("r", " p", "g\t", "e", "m", "m2", "p2"))
entries = st.lists(st.tuples(keys, values), max_size=2, unique_by=lambda entry: entry[0])
asides = st.sampled_from(("", "", " # comment \\", "; x = y", "\t", "#\u3000名", "\r"))
dirt = st.sampled_from(("  b && \\", "d]", "[", "m = a \\", "m = a \\\n# c", "m = a \\\n\nb"))
sections = st.builds(
    lambda name, a, aside, found: [f"{a}[{name}]{a}", aside, *(k + value for k, value in found)],
    st.sampled_from(SECTIONS),
    blank,
    asides,
    entries,
)
files = st.builds(
    lambda some, at, more: [*(lines := list(chain(*some)))[:at], *more, *lines[at:]],
    st.lists(sections, max_size=3, unique_by=lambda lines: lines[0].strip()),
    st.integers(0, 9),
    st.lists(st.one_of(asides, asides, dirt, soup), max_size=1),
)


@settings(max_examples=1000 * FUZZ, deadline=None)
@given(files, st.sampled_from(("\n", "\n", "\r\n", "\r")))
def test_what_our_reader_accepts_casbin_reads_alike(some, end):
    text = end.join(some)
    try:
        entries = parse_model_text(text, "model.conf")
    except PolicyError:
        return
    theirs = Config.new_config_from_text(text)._data
    ours = {key: entry.value for key, entry in entries.items()}
    assert ours == {(s, key): value for s, found in theirs.items() for key, value in found.items()}


@settings(max_examples=200 * FUZZ, deadline=None)
@given(files)
def test_every_character_of_a_value_is_found_in_the_file(some):
    text = "\n".join(some)
    try:
        entries = parse_model_text(text, "model.conf")
    except PolicyError:
        return
    for entry in entries.values():
        for offset, char in enumerate(entry.value):
            place = entry.at(offset)
            line = text.split("\n")[place.line - 1]
            # A backslash at the end of a line, and blanks before it, stand for one blank.
            assert char == line[place.column - 1] or (
                char == " " and line[place.column - 1] in "\\\t"
            )
