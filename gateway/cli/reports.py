"""What a verb found, in the two forms that CI servers read: JUnit's XML and GitHub's commands.

True here: nothing that an owner typed can end a command, an attribute or an element early.
Both go to standard output whatever they say, because that is what a job keeps.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path

from gateway.app import base_of, load_settings
from gateway.backends.policy_folder import (
    ASSERTIONS,
    CASES,
    HOURS,
    MODEL,
    OBSERVE,
    RULES,
    STAFF,
)
from gateway.domain.finding import Finding, Place, PolicyError, Severity

EVERY_OUTPUT = ("text", "json", "junit", "github")
USUAL_OUTPUTS = ("text", "json")

Locate = Callable[[str], str]  # a file as findings name it → its path

# What XML 1.0 cannot hold, not even escaped (section 2.2).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Outcome(StrEnum):
    """What became of one check."""

    PASSED = "passed"
    WARNED = "warned"  # worth a look; the job does not fail for it
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of a report.

    Attributes:
        name: what was looked at, in a sentence.
        place: where it stands; None = nowhere in particular.
        details: what is wrong with it.
    """

    name: str
    outcome: Outcome
    place: Place | None = None
    details: str = ""


def of_findings(findings: Iterable[Finding]) -> list[Check]:
    """Each finding as a check that did not pass."""
    outcomes = {Severity.ERROR: Outcome.FAILED, Severity.WARNING: Outcome.WARNED}
    return [
        Check(name=f.message, outcome=outcomes[f.severity], place=f.place, details=f.message)
        for f in findings
    ]


def print_report(output: str, verb: str, checks: Sequence[Check], config: str) -> None:
    """Print checks for a CI server.

    Args:
        output: `junit` or `github`.
        verb: of which the checks are.
        checks: in the order in which they are told.
        config: gateway.yaml, from which the paths of the policy's files follow.
    """
    locate = paths_of(config)
    if output == "junit":
        print(junit(f"salon-gateway {verb}", checks, locate))
    else:
        for line in github(checks, locate):
            print(line)


def paths_of(config: str) -> Locate:
    """Findings name a file as its owner calls it; CI wants its path from where the job runs."""
    known = {Path(config).name: config}
    try:
        settings = load_settings(config)
    except PolicyError:
        return lambda name: known.get(name, name)  # then every finding is about gateway.yaml
    base = base_of(config)
    adapter = base / settings.upstream.adapter
    policies = Path(os.path.relpath(base / settings.policies))
    named = (RULES, MODEL, HOURS, STAFF, ASSERTIONS, OBSERVE)
    known |= {name: str(policies / name) for name in named}
    known[adapter.name] = os.path.relpath(adapter)

    def locate(name: str) -> str:
        return str(policies / name) if name.startswith(f"{CASES}/") else known.get(name, name)

    return locate


def github(checks: Iterable[Check], locate: Locate = str) -> Iterator[str]:
    """Workflow commands: an annotation for whatever did not pass.

    The escapes are those of GitHub's own toolkit (actions/toolkit, core/src/command.ts).
    """
    kinds = {Outcome.FAILED: "error", Outcome.WARNED: "warning"}
    for check in checks:
        if check.outcome is Outcome.PASSED:
            continue
        named = {}
        if check.place is not None:
            named = {
                "file": locate(check.place.file),
                "line": str(check.place.line),
                "col": str(check.place.column),
            }
        said = (
            check.name if check.details in {"", check.name} else f"{check.name}\n{check.details}"
        )
        properties = ",".join(f"{key}={_property(value)}" for key, value in named.items())
        kind = kinds[check.outcome]
        yield f"::{kind} {properties}::{_data(said)}" if named else f"::{kind}::{_data(said)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def junit(suite: str, checks: Sequence[Check], locate: Locate = str) -> str:
    """JUnit's XML, as Jenkins and GitLab read it: one suite, one test case for each check.

    A warning is a test that was skipped: shown, but no failure.
    """
    failures = sum(check.outcome is Outcome.FAILED for check in checks)
    skipped = sum(check.outcome is Outcome.WARNED for check in checks)
    counts = f'tests="{len(checks)}" failures="{failures}" errors="0" skipped="{skipped}"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    lines.append(f'  <testsuite name="{_attribute(suite)}" {counts}>')
    for check in checks:
        lines += _testcase(check, suite, locate)
    return "\n".join((*lines, "  </testsuite>", "</testsuites>"))


def _testcase(check: Check, suite: str, locate: Locate) -> Iterator[str]:
    place = check.place
    file = "" if place is None else locate(place.file)
    where = f' file="{_attribute(file)}" line="{place.line}"' if place else ""
    head = (
        f'<testcase classname="{_attribute(file or suite)}" name="{_attribute(check.name)}"{where}'
    )
    if check.outcome is Outcome.PASSED:
        yield f"    {head}/>"
        return
    yield f"    {head}>"
    said = check.details or check.name
    first = _attribute(said.splitlines()[0])
    if check.outcome is Outcome.FAILED:
        at = f"{place}: " if place else ""
        yield f'      <failure message="{first}">{_xml(at + said)}</failure>'
    else:
        yield f'      <skipped message="{first}"/>'
    yield "    </testcase>"


def _xml(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text), quote=True)


def _attribute(text: str) -> str:
    # A reader turns line breaks inside an attribute into blanks unless they are escaped.
    return _xml(text).replace("\r", "&#13;").replace("\n", "&#10;").replace("\t", "&#9;")
