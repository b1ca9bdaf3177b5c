"""Bytes of a file → text, or a finding that names the encoding and what to do.

Owners edit in Excel: UTF-8 with a byte-order mark is fine, anything else is recognised
and refused, because a rule read in the wrong encoding is a rule that matches nobody.
"""

import codecs

from gateway.domain.finding import Finding, Place, PolicyError

MAX_FILE_BYTES = 16 * 2**20  # 100,000 rules are about 6 MB

# In the order of trying. Each must decode strictly AND yield letters of its script:
# CP1251 decodes almost any bytes, so decoding alone proves nothing.
_CANDIDATES = (
    ("shift_jis", "Shift_JIS (Japanese Excel)", ("\u3040", "\u30ff")),
    ("cp949", "CP949 (Korean Excel)", ("\uac00", "\ud7a3")),
    ("cp1251", "CP1251 (Cyrillic Excel)", ("\u0400", "\u04ff")),
)
_REMEDY = "save it as `CSV UTF-8` or, in an editor, as UTF-8"


def decode(data: bytes, file: str) -> str:
    """Decode an owner's file.

    Args:
        data: the file's bytes.
        file: its name, for the finding.

    Returns:
        The text, without a byte-order mark, with newlines as in the file.

    Raises:
        PolicyError: one finding: too large, not UTF-8, or holding NUL bytes.
    """
    if len(data) > MAX_FILE_BYTES:
        raise _refuse(file, 1, f"the file is larger than {MAX_FILE_BYTES} bytes")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _refuse(file, 1, f"the file is UTF-16, not UTF-8; {_REMEDY}")
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        name = _guess(data)
        what = f"the file looks like {name}" if name else "the file is not UTF-8"
        raise _refuse(file, line, f"{what}; {_REMEDY}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _refuse(file, line, f"the file holds NUL characters; {_REMEDY}")
    return text


def _guess(data: bytes) -> str | None:
    """Name the legacy encoding the bytes are probably in."""
    best: tuple[int, str] | None = None
    for codec, name, (low, high) in _CANDIDATES:
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        letters = sum(low <= char <= high for char in text)
        if letters and (best is None or letters > best[0]):
            best = (letters, name)
    return best[1] if best else None


def _refuse(file: str, line: int, message: str) -> PolicyError:
    return PolicyError([Finding(Place(file, line), message)])
