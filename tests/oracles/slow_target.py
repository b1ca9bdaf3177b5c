"""What a request target may be, read one character at a time from the text of the rule.

1. It starts with one `/` and holds printable ASCII without space, nothing else. The first
   `?` begins the query.
2. The path is `/`, or `/`-separated segments, none of them empty.
3. In a segment stand letters, digits and -._~!$&'()*,=:@ as they are. Everything else is
   percent-encoded, of ASCII only: space ! $ & ' ( ) * + , : = @ [ ] .
4. A decoded segment is UTF-8; neither begins nor ends with a space or plus; does not end with
   a dot; beyond ASCII holds no control, format, private, unassigned or separator character,
   and is its own NFKC form.
5. The query is `&`-separated pairs with a `=`; the first `=` ends the name.
6. In a name stand letters, digits and -._~!$'()*,:@ as they are; of ASCII only
   ! $ ' ( ) * , : @ [ ] are encoded. It is not empty. Beyond ASCII rule 4 holds.
7. In a value stand letters, digits and -._~!$'()*,:@/?= as they are, and + for a space; of
   ASCII everything printable is encoded but letters, digits and - . _
8. A decoded value is UTF-8 without control characters and line or paragraph separators.
"""

import string
import unicodedata

ALNUM = string.ascii_letters + string.digits
Read = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]


def read(target: str) -> Read | None:
    """The decoded segments and pairs, or None: refused."""
    for char in target:
        if not 0x21 <= ord(char) <= 0x7E:
            return None
    if not target or target[0] != "/":
        return None
    path, query = target, None
    for at, char in enumerate(target):
        if char == "?":
            path, query = target[:at], target[at + 1 :]
            break
    segments = []
    if path != "/":
        for raw in path[1:].split("/"):
            segment = _segment(raw)
            if segment is None:
                return None
            segments.append(segment)
    pairs = []
    if query is not None:
        for raw in query.split("&"):
            pair = _pair(raw)
            if pair is None:
                return None
            pairs.append(pair)
    return tuple(segments), tuple(pairs)


def _segment(raw: str) -> str | None:
    text = _characters(raw, ALNUM + "-._~!$&'()*,=:@", " !$&'()*+,:=@[]", plus=False)
    if text is None or text == "":
        return None
    if text[0] in " +" or text[-1] in " +.":
        return None
    return text if _visible(text) else None


def _pair(raw: str) -> tuple[str, str] | None:
    if "=" not in raw:
        return None
    end = raw.index("=")
    name = _characters(raw[:end], ALNUM + "-._~!$'()*,:@", "!$'()*,:@[]", plus=False)
    printable = "".join(chr(code) for code in range(0x20, 0x7F))
    encodable = "".join(char for char in printable if char not in ALNUM + "-._")
    value = _characters(raw[end + 1 :], ALNUM + "-._~!$'()*,:@/?=", encodable, plus=True)
    if not name or value is None or not _visible(name):
        return None
    for char in value:
        if unicodedata.category(char) in {"Cc", "Zl", "Zp"}:
            return None
    return name, value


def _characters(raw: str, plain: str, encodable: str, *, plus: bool) -> str | None:
    decoded = bytearray()
    at = 0
    while at < len(raw):
        char = raw[at]
        if char == "%":
            digits = raw[at + 1 : at + 3]
            if len(digits) != 2 or any(digit not in string.hexdigits for digit in digits):
                return None
            byte = int(digits, 16)
            if byte < 128 and chr(byte) not in encodable:
                return None
            decoded.append(byte)
            at += 3
            continue
        if char == "+" and plus:
            decoded.append(0x20)
        elif char in plain:
            decoded.append(ord(char))
        else:
            return None
        at += 1
    try:
        return decoded.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _visible(text: str) -> bool:
    for char in text:
        if ord(char) >= 128 and unicodedata.category(char)[0] in {"C", "Z"}:
            return False
    return unicodedata.normalize("NFKC", text) == text
