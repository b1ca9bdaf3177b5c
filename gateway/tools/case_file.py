"""One file of `policies/cases/`: what an owner expects of the policy, each case a sentence.

Form only, so that a case file is good or bad by itself: whether its people, fields and rules
exist is for the policy to say when the cases run (cases.py).

HOUSE RULES
- No key is left empty: an expectation that was begun and not written must not count as none.
- `at` is always given. A case that asks about now would change by itself.
- A record is JSON in quotes, as the CRM sends it and as `explain --record` takes it. Our YAML
  reads every scalar as text, and to a rule the text `"true"` is not true.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator

from gateway.domain.finding import Finding, Place, PolicyError, did_you_mean
from gateway.domain.http import SENDING
from gateway.domain.reason import ALLOWING, Reason
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import ANYONE, DeviceId, Role, StaffId, device_id, is_name, staff_id
from gateway.domain.time import read_moment
from gateway.enforcer.rules import COLUMNS
from gateway.texts.yamltext import Document, Strict, validate
from gateway.tools.record_text import HERE, parse_record

MAX_SENTENCE_CHARS = 300
DECISIONS = ("allow", "deny")
REASONS = tuple(sorted(reason.value for reason in Reason if reason not in ALLOWING))

_REQUEST = re.compile(r"([A-Z]+) (/\S*)", re.ASCII)
_LINE = re.compile(r"([\w.-]+):([1-9]\d{0,8})")

Row = tuple[str, str, frozenset[str], frozenset[str], str]  # who, resource, actions, when, eft


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One sentence about the policy, and what makes it true.

    Attributes:
        says: the sentence.
        place: where it stands.
        places: each key → where it stands.
        at: naive = on the clock of the person's first salon.
        sends: the fields that the request's body sends.
        record: the record that it is about, as the CRM's JSON has it.
        allowed: what is expected.
        reason: why it is refused; None = whatever the reason.
        rule: a row that determines the answer: its place, or what it says.
        hidden: exactly these fields and classes do not show; None = not asked.
        shown: at least these show; None = not asked.
    """

    says: str
    place: Place
    places: Mapping[str, Place] = field(default_factory=dict, repr=False)
    who: StaffId
    method: str
    target: str
    at: datetime
    app: str | None = None
    device: DeviceId | None = None
    roles: frozenset[Role] | None = None
    peer: str = HERE
    sends: tuple[str, ...] = ()
    record: Mapping[str, Any] | None = None
    allowed: bool
    reason: Reason | None = None
    rule: RuleRef | Row | None = None
    hidden: tuple[str, ...] | None = None
    shown: tuple[str, ...] | None = None

    def at_key(self, key: str) -> Place:
        """Where a key stands; the case itself if it does not."""
        return self.places.get(key, self.place)


def parse_cases(document: Document) -> tuple[Case, ...]:
    """Read one file.

    Raises:
        PolicyError: every finding.
    """
    if not isinstance(document.data, dict):
        raise PolicyError([document.finding("the file begins with `cases:`")])
    file = validate(document, CaseFile)
    findings = list(_contradictions(document, file))
    if findings:
        raise PolicyError(findings)
    return tuple(_case(document, index, shape) for index, shape in enumerate(file.cases))


def _case(document: Document, index: int, shape: "CaseShape") -> Case:
    method, target = shape.what
    places = {
        key: document.place("cases", index, key)
        for key in CaseShape.model_fields
        if ("cases", index, key) in document.places
    }
    return Case(
        says=shape.says,
        place=places["says"],
        places=places,
        who=StaffId(shape.who),
        method=method,
        target=target,
        at=shape.at,
        app=shape.app,
        device=None if shape.device is None else DeviceId(shape.device),
        roles=None if shape.roles is None else frozenset(map(Role, shape.roles)),
        peer=shape.peer or HERE,
        sends=shape.sends or (),
        record=shape.record,
        allowed=shape.decision == "allow",
        reason=None if shape.reason is None else Reason(shape.reason),
        rule=shape.rule,
        hidden=shape.hidden,
        shown=shape.shown,
    )


def _contradictions(document: Document, file: "CaseFile") -> list[Finding]:
    """What each key allows by itself, but not all of them together."""
    found = []
    first: dict[str, int] = {}
    for index, case in enumerate(file.cases):
        line = document.place("cases", index, "says").line
        if first.setdefault(case.says, line) != line:
            message = f"the same sentence stands in line {first[case.says]}; say what is different"
            found.append(document.finding(message, "cases", index, "says"))
        if case.decision == "allow" and case.reason is not None:
            message = "`reason` says why a request is refused; leave it out after `allow`"
            found.append(document.finding(message, "cases", index, "reason"))
        for key in ("hidden", "shown"):
            if case.decision == "deny" and getattr(case, key) is not None:
                message = f"a refused request shows nothing; leave `{key}` out after `deny`"
                found.append(document.finding(message, "cases", index, key))
        if case.sends is not None and case.what[0] not in SENDING:
            message = f"a {case.what[0]} sends no fields; leave `sends` out"
            found.append(document.finding(message, "cases", index, "sends"))
    return found


# -- one value each: what an owner types → what it means, or a ValueError with a remedy ---------


def read_text(typed: Any) -> str:
    """Any text that is not empty."""
    if not isinstance(typed, str):
        raise ValueError("write one text here")  # noqa: TRY004  # a finding
    if not typed.strip():
        raise ValueError("nothing is written here; fill it in, or leave the key out")
    return typed


def read_sentence(typed: Any) -> str:
    """What the case says, on one line."""
    plain = " ".join(read_text(typed).split())
    if len(plain) > MAX_SENTENCE_CHARS or not plain.isprintable():
        raise ValueError(f"write a sentence of at most {MAX_SENTENCE_CHARS} printable characters")
    return plain


