"""Credentials of a CRM's login, found slowly: the rules a second time, character by character."""

from datetime import UTC, datetime, timedelta

NAMES = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
MONTHS = {NAMES[4 * number : 4 * number + 3]: number + 1 for number in range(12)}


def may_stand_in_a_cookie(char):
    """RFC 6265 4.1.1, cookie-octet: no controls, blank, `"`, comma, semicolon, backslash."""
    return 0x21 <= ord(char) <= 0x7E and char not in '",;\\'


def is_value(text):
    """One or more of them, which may stand in quotes."""
    if len(text) >= 2 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1]
    return text != "" and all(may_stand_in_a_cookie(char) for char in text)


def split_at_first(text, mark):
    for place, char in enumerate(text):
        if char == mark:
            return text[:place], text[place + 1 :]
    return text, None


def shown_cookie(headers, name):
    """What requests show: `nothing`, `two`, `malformed`, or the value after a `=`."""
    pieces = []
    for header in headers:
        rest = header
        while rest is not None:
            piece, rest = split_at_first(rest, ";")
            while piece and piece[0] in " \t":
                piece = piece[1:]
            while piece and piece[-1] in " \t":
                piece = piece[:-1]
            pieces.append((*split_at_first(piece, "="), piece))
    # A name counts with blanks round it too, as any white space to somebody.
    ours = [(key, value) for key, value, _ in pieces if key.strip() == name]
    with_value = [(key, value) for key, value in ours if key == name and value is not None]
    if not ours:
        return "nothing"
    for _, _, piece in pieces:
        if len([char for char in piece if char == '"']) % 2 == 1:
            return "malformed"
    if with_value != ours:
        return "malformed"
    if len(ours) > 1:
        return "two"
    value = ours[0][1]
    return f"={value}" if is_value(value) else "malformed"


def set_cookie(lines, name, now):
    """What an answer sets: `nothing`, `malformed`, or (value, until when or None)."""
    ours = []
    for line in lines:
        pair = split_at_first(line, ";")[0]
        key, value = split_at_first(pair, "=")
        if value is not None and key.strip(" \t") == name:
            ours.append((key, value, line))
    if not ours:
        return "nothing"
    if len(ours) > 1:
        return "malformed"
    key, value, line = ours[0]
    if key != name:
        return "malformed"
    ages, dates = [], []
    rest = split_at_first(line, ";")[1]
    while rest is not None:
        attribute, rest = split_at_first(rest, ";")
        word, told = split_at_first(attribute, "=")
        if word.strip(" \t").lower() == "max-age":
            ages.append((told or "").strip(" \t"))
        if word.strip(" \t").lower() == "expires":
            dates.append((told or "").strip(" \t"))
    if len(ages) > 1 or len(dates) > 1:
        return "malformed"
    until = None
    for text in dates:
        until = date(text)
        if until is None:
            return "malformed"
    for text in ages:
        digits = text.removeprefix("-")
        if not digits or len(digits) > 12 or set(digits) - set("0123456789"):
            return "malformed"
        seconds = -int(digits) if text.startswith("-") else int(digits)
        until = now + timedelta(seconds=min(max(seconds, 0), 3660 * 86_400))
    if value in ("", '""') or (until is not None and until <= now):
        return "nothing"
    return (value, until) if is_value(value) else "malformed"


def date(text):
    """`Sat, 21 Nov 2026 10:00:00 GMT`, or with dashes; None = no date."""
    words = text.replace("-", " ").split(" ")
    parted = text.split(" ")
    if len(words) != 6 or len(parted) not in (4, 6) or words[5] not in ("GMT", "UTC"):
        return None
    if len(parted) == 4 and parted[1].count("-") != 2:
        return None
    if len(parted) == 6 and "-" in text:
        return None
    day, number, month, year, clock, _ = words
    bare = day[:-1]
    if not day.endswith(",") or not 3 <= len(bare) <= 9 or not bare.isascii():
        return None
    if not bare.isalpha() or bare != bare.capitalize():
        return None
    numbers = [number, year, *clock.split(":")]
    if [len(one) for one in numbers] != [2, 4, 2, 2, 2] or month not in MONTHS:
        return None
    if not all(one.isascii() and one.isdigit() for one in numbers):
        return None
    d, y, h, m, s = map(int, numbers)
    try:
        return datetime(y, MONTHS[month], d, h, m, s, tzinfo=UTC)
    except ValueError:
        return None
