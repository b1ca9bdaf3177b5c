"""The form of staff.yaml: which keys, and how each value is written.

One person at a time; what only the whole list shows stands in roster.py. Values keep the
order and the place of the file. An optional key left empty is `not given`.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator

from gateway.domain.subject import ANYONE, DeviceId, Role, device_id, is_name
from gateway.texts.yamltext import Strict

MAX_NAME_CHARS = 200

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Control characters, line separators, and what turns the direction of a whole line.
_TURNING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")

T = TypeVar("T")


def _wants(remedy: str, read: Callable[[str], T | None]) -> BeforeValidator:
    """A validator of one text: `read` gives its value, or None for a finding."""

    def check(typed: Any) -> T:
        value = read(typed) if isinstance(typed, str) else None
        if value is None:
            got = f", got `{typed}`" if isinstance(typed, str) and typed else ""
            raise ValueError(f"{remedy}{got}")
        return value

    return BeforeValidator(check)


def _optional(remedy: str, read: Callable[[str], T | None]) -> BeforeValidator:
    """The same for a key that may be left empty: an empty text is `not given`."""

    def check(typed: Any) -> T | None:
        if typed in ("", None):
            return None
        value = read(typed) if isinstance(typed, str) else None
        if value is None:
            raise ValueError(f"{remedy}, got `{typed}`" if isinstance(typed, str) else remedy)
        return value

    return BeforeValidator(check)


def _read_date(typed: str) -> date | None:
    # fromisoformat also takes `20240401` and `2024-W14-1`.
    if _DATE.fullmatch(typed) is None:
        return None
    try:
        return date.fromisoformat(typed)
    except ValueError:
        return None


def _read_name(typed: Any) -> str:
    plain = typed.strip() if isinstance(typed, str) else ""
    printable = not any(unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} for c in plain)
    if not 0 < len(plain) <= MAX_NAME_CHARS or not printable or _TURNING.search(plain):
        # Not quoted: what is wrong with it may be what it does to a terminal.
        raise ValueError(f"write the person's name: 1 to {MAX_NAME_CHARS} printable characters")
    return plain


_CRM_ID = "write the id under which the CRM's records name this person, like `17`"


def _read_crm_id(typed: str) -> str | None:
    plain = typed.strip()
    return plain if 0 < len(plain) <= MAX_NAME_CHARS and plain.isprintable() else None


def _read_id(typed: Any) -> str:
    if not isinstance(typed, str) or not is_name(typed):
        bare = str(typed).removeprefix("staff:")
        if isinstance(typed, str) and is_name(bare):
            raise ValueError(f"write the id without its prefix: `{bare}`")
        raise ValueError("an id is lower-case letters, digits, `_` and `-`, like `mei`")
    return typed


def _read_role(typed: Any) -> Role:
    if not isinstance(typed, str):
        raise ValueError("a role is a text like `role:stylist`")  # noqa: TRY004  # a finding
    if typed in {ANYONE, "anyone"}:
        raise ValueError("everyone on the roster has `role:anyone` already; leave it out")
    bare = typed.removeprefix("role:")
    if not is_name(bare):
        raise ValueError(
            f"`{typed}` is not a role; write `role:` and a name of lower-case letters, digits, "
            "`_` and `-`"
        )
    if bare == typed:
        raise ValueError(f"a role needs its prefix: write `role:{typed}`")
    return Role(typed)


def _read_device(typed: Any) -> DeviceId:
    if not isinstance(typed, str):
        raise ValueError("a device id is a text")  # noqa: TRY004  # a finding
    return device_id(typed)


def _read_salons(typed: Any) -> Any:
    """The salons, by name; their roles are read by pydantic."""
    if not isinstance(typed, dict) or not typed:
        raise ValueError("write each salon and the roles there, like `{aoyama: [role:stylist]}`")
    for name in typed:
        if not is_name(name):
            raise ValueError(f"`{name}` is not a salon name: lower-case letters, digits, `_`, `-`")
    return {name: _read_list(roles) for name, roles in typed.items()}


def _read_list(typed: Any) -> Any:
    """Nothing after the colon is an empty list; one text is not a list of one."""
    if typed == "":
        return []
    if not isinstance(typed, list):
        raise ValueError("write a list: `[one, other]`")  # noqa: TRY004  # a finding
    return typed


def _read_declared(typed: Any) -> Any:
    return None if typed in ("", None) else _read_list(typed)


def _read_row(typed: Any) -> Any:
    if not isinstance(typed, dict):
        message = "write a person as keys and values: `id`, `name`, `salons`, `joined`"
        raise ValueError(message)  # noqa: TRY004  # a finding
    return typed


_ISO = "a date is written like `2026-11-21`"
_Date = Annotated[date, _wants(_ISO, _read_date)]
_MaybeDate = Annotated[date | None, _optional(_ISO, _read_date)]
_Flag = Annotated[
    bool | None,
    _optional("write `true` or `false`", {"true": True, "false": False}.get),
]


Roles = tuple[Annotated[str, BeforeValidator(_read_role)], ...]


class StaffRow(Strict):
    """One person, with the roles in each salon."""

    id: Annotated[str, BeforeValidator(_read_id)]
    name: Annotated[str, BeforeValidator(_read_name)]
    crm_id: Annotated[str | None, _optional(_CRM_ID, _read_crm_id)] = None
    salons: Annotated[dict[str, Roles], BeforeValidator(_read_salons)]
    joined: _Date
    on_notice_since: _MaybeDate = None
    leaves_on: _MaybeDate = None
    nda_signed: _Flag = None
    trained_until: _MaybeDate = None
    approved_devices: Annotated[
        tuple[Annotated[str, BeforeValidator(_read_device)], ...], BeforeValidator(_read_list)
    ] = ()


class StaffFile(Strict):
    """The whole file. `roles` None: whatever roles people have are the declared ones."""

    roles: Annotated[Roles | None, BeforeValidator(_read_declared)] = None
    staff: Annotated[
        tuple[Annotated[StaffRow, BeforeValidator(_read_row)], ...], BeforeValidator(_read_list)
    ]
