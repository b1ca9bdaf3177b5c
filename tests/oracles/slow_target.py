"""What a request target may be, read one character at a time from the text of the rule.

1. It starts with one `/` and holds printable ASCII without space, nothing else. The first
   `?` begins the query.
2. The path is `/`, or `/`-separated segments, none of them empty, with or without one more
   `/` at the end.
3. In a segment stand letters, digits and -._~!$'()*,=:@ as they are. Everything else is
   percent-encoded, of ASCII only: space ! $ ' ( ) * + , : = @ [ ] .
4. A decoded segment is UTF-8; neither begins nor ends with a space or plus; does not end with
   a dot; holds no `:` before a `$` and no `~` before a digit; beyond ASCII holds letters,
   marks, numbers and the Japanese middle dot, but none that is drawn as nothing, and is its
   own NFKC form.
5. The query is `&`-separated pairs; the first `=` ends the name, and without one there is no
   value.
6. In a name stand letters, digits and -._~!$'()*,:@[] as they are; of ASCII only
   ! $ ' ( ) * , : @ [ ] are encoded. It is not empty, and no name by which a framework takes
   another method. Beyond ASCII rule 4 holds.
7. In a value stand letters, digits and -._~!$'()*,:@/?=[] as they are, and + for a space; of
   ASCII everything printable is encoded but letters, digits and - . _
8. A decoded value is UTF-8 without control characters and line or paragraph separators.
"""

import itertools
import string
import unicodedata

ALNUM = string.ascii_letters + string.digits
METHODS = [
    "_method",
    "_httpmethod",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
]
# Joiner, Hangul fillers, Khmer vowels, Mongolian and other variation selectors.
NOT_DRAWN = [
    *(0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
]
Read = tuple[tuple[str, ...], tuple[tuple[str, str], ...], bool]


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
    slash = len(path) > 1 and path[-1] == "/"
    if slash:
        path = path[:-1]
        if path == "/":
            return None
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
    return tuple(segments), tuple(pairs), slash


def _segment(raw: str) -> str | None:
    text = _characters(raw, ALNUM + "-._~!$'()*,=:@", " !$'()*+,:=@[]", plus=False)
    if text is None or text == "":
        return None
    if text[0] in " +" or text[-1] in " +.":
        return None
    for first, second in itertools.pairwise(text):
        if first + second == ":$" or (first == "~" and second in string.digits):
            return None
    return text if _visible(text) else None


def _pair(raw: str) -> tuple[str, str] | None:
    end = raw.index("=") if "=" in raw else len(raw)
    name = _characters(raw[:end], ALNUM + "-._~!$'()*,:@[]", "!$'()*,:@[]", plus=False)
    printable = "".join(chr(code) for code in range(0x20, 0x7F))
    encodable = "".join(char for char in printable if char not in ALNUM + "-._")
    value = _characters(raw[end + 1 :], ALNUM + "-._~!$'()*,:@/?=[]", encodable, plus=True)
    if not name or value is None or not _visible(name) or _names_a_method(name):
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
        if ord(char) < 128 or char == "\N{KATAKANA MIDDLE DOT}":
            continue
        if unicodedata.category(char)[0] not in {"L", "M", "N"} or ord(char) in NOT_DRAWN:
            return False
    return unicodedata.normalize("NFKC", text) == text


def _names_a_method(name: str) -> bool:
    """Also as PHP reads it: three characters are an underscore, and `[]` makes a list of it."""
    php = name.lower()
    for char in " .[":
        php = php.replace(char, "_")
    while php and php[-1] in "]_":
        php = php[:-1]
    return name.lower() in METHODS or php in METHODS
