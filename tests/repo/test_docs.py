"""The docs say what the code says: everything is in them, and nothing else is."""

import argparse
import re
import tomllib
from collections import Counter

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gateway.backends.meter import METRICS
from gateway.cli.exits import Exit
from gateway.cli.main import parser
from gateway.domain.reason import ALLOWING, STATUS, Cause, Reason
from gateway.events import Event
from gateway.settings import PREFIX, Settings
from tests.repo.checkout import ROOT, files, pages, rows, text

HEADINGS = {"reason", "cause", "metric", "key", "event", "exit code"}


def first_cells(page, known):
    """The first cells of the tables whose first column holds things of this kind."""
    found, inside = [], False
    for first, others in rows(page):
        if first in HEADINGS:
            inside = first == known
        elif inside:
            found.append((first, others))
    return found


# -- reasons.md


def test_every_reason_is_documented_once_and_no_other():
    documented = [first for first, _ in first_cells("docs/reasons.md", "reason")]
    assert Counter(documented) == Counter(str(reason) for reason in Reason)


def test_a_reason_is_documented_with_its_status():
    for first, (status, *_) in first_cells("docs/reasons.md", "reason"):
        reason = Reason(first)
        assert status == ("the CRM's" if reason in ALLOWING else str(STATUS[reason])), first


def test_a_refusal_says_what_to_do_and_where_to_look():
    for first, cells in first_cells("docs/reasons.md", "reason"):
        if Reason(first) not in ALLOWING:
            assert len(cells) == 4, first
        assert all(cells), first


def test_every_cause_is_documented_once_and_no_other():
    documented = [first for first, _ in first_cells("docs/reasons.md", "cause")]
    assert Counter(documented) == Counter(str(cause) for cause in Cause)


# -- metrics.md


def test_every_metric_is_documented_with_its_kind_and_labels():
    documented = {
        first: (kind, labels)
        for first, (kind, labels, _) in first_cells("docs/metrics.md", "metric")
    }
    assert documented == {
        metric.name: (str(metric.kind), ", ".join(metric.labels)) for metric in METRICS
    }


def test_no_page_names_a_metric_that_does_not_exist():
    known = {metric.name for metric in METRICS}
    for page in pages():
        for name in re.findall(r"\bsalon_gateway_\w*[a-z](?!\w|\.\.\.)", text(page)):
            assert name in known or name == "salon_gateway_total", f"{page}: {name}"


# -- settings.md


