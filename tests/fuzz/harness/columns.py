"""A CSV answer loses exactly its hidden columns, and the cells that stay keep their bytes.

As Python's csv module reads both tables. The first byte says what is hidden.
"""

import csv
import io

from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED
from gateway.masking.columns import cut_table_steps
from gateway.masking.steps import all_at_once
from tests.fuzz.harness.lines import HIDDEN, PLANS
from tests.fuzz.refusals import require_reason

COLUMNS = {
    name: parse_field_path(path)
    for name, path in {
        "ID": "id",
        "お名前": "name",
        "Phone": "contact.phone",
        "Tel": "phone",
        "Extra": "extra",
    }.items()
}
FIELDS = {"ID": None, "お名前": "name", "Phone": "phone", "Tel": "phone", "Extra": "extra"}
MAX_BYTES = 400
SEEDS = (
    '\0ID,お名前,Phone,Note\r\n007,"美 ""咲""",0901,x\r\n8,=1+1,,\r\n'.encode(),
    '\x01ID;Phone;お名前\n1;"a;b";c\n2;;"d\ne"\n'.encode(),
    b"\x02\xef\xbb\xbfID\tTel\n1\t0902\n",
    b"\x03Extra,X\n1,2\n",
    b'\x04"ID"\n"1"\n\n',
    b'\x05ID,X\n1,"\\"\n',
    b'\x00ID,Phone\n1,a\\,b\n2,"c\\"",d"\n',
)
# fmt: off
WORDS = (
    b'"', b'""', b'","', b"\r\n", b"\r", b"\n", b",", b";", b"\t", b"\\", b'\\"', b"\\,", b"ID",
    b"Phone", b"Tel", b"Extra", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\0", b'"\n"', b"sep=;",
)
# fmt: on


def check(data: bytes) -> None:
    kind, body = (data[0] % len(HIDDEN), data[1:]) if data else (0, b"")
    try:
        made = bytes(all_at_once(cut_table_steps(body, PLANS[kind], columns=COLUMNS)).body)
    except UpstreamError as error:
        require_reason(error, {Reason.ANSWER_NOT_CUT})
        return
    separator = _separator(body)
    header, *rows = _read(body, separator)
    assert all(len(row) == len(header) for row in rows)
    stay = [at for at, name in enumerate(header) if _shows(name, kind)]
    if not stay:
        assert made == b""
        return
    assert made.startswith(b"\xef\xbb\xbf") == body.startswith(b"\xef\xbb\xbf")
    assert _read(made, separator) == [[row[at] for at in stay] for row in (header, *rows)]
    for row in made.removeprefix(b"\xef\xbb\xbf").split(b"\r\n")[:-1]:
        assert row in body or len(stay) < len(header) or b'""' in body


def _shows(name: str, kind: int) -> bool:
    secret = HIDDEN[kind]
    if name not in FIELDS:
        return UNMAPPED not in secret
    return FIELDS[name] not in secret


def _separator(body: bytes) -> str:
    """The one of the three that stands in the header outside quotes."""
    inside = False
    for char in body.decode().removeprefix("\ufeff"):
        if char == '"':
            inside = not inside
        elif not inside and char in ",;\t":
            return char
        elif not inside and char in "\r\n":
            break
    return ","


def _read(body: bytes, separator: str) -> list[list[str]]:
    text = io.StringIO(body.decode("utf-8-sig"), newline="")
    return [row or [""] for row in csv.reader(text, delimiter=separator, strict=True)]
