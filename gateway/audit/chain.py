"""One line of the trail: an entry as canonical JSON, chained to the line before it.

    {"kind":"entry","at":"...","request_id":"...",...,"n":7,"prev":"<hex>","hash":"<hex>"}

- A line is UTF-8 JSON without spaces, members in one fixed order, none empty, and a newline.
- `n` counts the lines of a worker's whole trail from 1, over all its files.
- `prev` is the `hash` of line n-1 (64 zeros before the first).
- `hash` is SHA-256 of the line's bytes without the `hash` member and without the newline,
  so it covers everything on the line, `n` and `prev` included.
- The first line of every file is a *head*, chained like any other: the files of a trail,
  put end to end, are one chain.

House rules: bytes in, values out. Whatever judges a line judges exactly its bytes;
nothing is parsed and written again to be compared. `verify.py` judges whole files.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from gateway.audit.entry import Entry
from gateway.domain.time import Instant
from gateway.texts.jsontext import parse_strict_json

FORMAT: Final = 1
MAX_LINE_BYTES: Final = 256 * 2**10  # an entry is about 0.6 KB; a reader's bound against garbage

_LAYOUT = re.compile(
    rb'(?P<sealed>(?P<body>\{"kind":"(?P<kind>[a-z]+)".*),"n":(?P<n>[1-9][0-9]{0,17})'
    rb',"prev":"(?P<prev>[0-9a-f]{64})"),"hash":"(?P<hash>[0-9a-f]{64})"\}\n',
)


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain: what the next line has to follow."""

    n: int
    hash: str


GENESIS: Final = Link(0, "0" * 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first line of a file.

    Attributes:
        worker: whose chain this is; every worker process has its own.
        file: the file's number in the trail, from 1, without gaps.
        oldest: the least file number that retention has kept so far. A file below it was
            deleted on purpose; one at or above it may not be missing.
        started: when the file was begun.
    """

    worker: str
    file: int
    oldest: int
    started: Instant


@dataclass(frozen=True, slots=True)
class Line:
    """A line taken apart, not yet judged.

    Attributes:
        sound: the line's own hash is right.
    """

    kind: str
    link: Link
    prev: str
    sound: bool


def stamp(at: Instant) -> str:
    """An instant as every line spells it: `2026-11-21T11:31:00.000000Z`."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def entry_body(entry: Entry) -> bytes:
    """The part of a line that is known before its place in the chain is.

    Raises:
        ValueError: the entry is longer than a line may be.
    """
    members = {"kind": "entry"} | {n: v for n, v in asdict(entry).items() if v}
    members["at"] = stamp(entry.at)
    for name in ("rules", "would_by"):
        if name in members:
            members[name] = tuple(map(str, members[name]))
    return _encode(members)


def head_body(head: Head) -> bytes:
    """A file's first line, before its place in the chain is known."""
    return _encode(
        {
            "kind": "head",
            "format": FORMAT,
            "worker": head.worker,
            "file": head.file,
            "oldest": head.oldest,
            "started": stamp(head.started),
        }
    )


def chain(body: bytes, after: Link) -> tuple[bytes, Link]:
    """Put a body into the chain.

    Args:
        body: of `entry_body` or `head_body`.
        after: the last link so far.

    Returns:
        The whole line, newline included, and its own link.
    """
    n = after.n + 1
    sealed = b'%b,"n":%d,"prev":"%b"' % (body, n, after.hash.encode("ascii"))
    digest = sha256(sealed + b"}").hexdigest()
    return b'%b,"hash":"%b"}\n' % (sealed, digest.encode("ascii")), Link(n, digest)


def render(entry: Entry, after: Link) -> tuple[bytes, Link]:
    """An entry as the line that follows `after`, and that line's own link."""
    return chain(entry_body(entry), after)


def read_line(raw: bytes) -> Line | None:
    """Take a line apart by its layout alone; None if it is not laid out as ours are."""
    if len(raw) > MAX_LINE_BYTES or (found := _LAYOUT.fullmatch(raw)) is None:
        return None
    digest = found["hash"].decode("ascii")
    return Line(
        kind=found["kind"].decode("ascii"),
        link=Link(int(found["n"]), digest),
        prev=found["prev"].decode("ascii"),
        sound=sha256(found["sealed"] + b"}").hexdigest() == digest,
    )


def parse(raw: bytes) -> dict[str, Any]:
    """The members of one line.

    Raises:
        ValueError: it is not laid out as a line, or its hash is wrong, or it is not strict
            JSON. What was changed is never shown as if it had been entered.
    """
    line = read_line(raw)
    if line is None:
        raise ValueError("not a line of an audit trail")
    if not line.sound:
        raise ValueError("the line was changed: its hash does not fit")
    members = parse_strict_json(raw, max_depth=3, max_bytes=MAX_LINE_BYTES)
    if not isinstance(members, dict):  # the layout begins with `{`
        raise TypeError("a line is a JSON object")
    return members


def parse_head(raw: bytes) -> Mapping[str, Any]:
    """The members of a head line, of the right types.

    Raises:
        ValueError: it is not a head that this version reads.
    """
    members = parse(raw)
    if members["kind"] != "head":
        raise ValueError("a file must begin with a head line")
    if members.get("format") != FORMAT:
        raise ValueError("the file is of another format; use the version that wrote it")
    for name, kind in (("worker", str), ("file", int), ("oldest", int), ("started", str)):
        if type(members.get(name)) is not kind:
            raise ValueError(f"the head has no right `{name}`")
    return members


def _encode(members: Mapping[str, Any]) -> bytes:
    """Canonical JSON without the closing brace."""
    try:
        data = msgspec.json.encode(members)
    except UnicodeEncodeError:
        # Half a surrogate pair: bytes of a raw path that were no UTF-8. An entry is never
        # lost for its spelling: they stand as `\udc80` in the text.
        data = msgspec.json.encode({name: _spelled(value) for name, value in members.items()})
    if len(data) > MAX_LINE_BYTES - 256:  # room for `n`, `prev` and `hash`
        raise ValueError("the entry is too long for a line")
    return data[:-1]


def _spelled(value: Any) -> Any:
    """The same value with lone surrogates spelled out."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, tuple):
        return tuple(map(_spelled, value))
    return value
