"""staff.yaml → the roster: who works here, where, as what, from when until when.

Who is not on it has no rights, so nothing is guessed: a name without its `role:`, a `yes`
for `true` or a date in another order is a finding, and all findings come at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from gateway.domain.finding import Finding, Place, PolicyError, Severity, did_you_mean
from gateway.domain.subject import DeviceId, Role, StaffId, staff_id
from gateway.identity.staff_file import StaffFile, StaffRow
from gateway.texts.yamltext import Document, validate


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One person on the roster.

    Attributes:
        salons: in the roster's order, each with the roles there. The first salon's calendar
            stands for the person, its first role is their label in metrics.
        crm_id: as the CRM's records name the person.
        leaves_on: the last day of work.
        nda_signed: None = the roster does not say.
        trained_until: the last day on which the training counts.
        place: where the person stands in staff.yaml.
    """

    staff: StaffId
    name: str
    salons: Mapping[str, tuple[Role, ...]]
    crm_id: str
    joined: date
    on_notice_since: date | None
    leaves_on: date | None
    nda_signed: bool | None
    trained_until: date | None
    approved_devices: frozenset[DeviceId]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Everybody who works here, by staff id.

    Attributes:
        roles: every declared role, whether somebody has it today or not, without
            `role:anyone`. A rule for a trainee must not break when the last one leaves.
    """

    members: Mapping[StaffId, Member]
    roles: frozenset[Role]
    warnings: tuple[Finding, ...] = ()


def parse_roster(document: Document) -> Roster:
    """Read staff.yaml.

    Raises:
        PolicyError: everything wrong, each at its place.
    """
    if not isinstance(document.data, dict):
        raise PolicyError([document.finding("write `staff:` and a list of people under it")])
    findings: list[Finding] = []
    declared: tuple[str, ...] | None = None
    try:
        file = validate(document, StaffFile)
        rows, declared = file.staff, file.roles
    except PolicyError as error:
        # What can be compared row by row is still worth telling in the same breath.
        findings += error.findings
        rows = ()
    findings += _across(document)
    for index, row in enumerate(rows):
        findings += _contradictions(document, index, row)
        findings += _undeclared(document, index, row, declared)
    findings += _repeated(document, declared or (), ("roles",))
    if findings:
        raise PolicyError(findings)
    members = [_member(document, index, row) for index, row in enumerate(rows)]
    held = {role for member in members for roles in member.salons.values() for role in roles}
    return Roster(
        roles=frozenset(held if declared is None else map(Role, declared)),
        members={member.staff: member for member in members},
        warnings=tuple(_warnings(document, members)),
    )


def _across(document: Document) -> Iterator[Finding]:
    """What only the whole list shows; works on texts, so it also runs on a broken file."""
    rows = document.data.get("staff")
    if rows in ("", []):
        yield document.finding("nobody is on the roster; list at least one person", "staff")
    seen: dict[str, int] = {}
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        name = row.get("id") if isinstance(row, dict) else None
        if not isinstance(name, str) or not name:
            continue
        if name in seen:
            first = document.place("staff", seen[name], "id").line
            yield document.finding(
                f"the id `{name}` stands twice (first in line {first})", "staff", index, "id"
            )
        seen.setdefault(name, index)


def _contradictions(document: Document, index: int, row: StaffRow) -> Iterator[Finding]:
    """Dates and lists of one person that cannot be true together."""
    here = ("staff", index)
    leaves, notice = row.leaves_on, row.on_notice_since
    if leaves is not None and leaves < row.joined:
        yield document.finding(
            f"leaves on `{leaves}`, before joining on `{row.joined}`", *here, "leaves_on"
        )
    if leaves is not None and notice is not None and notice > leaves:
        yield document.finding(
            f"on notice since `{notice}`, after leaving on `{leaves}`", *here, "on_notice_since"
        )
    if notice is not None and notice < row.joined:
        yield document.finding(
            f"on notice since `{notice}`, before joining on `{row.joined}`",
            *here,
            "on_notice_since",
        )
    for salon, roles in row.salons.items():
        yield from _repeated(document, roles, (*here, "salons", salon))
    yield from _repeated(document, row.approved_devices, (*here, "approved_devices"))


def _undeclared(
    document: Document, index: int, row: StaffRow, declared: tuple[str, ...] | None
) -> Iterator[Finding]:
    """With a list of roles, a role outside it is a slip of the pen; without one, anything goes."""
    for salon, roles in row.salons.items():
        for position, role in enumerate(roles):
            if declared is not None and role not in declared:
                yield document.finding(
                    f"unknown role `{role}`; {did_you_mean(role, declared)} (roles are declared "
                    "under `roles`)",
                    *("staff", index, "salons", salon, position),
                )


def _repeated(
    document: Document, values: tuple[str, ...], path: tuple[str | int, ...]
) -> Iterator[Finding]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield document.finding(f"`{value}` stands twice; leave one out", *path, index)


def _member(document: Document, index: int, row: StaffRow) -> Member:
    return Member(
        staff=staff_id(row.id),
        name=row.name,
        salons={salon: tuple(map(Role, roles)) for salon, roles in row.salons.items()},
        crm_id=row.crm_id or row.id,
        joined=row.joined,
        on_notice_since=row.on_notice_since,
        leaves_on=row.leaves_on,
        nda_signed=row.nda_signed,
        trained_until=row.trained_until,
        approved_devices=frozenset(DeviceId(device) for device in row.approved_devices),
        place=document.place("staff", index),
    )


def _warnings(document: Document, members: list[Member]) -> Iterator[Finding]:
    for index, member in enumerate(members):
        for salon, roles in member.salons.items():
            if not roles:
                place = document.place("staff", index, "salons", salon)
                message = (
                    f"`{member.staff}` has no role in `{salon}`, and so may do there only what "
                    "everyone may unless a `g` row gives one; write it like `[role:stylist]`"
                )
                yield Finding(place, message, Severity.WARNING)
    named: dict[str, Member] = {}
    for index, member in enumerate(members):
        other = named.setdefault(member.crm_id, member)
        if other is not member:
            yield Finding(
                document.place("staff", index, "crm_id"),
                f"the CRM's id `{member.crm_id}` is {other.staff}'s too, so each passes for the "
                "other in rules like `own_client`; keep it for one of them",
                Severity.WARNING,
            )
