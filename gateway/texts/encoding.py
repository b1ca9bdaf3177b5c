"""Bytes of a file → text, or a finding that names the encoding and what to do.

Owners edit in Excel: UTF-8 with a byte-order mark is fine, anything else is recognised
and refused, because a rule read in the wrong encoding is a rule that matches nobody.
"""

import codecs
import re

from gateway.domain.finding import Finding, Place, PolicyError

MAX_FILE_BYTES = 16 * 2**20  # 100,000 rules are about 6 MB

# CP1251 decodes almost any bytes, so decoding alone proves nothing: what counts is which
# share of the characters beyond ASCII are letters of the script.
_KANA, _KANJI = ("\u3040", "\u30ff"), ("\u4e00", "\u9fff")
_HANGUL, _CYRILLIC = ("\uac00", "\ud7a3"), ("\u0400", "\u04ff")
_CANDIDATES = (
    ("shift_jis", "Shift_JIS (Japanese Excel)", (_KANA, _KANJI)),
    ("cp949", "CP949 (Korean Excel)", (_HANGUL,)),
    ("cp1251", "CP1251 (Cyrillic Excel)", (_CYRILLIC,)),
)
# Ends of lines to one program and plain characters to the next: behind them a rule could hide
# in a comment, from its reader or from us. A CR alone ends lines only in files without LF.
_BREAKS = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]")
_LONE_CR = re.compile("\r(?!\n)")
_REMEDY = "save it as `CSV UTF-8` or, in an editor, as UTF-8"


def decode(data: bytes, file: str) -> str:
    """Decode an owner's file.

    Args:
        data: the file's bytes.
        file: its name, for the finding.

    Returns:
        The text, without a byte-order mark, with newlines as in the file.

    Raises:
        PolicyError: one finding: too large, not UTF-8, holding NUL bytes or odd line breaks.
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
    found = _BREAKS.search(text) or ("\n" in text and _LONE_CR.search(text))
    if found:
        line = text.count("\n", 0, found.start()) + 1
        shown = f"U+{ord(found[0]):04X}"
        raise _refuse(file, line, f"`{shown}` is a line break to some programs only; delete it")
    return text


def _guess(data: bytes) -> str | None:
    """Name the legacy encoding the bytes are probably in."""
    best, found = 0.5, None
    for codec, name, ranges in _CANDIDATES:
        try:
            foreign = [char for char in data.decode(codec) if not char.isascii()]
        except UnicodeDecodeError:
            continue
        letters = sum(any(low <= char <= high for low, high in ranges) for char in foreign)
        share = letters / len(foreign) if foreign else 0.0
        if share > best:
            best, found = share, name
    return found


def _refuse(file: str, line: int, message: str) -> PolicyError:
    return PolicyError([Finding(Place(file, line), message)])
