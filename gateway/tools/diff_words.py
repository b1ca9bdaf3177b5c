"""A difference in sentences: for a terminal, and as Markdown for a pull request.

True here: whatever an owner typed stands in backticks in Markdown, and can end none; every
sentence is one line. A sentence names at most `MAX_NAMES` people; JSON has all of them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.domain.resource import UNMAPPED, Resource
from gateway.domain.ruleref import RuleRef
from gateway.enforcer.index import READ, WRITE
from gateway.tools.diff import OTHER_SALON, UNKNOWN_SALON, Change, Difference, Line

MAX_NAMES = 8
NOTHING = "nothing changes in who can do what"
_SALONS = {UNKNOWN_SALON: "no known salon", OTHER_SALON: "other salons"}

Code = Callable[[str], str]  # how a name is written


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is told of a difference, in the order in which it is told.

    Attributes:
        heading: of each part.
        sentences: at least one in each.
        asides: the last part only explains the others.
    """

    parts: tuple[tuple[str, tuple[str, ...]], ...]
    asides: tuple[str, ...]


def report(difference: Difference, code: Code = str) -> Report:
    """The sentences: what opens first, because that matters most."""
    said = {change: [] for change in Change}  # type: dict[Change, list[str]]
    for line in difference.lines:
        said[line.change].append(sentence(line, difference, code))
    parts = {
        "opens": said[Change.GAINED],
        "closes": said[Change.LOST],
        "also changes": [note.text for note in difference.notes if note.matters],
        "not compared": [
            f"{_names(difference.unsaid, code)}: their rules combine too many conditions"
        ]
        if difference.unsaid
        else [],
    }
    return Report(
        parts=tuple((heading, tuple(found)) for heading, found in parts.items() if found),
        asides=tuple(note.text for note in difference.notes if not note.matters),
    )


def in_text(difference: Difference) -> Iterator[str]:
    """Line by line, for a terminal."""
    told = report(difference)
    if not difference.changes:
        yield NOTHING
    parts = (*told.parts, *([("for information", told.asides)] if told.asides else []))
    for heading, sentences in parts:
        yield f"{heading}:"
        yield from (f"  {text}" for text in sentences)


def in_markdown(difference: Difference, old: str, new: str) -> Iterator[str]:
    """Line by line, for a pull request.

    Args:
        difference: between both.
        old: what to call the old policy.
        new: what to call the new one.
    """
    told = report(difference, in_backticks)
    yield f"### Policy: {in_backticks(old)} → {in_backticks(new)}"
    yield ""
    if not difference.changes:
        yield f"{NOTHING.capitalize()}."
    else:
        counts = (f"{heading} **{len(found)}**" for heading, found in told.parts)
        yield f"{', '.join(counts)}; from {difference.since} on.".capitalize()
    for heading, sentences in told.parts:
        yield from ("", f"#### {heading.capitalize()}", "")
        yield from (f"- {text}" for text in sentences)
    if told.asides:
        yield from ("", "<details><summary>For information</summary>", "")
        yield from (f"- {text}" for text in told.asides)
        yield from ("", "</details>")


def in_backticks(text: str) -> str:
    """A text as Markdown's code, of which nothing it holds can be the end."""
    kept = "".join(char if char.isprintable() and char != "`" else "'" for char in text)
    return f"`{kept}`"


def sentence(line: Line, difference: Difference, code: Code = str) -> str:
    """One line as a sentence without a full stop."""
    what = what_in_words(line, difference.resources[line.resource], code)
    when = _when(line, code)
    by = _places(line.by, code)
    if line.change is Change.GAINED:
        return f"{_more(line, difference, code)} can {what}{when}, by {by}"
    who = _counted(line.people, code)
    stopped = f"; denied now by {_places(line.stopped, code)}" if line.stopped else ""
    return f"{who} can no longer {what}{when} (allowed before by {by}{stopped})"


def _more(line: Line, difference: Difference, code: Code) -> str:
    if len(line.people) > 1 and difference.roster == {*line.people}:
        return f"everyone ({len(line.people)} people)"
    count = len(line.people)
    return f"{count} more {_noun(count)} ({_names(line.people, code)})"


def _counted(people: Sequence[str], code: Code) -> str:
    return f"{len(people)} {_noun(len(people))} ({_names(people, code)})"


def _noun(count: int) -> str:
    return "person" if count == 1 else "people"


def _names(people: Sequence[str], code: Code) -> str:
    names = [code(staff.removeprefix("staff:")) for staff in people]
    if len(names) > MAX_NAMES:
        names = [*names[: MAX_NAMES - 1], f"and {len(names) - MAX_NAMES + 1} more"]
    return ", ".join(names)


def what_in_words(line: Line, resource: Resource, code: Code = str) -> str:
    """`list and export client`, `read and write client.contact`."""
    parts = []
    if line.actions:
        parts.append(f"{_and(line.actions)} {code(line.resource)}")
    of_fields = {READ: line.read, WRITE: line.write}
    if line.read and line.read == line.write:
        parts.append(f"{READ} and {WRITE} {_and(list(_targets(line.read, resource, code)))}")
    else:
        parts += [
            f"{action} {_and(list(_targets(targets, resource, code)))}"
            for action, targets in of_fields.items()
            if targets
        ]
    return "; ".join(parts)


def _targets(targets: Sequence[str], resource: Resource, code: Code) -> Iterator[str]:
    """Fields in words: all of a class as the class, the others one by one."""
    left = dict.fromkeys(targets)
    declared = {name: resource.target(name) for name in resource.fields}
    if {*left} >= {*declared.values(), resource.target(UNMAPPED)}:
        yield f"every field of {code(resource.name)}"
        return
    for field_class in [None, *sorted(resource.classes - {UNMAPPED})]:
        members = [
            declared[field.name]
            for field in resource.fields.values()
            if field.field_class == field_class
        ]
        if len(members) > 1 and left.keys() >= {*members}:
            for member in members:
                del left[member]
            whole = f"{resource.name}.{field_class}"
            yield (
                code(whole) if field_class else f"the fields of {code(resource.name)} in no class"
            )
    yield from map(code, left)


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _when(line: Line, code: Code) -> str:
    when, parts = line.when, []
    if when.given:
        parts.append(f" when {' & '.join(map(code, when.given))}")
    if when.inside:
        parts.append(", inside another record")
    if when.salons:
        named = [_SALONS.get(salon) or code(salon) for salon in when.salons]
        parts.append(f", in records of {_and(named)}")
    for salon, hours in when.hours:
        said = line.weeks[0] if hours.week and len(line.weeks) == 1 else hours
        parts.append(f", {said}" + (f" in {code(salon)}" if salon else ""))
    if when.dates:
        parts.append(f", {when.dates}")
    return "".join(parts)


def _places(refs: Iterable[RuleRef], code: Code) -> str:
    return ", ".join(code(str(ref)) for ref in refs)