def keys(model, prefix=""):
    """Every key of gateway.yaml with its default as the docs write it."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and name != "networks":
            yield from keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", default(field)


def default(field):
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | dict):
        return f"`[{', '.join(map(str, value))}]`" if isinstance(value, tuple) else "`{}`"
    return f"`{value}`"


def test_every_setting_is_documented_with_its_default_and_no_other():
    documented = [(first, cells[0]) for first, cells in first_cells("docs/settings.md", "key")]
    assert Counter(documented) == Counter(keys(Settings))
    assert all(cells[1] for _, cells in first_cells("docs/settings.md", "key"))


def test_no_page_names_a_setting_that_does_not_exist():
    known = {name for name, _ in keys(Settings)}
    groups = {name.partition(".")[0] for name in known if "." in name}
    groups_of_groups = {name.rpartition(".")[0] for name in known}
    pattern = re.compile(rf"`((?:{'|'.join(sorted(groups))})\.[a-z_.]*[a-z_])`")
    for page in pages():
        if page.startswith("docs/adr/") or page == "CHANGELOG.md":
            continue  # they tell what was
        for name in pattern.findall(text(page)):
            if name.endswith(".py"):
                continue  # a file of that name
            assert name in known | groups_of_groups, f"{page}: {name}"


def test_no_page_names_a_variable_that_sets_nothing():
    known = {name for name, _ in keys(Settings)} | {"config"}
    for page in pages():
        for variable in re.findall(rf"\b{PREFIX}([A-Z_]+[A-Z])\b", text(page)):
            name = variable.lower().replace("__", ".")
            assert name in known or name.removesuffix("_file") in known, f"{page}: {variable}"


# -- cli.md


def verbs(words=None, path=()):
    """Every verb with its parser: `session revoke`."""
    words = words or parser()
    inner = [a for a in words._actions if isinstance(a, argparse._SubParsersAction)]
    for action in inner:
        for name, child in action.choices.items():
            yield from verbs(child, (*path, name))
    if not inner:
        yield " ".join(path), words


def options(words):
    """`--long`, or `-x` where there is no long one; without help."""
    found = set()
    for action in words._actions:
        strings = [s for s in action.option_strings if s.startswith("--")]
        found |= set(strings or action.option_strings)
    return found - {"--help"}


def sections():
    """Verb → its section of cli.md."""
    parts = re.split(r"^## (.+)\n", text("docs/cli.md"), flags=re.MULTILINE)
    return parts[0], dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_verb_has_a_section_and_no_other():
    assert sorted(sections()[1]) == sorted(name for name, _ in verbs())


@pytest.mark.parametrize(("verb", "words"), list(verbs()))
def test_every_option_of_a_verb_is_in_its_section_and_no_other(verb, words):
    section = sections()[1][verb]
    usage = section.splitlines()[0]
    assert usage.startswith(f"`salon-gateway {verb}")
    documented = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]*|-[a-z])(?![\w-])", section))
    assert documented - options(parser()) == options(words)
    # Each stands in the usage line, too.
    assert options(words) <= set(re.findall(r"--?[a-z][a-z-]*", usage))


def test_the_options_of_every_verb_are_at_the_top_and_no_other():
    documented = {name for first, _ in rows("docs/cli.md") for name in re.findall(r"--\w+", first)}
    assert documented == options(parser()) | {"--help"}


def test_every_exit_code_is_documented_and_no_other():
    documented = {
        int(first): cells[0].strip("`") for first, cells in first_cells("docs/cli.md", "exit code")
    }
    assert documented == {int(code): code.name for code in Exit}


def test_no_page_names_a_verb_or_option_that_does_not_exist():
    known = dict(verbs())
    said = re.compile(
        r"(?:^ *|`)salon-gateway((?: --config \S+| --output \w+)*) "
        r"([a-z][a-z-]*(?: [a-z][a-z-]*){0,2})([^`\n]*)",
        re.MULTILINE,
    )
    for page in [*pages(), "dashboards/alerts.yml"]:
        for _, words, rest in said.findall(text(page)):
            parts = words.split(" ")
            starts = (" ".join(parts[:count]) for count in range(len(parts), 0, -1))
            verb = next((start for start in starts if start in known), None)
            first = parts[0]
            group = any(name.startswith(f"{first} ") for name in known)
            assert verb or (group and words == first), f"{page}: salon-gateway {words}"
            if verb and page != "docs/cli.md":  # which has tests of its own
                used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest.partition("#")[0]))
                assert used <= options(known[verb]), f"{page}: salon-gateway {words}{rest}"


# -- operations.md


def test_every_log_event_is_documented_and_no_other():
    documented = [first for first, _ in first_cells("docs/operations.md", "event")]
    assert Counter(documented) == Counter(str(event) for event in Event)


# -- the pages themselves


def slug(heading):
    """The anchor that a heading gets."""
    kept = re.sub(r"[^\w\s-]", "", heading.strip().lower())
    return kept.replace(" ", "-")


@pytest.mark.parametrize("page", pages())
def test_every_relative_link_leads_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text(page)):
        if re.match(r"[a-z]+:", target):
            continue
        place = (ROOT / page).parent / target if target else ROOT / page
        assert place.exists(), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", place.read_text("utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page}: {target}#{anchor}"


def records():
    return [page for page in files("docs/adr") if page.endswith(".md")]


def test_decisions_are_numbered_without_a_gap():
    numbers = [int(page.removeprefix("docs/adr/")[:4]) for page in records()]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", records())
def test_a_decision_has_its_parts_and_names_what_it_costs(page):
    lines = text(page).splitlines()
    number = int(page.removeprefix("docs/adr/")[:4])
    assert re.fullmatch(rf"# {number}\. \S.*", lines[0])
    status = r"\d{4}-\d\d-\d\d · (proposed|accepted|superseded by \[?\d+.*)"
    assert re.fullmatch(status, lines[2]), "date · status"
    wanted = ["## Context", "## Decision", "## Consequences"]
    assert [line for line in lines if line.startswith("## ")] == wanted
    consequences = lines[lines.index("## Consequences") :]
    assert any(line.startswith("− ") for line in consequences), "at least one is negative"


def test_every_make_target_that_a_page_names_exists():
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    assert {"demo", "test"} <= set(re.findall(r"^make (\w+)", text("README.md"), re.MULTILINE))
    for page in pages():
        named = re.findall(r"(?:^|`)make ([a-z]+)", text(page), re.MULTILINE)
        assert set(named) <= targets, page


def names(requirements):
    return {re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower() for requirement in requirements}


def test_dependencies_are_documented_with_a_reason_and_no_other():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    to_run, to_build = re.split(r"^## To build", text("docs/dependencies.md"), flags=re.MULTILINE)
    table = re.compile(r"^\| ([a-z][\w, -]*) \| (\S.*) \|$", re.MULTILINE)

    def documented(part):
        cells = [cell for cell, _ in table.findall(part) if cell != "package"]
        return {name for cell in cells for name in cell.split(", ")}

    assert documented(to_run) == names(project["dependencies"])
    extras = [name for extra in project["optional-dependencies"].values() for name in extra]
    assert documented(to_build) == names(extras)
