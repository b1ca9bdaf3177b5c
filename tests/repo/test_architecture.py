"""docs/ARCHITECTURE.md is a map of what is really there."""

import re

from tests.repo.checkout import ROOT, files, text

PAGE = text("docs/ARCHITECTURE.md")


def test_every_file_of_the_package_is_on_the_map():
    # A package's own line stands for its `__init__.py`.
    there = {name.removeprefix("gateway/") for name in files("gateway") if name.endswith(".py")}
    there = {name for name in there if not name.endswith("__init__.py")}
    code_map = PAGE.partition("## The code map")[2].partition("Beside the package")[0]
    named = set(re.findall(r"`([\w/]+\.py)`", code_map))
    assert named == there


def test_every_package_has_its_heading_on_the_map():
    packages = {name.split("/")[1] for name in files("gateway") if name.count("/") > 1}
    assert set(re.findall(r"^\*\*(\w+)/\*\*", PAGE, re.MULTILINE)) == packages


def test_every_promise_is_shown_by_a_test_that_exists():
    shown = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(shown) > 15
    for file, name in shown:
        assert re.search(rf"^(async )?def {name}\(", text(file), re.MULTILINE), f"{file}::{name}"


def test_every_place_the_page_names_exists():
    for name in re.findall(r"`((?:docs|policies|adapters|dashboards|tests)/[\w/.-]*)`", PAGE):
        assert (ROOT / name).exists(), name


def test_the_layers_of_the_picture_are_those_that_are_enforced():
    contract = text("importlinter.ini").partition("layers =")[2].partition("exhaustive")[0]
    layers = set(re.findall(r"\w+", contract)) - {"__main__"}
    picture = PAGE.partition("## The layers")[2].partition("## The code map")[0]
    assert layers <= set(re.findall(r"\w+", picture))
