"""WHATWG HTML 9.2.6 a second time, over the whole stream at once, in the words of the standard."""


class RefusedError(Exception):
    """Not a stream that may go on."""


WORDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def slow_lines(text):
    """The lines that have ended, in order."""
    lines, line, at = [], b"", 0
    while at < len(text):
        if text[at : at + 2] == b"\r\n":
            lines.append(line)
            line, at = b"", at + 2
        elif text[at : at + 1] in (b"\r", b"\n"):
            lines.append(line)
            line, at = b"", at + 1
        else:
            line, at = line + text[at : at + 1], at + 1
    return lines


def slow_events(text, cut_one):
    """Every event as what it holds: {b"event", b"id", b"retry", b"data"}; {} is a comment.

    Raises RefusedError, or what `cut_one` raises.
    """
    if text.startswith(b"\xef\xbb\xbf"):
        text = text[3:]
    events, event, data, comment = [], {}, None, False
    for line in slow_lines(text):
        if line == b"":
            if data is not None:
                shown = b"" if data == b"" else cut_one(data)
                event = None if shown is None else {**event, b"data": shown}
            if event or (event is not None and comment):
                events.append(event)
            event, data, comment = {}, None, False
            continue
        if line[:1] == b":":
            comment = True
            continue
        name, value = line, b""
        if b":" in line:
            colon = line.index(b":")
            name, value = line[:colon], line[colon + 1 :]
            if value[:1] == b" ":
                value = value[1:]
        if name == b"data":
            data = value if data is None else data + b"\n" + value
        elif name == b"event":
            event[name] = plain(value, WORDS + "._:/-")
        elif name == b"id":
            event[name] = plain(value, WORDS + "-_")
        elif name == b"retry" and 0 < len(value) < 10 and all(48 <= c <= 57 for c in value):
            event[name] = value
    return events


def plain(value, letters):
    """The value, if it is a short word of such letters."""
    if len(value) > 64 or any(chr(code) not in letters for code in value):
        raise RefusedError("not a plain word")
    return value
