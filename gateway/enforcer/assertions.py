"""assertions.yaml: what must never be possible, read strictly.

`never: [role:stylist read client.contact.email]` holds if the deny with the same who, resource,
action and conditions would take nothing from the answer to that question. So a condition that
is not known counts as met, exactly as in a deny.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator

from gateway.domain.finding import Finding, Place, PolicyError, did_you_mean
from gateway.domain.resource import Vocabulary
from gateway.domain.subject import ANYONE
from gateway.enforcer.circumstances import Question
from gateway.enforcer.hours import quoted
from gateway.enforcer.index import READ, WRITE
from gateway.enforcer.rules import Words
from gateway.enforcer.when import Condition, ConditionError, parse_condition
from gateway.texts.yamltext import Document, Strict, validate

FORM = "`WHO ACTION TARGET`, perhaps with `when CONDITIONS` behind it"
LINE = r"\S+\s+\S+\s+\S+(\s+when\s+\S.*)?"  # as a pattern that editors read alike
_LINE = re.compile(LINE)
MAX_ASSERTIONS = 1000  # each is proved at every load


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """Something that must never be possible.

    Attributes:
        who: `role:...`, `role:anyone` or `staff:...`.
        target: a card, a class or a field.
        text: as the owner wrote it.
        place: where.
    """

    who: str
    action: str
    target: str
    condition: Condition
    text: str
    place: Place


def read_line(typed: object) -> str:
    """One line, by its form.

    Raises:
        ValueError: the sentence the owner will see.
    """
    text = typed if isinstance(typed, str) else ""
    if not _LINE.fullmatch(text):
        raise ValueError(f"{quoted(typed)} is not understood; write {FORM}")
    return text


def _some_lines(value: object) -> object:
    if value == "":
        return []
    if not isinstance(value, list):
        raise ValueError("write a list, like `- role:stylist export client`")  # noqa: TRY004  # pydantic collects ValueErrors
    return value


class AssertionsFile(Strict):
    """assertions.yaml, whole."""

    never: Annotated[
        list[Annotated[str, PlainValidator(read_line)]], BeforeValidator(_some_lines)
    ] = Field(default_factory=list)


def parse_assertions(document: Document, words: Words) -> tuple[Assertion, ...]:
    """Read assertions.yaml.

    Raises:
        PolicyError: everything wrong with it.
    """
    file = validate(document, AssertionsFile)
    findings: list[Finding] = []
    read: dict[str, Assertion] = {}
    if len(file.never) > MAX_ASSERTIONS:
        findings.append(document.finding(f"more than {MAX_ASSERTIONS} assertions", "never"))
    for index, text in enumerate(file.never):
        place = document.place("never", index)
        if text in read:
            line = read[text].place.line
            findings.append(Finding(place, f"the same stands in line {line}; delete one"))
            continue
        try:
            read[text] = parse_assertion(text, words, place)
        except ValueError as error:
            findings.append(Finding(place, str(error)))
    if findings:
        raise PolicyError(findings)
    return tuple(read.values())


def parse_assertion(text: str, words: Words, place: Place) -> Assertion:
    """Read one line.

    Raises:
        ValueError: it is not of the form, or names what does not exist.
    """
    who, action, target, *rest = read_line(text).split(None, 3)
    _check_who(who, words)
    check_asked(action, target, words.vocabulary)
    when = rest[0].removeprefix("when") if rest else ""
    try:
        condition = parse_condition(when, words.conditions.of(target, deny=True))
    except ConditionError as error:
        raise ValueError(str(error)) from None
    return Assertion(
        who=who, action=action, target=target, condition=condition, text=text, place=place
    )


def _check_who(who: str, words: Words) -> None:
    if who.startswith("role:") and who != ANYONE and who not in words.roles:
        near = did_you_mean(who, {*words.roles, ANYONE})
        raise ValueError(f"unknown role `{who}`; {near}")
    if who.startswith("staff:") and who not in words.staff:
        raise ValueError(f"`{who}` is not on the roster; {did_you_mean(who, words.staff)}")
    if not who.startswith(("role:", "staff:")):
        raise ValueError(f"`{who}` needs a prefix: `role:{who}` or `staff:{who}`")


def check_asked(action: str, target: str, vocabulary: Vocabulary) -> None:
    """Is this something that rules are asked about?

    Raises:
        ValueError: an unknown name, or an action that is not asked of fields.
    """
    targets = frozenset(vocabulary.targets())
    if action not in vocabulary.actions:
        near = did_you_mean(action, vocabulary.actions)
        raise ValueError(f"unknown action `{action}`; {near}")
    if target not in targets:
        raise ValueError(f"unknown resource `{target}`; {did_you_mean(target, targets)}")
    if "." in target and action not in {READ, WRITE}:
        card = target.partition(".")[0]
        raise ValueError(
            f"`{action}` is asked of the card (`{card}`); of `{target}` ask `{READ}` (is it "
            f"shown?) or `{WRITE}` (may it be sent?)"
        )


def questions(action: str, target: str, vocabulary: Vocabulary) -> tuple[Question, ...]:
    """What is asked: one question of a card or a field, one for each field of a class.

    Args:
        action: as `check_asked` accepts it.
        target: likewise.
        vocabulary: which knows both.
    """
    card, _, inside = target.partition(".")
    resource = vocabulary.resources[card]
    if not inside:
        return (Question(resource=resource, action=action),)
    names = dict.fromkeys((*resource.fields, *resource.maskable, "unmapped"))
    return tuple(
        Question(resource=resource, action=action, field=name)
        for name in names
        if target == resource.target(name) or resource.target(name).startswith(f"{target}.")
    )
