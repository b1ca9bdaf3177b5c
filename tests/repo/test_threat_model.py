"""docs/threat-model.md: every class has a rule, a place in the code and a test that is there."""

import re

import pytest

from tests.repo.checkout import ROOT, rows, text

PAGE = "docs/threat-model.md"
CLASSES = [(first, cells) for first, cells in rows(PAGE) if len(cells) == 3 and first != "class"]
SHOWN = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
# What a reader looks for first; each is in the first column, perhaps among other words.
EXPECTED = (
    "smuggling", "paths", "headers", "tokens", "encodings", "content-type lies", "bombs",
    "slow clients", "caches", "conditional", "oracle queries", "aliases", "duplicate keys",
    "streams", "websockets", "csrf", "sockets of another site", "replay of writes", "trail",
    "policy files", "state store", "sign-in", "second factor", "learned sessions", "devices",
    "leaving", "lockdown", "break-glass", "console", "workers", "redis", "other issuers",
)  # fmt: skip


def test_the_page_has_its_table():
    assert len(CLASSES) > 40
    assert len({first for first, _ in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("wanted", EXPECTED)
def test_a_class_that_a_reader_looks_for_is_there(wanted):
    assert any(wanted in first.lower() for first, _ in CLASSES)


@pytest.mark.parametrize(("name", "cells"), CLASSES, ids=[first for first, _ in CLASSES])
def test_a_class_is_answered_in_code_that_exists_and_shown_by_tests_that_do(name, cells):
    rule, where, shown = cells
    assert rule.strip()
    places = re.findall(r"`([\w/]+(?:\.py|/))`", where)
    assert places, name
    for place in places:
        assert (ROOT / "gateway" / place).exists(), place
    tests = SHOWN.findall(shown)
    assert tests, name
    assert SHOWN.sub("", shown).strip(" ,") == ""  # nothing there but names of tests
    for file, test in tests:
        assert re.search(rf"^(async )?def {test}\(", text(file), re.MULTILINE), f"{file}::{test}"


def test_what_stays_open_is_said():
    stays = text(PAGE).partition("## What stays open")[2].lower()
    for word in (
        "timing", "page gaps", "ranking", "json inside strings", "row tables", "service worker",
        "answer_timeout", "worker that hangs", "withdrawn key", "crm's own session",
    ):  # fmt: skip
        assert word in stays, word