def read_who(typed: Any) -> str:
    """`mei` or `staff:mei`."""
    text = read_text(typed)
    try:
        return staff_id(text.removeprefix("staff:"))
    except ValueError:
        raise ValueError(
            f"write the person's id in staff.yaml, like `mei`, got `{text}`"
        ) from None


def read_request(typed: Any) -> tuple[str, str]:
    """`GET /api/clients/7`."""
    text = read_text(typed)
    found = _REQUEST.fullmatch(text)
    if found is None:
        raise ValueError(
            f"write the method and the address, like `GET /api/clients/7`, got `{text}`"
        )
    return found[1], found[2]


def read_at(typed: Any) -> datetime:
    """`2026-11-25T12:00`, with or without a zone."""
    return read_moment(read_text(typed))


def read_case_device(typed: Any) -> str:
    """A device as tokens name it."""
    return device_id(read_text(typed))


def read_narrowing(typed: Any) -> str:
    """`role:stylist`."""
    text = read_text(typed)
    bare = text.removeprefix("role:")
    if text == ANYONE or not is_name(bare):
        raise ValueError(f"`{text}` is no role that a token can name; write one of staff.yaml")
    if bare == text:
        raise ValueError(f"a role needs its prefix: write `role:{text}`")
    return text


def read_peer(typed: Any) -> str:
    """An address."""
    text = read_text(typed)
    try:
        ip_address(text)
    except ValueError:
        raise ValueError(
            f"write the address it comes from, like `192.0.2.7`, got `{text}`"
        ) from None
    return text


def read_record(typed: Any) -> Mapping[str, Any]:
    """A record as JSON."""
    form = """write the record as JSON in quotes: '{"stylist_id": "mei"}'"""
    if not isinstance(typed, str):
        raise ValueError(form)  # noqa: TRY004  # a finding
    try:
        return parse_record(typed)
    except ValueError as error:
        raise ValueError(f"{error}; {form}") from None


def read_decision(typed: Any) -> str:
    """`allow` or `deny`."""
    if typed not in DECISIONS:
        raise ValueError(f"write `allow` or `deny`{_got(typed)}")
    return str(typed)


def read_reason(typed: Any) -> str:
    """A reason for refusing."""
    text = read_text(typed)
    if text not in REASONS:
        raise ValueError(f"unknown reason `{text}`; {did_you_mean(text, REASONS)}")
    return text


def read_rule(typed: Any) -> RuleRef | Row:
    """`salon_rules.csv:41`, or the row itself: lines move, rows stay."""
    text = read_text(typed)
    found = _LINE.fullmatch(text)
    if found is not None:
        return RuleRef(found[1], int(found[2]))
    try:
        cells = [cell.strip(" \t") for cell in next(csv.reader([text], skipinitialspace=True))]
    except csv.Error:
        cells = []
    if len(cells) != len(COLUMNS) or cells[0] != COLUMNS[0]:
        raise ValueError(
            "write the row as it stands in the file, like "
            "`p, role:stylist, client, export, , deny`, or its place, like `salon_rules.csv:41`"
        )
    return row_of(*cells[1:])


def row_of(who: str, resource: str, actions: str, when: str, effect: str) -> Row:
    """A row as its columns mean it: neither order nor blanks count inside them."""
    literals = when.replace(" ", "").replace("\t", "").split("&")
    return (
        who,
        resource,
        frozenset(action.strip(" \t") for action in actions.split("|")),
        frozenset(literals),
        effect,
    )


def read_names(typed: Any) -> Any:
    """A list; `[]` is one, nothing at all is not."""
    if not isinstance(typed, list):
        raise ValueError(f"write a list, like `[one, other]`, or `[]` for none{_got(typed)}")  # noqa: TRY004  # a finding
    return typed


def read_list_of_cases(typed: Any) -> Any:
    """The cases."""
    if not isinstance(typed, list):
        raise ValueError("write a list of cases, each beginning with `- says:`")  # noqa: TRY004  # a finding
    return typed


def _got(typed: Any) -> str:
    return f", got `{typed}`" if isinstance(typed, str) and typed else ""


_Text = Annotated[str, BeforeValidator(read_text)]
_Names = Annotated[tuple[_Text, ...], BeforeValidator(read_names)]
_Roles = Annotated[tuple[Annotated[str, BeforeValidator(read_narrowing)], ...],
                   BeforeValidator(read_names)]  # fmt: skip


class CaseShape(Strict):
    """One case as it is typed."""

    says: Annotated[str, BeforeValidator(read_sentence)]
    who: Annotated[str, BeforeValidator(read_who)]
    what: Annotated[tuple[str, str], PlainValidator(read_request)]
    at: Annotated[datetime, PlainValidator(read_at)]
    app: _Text | None = None
    device: Annotated[str, BeforeValidator(read_case_device)] | None = None
    roles: _Roles | None = None
    peer: Annotated[str, BeforeValidator(read_peer)] | None = None
    sends: _Names | None = None
    record: Annotated[Mapping[str, Any], PlainValidator(read_record)] | None = None
    decision: Annotated[str, BeforeValidator(read_decision)]
    reason: Annotated[str, BeforeValidator(read_reason)] | None = None
    rule: Annotated[RuleRef | Row, PlainValidator(read_rule)] | None = None
    hidden: _Names | None = None
    shown: _Names | None = None


class CaseFile(Strict):
    """The whole file."""

    cases: Annotated[tuple[CaseShape, ...], BeforeValidator(read_list_of_cases)]
