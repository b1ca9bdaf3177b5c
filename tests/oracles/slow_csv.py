"""The rules of a table a second time: character by character, one row after the other.

It knows no regular expression and no JSON trick: a row is a list of (raw, text), a record is
asked of `slow_cut` alone, and a cell stays where its member stayed.
"""

import json

from tests.oracles.slow_cut import NoSuchRecordError, slow_cut


class RefusedError(Exception):
    """No table, or one with two meanings."""


def slow_rows(text, separator=None):
    """(separator, rows of raw cells), of a text without its byte-order mark."""
    if not text:
        raise RefusedError("no header")
    for character in text:
        code = ord(character)
        if (code < 32 and character not in "\t\r\n") or code == 127:
            raise RefusedError("a control character")
    separator = separator or slow_separator(text)
    rows, at = [], 0
    while at < len(text):
        row, at = slow_row(text, at, separator)
        rows.append(row)
    if len(rows[0]) > 1024 or any(len(row) != len(rows[0]) for row in rows):
        raise RefusedError("too many cells, or too few")
    return separator, rows


def slow_separator(text):
    """The only one in the first row outside quotes."""
    inside, used = False, set()
    for character in text:
        if character == '"':
            inside = not inside
        elif not inside and character in "\r\n":
            break
        elif not inside and character in ",;\t":
            used.add(character)
    if len(used) > 1:
        raise RefusedError("two separators")
    return used.pop() if used else ","


def slow_row(text, at, separator):
    """A row and where the next one begins."""
    row = []
    while True:
        start = at
        if text[at : at + 1] == '"':
            at = slow_quoted(text, at)
        else:
            while at < len(text) and text[at] not in separator + "\r\n":
                if text[at] == '"':
                    raise RefusedError("a quote inside a cell")
                at += 1
            if text[start:at].endswith("\\"):
                raise RefusedError("an escape")
        row.append(text[start:at])
        if at == len(text):
            return row, at
        if text[at] == separator:
            at += 1
            continue
        for end in ("\r\n", "\n"):
            if text.startswith(end, at):
                return row, at + len(end)
        raise RefusedError("something behind a quote, or a lone CR")


def slow_quoted(text, at):
    """Behind the quote that closes the cell which one opens here."""
    at += 1
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] == '"':
            raise RefusedError("an escape")
        if text[at] == '"':
            if text[at + 1 : at + 2] != '"':
                return at + 1
            at += 1
        at += 1
    raise RefusedError("a quote that nobody closes")


def said(raw):
    """What a raw cell says."""
    return raw[1:-1].replace('""', '"') if raw.startswith('"') else raw


def slow_table(body, columns, resource, permit, records, asker, always):
    """The table that may be shown, as bytes.

    `always`: the paths that show in every record that passes; the others need a cell to stay.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("not UTF-8") from None
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    separator, rows = slow_rows(text[len(mark) :])
    names = [said(raw) for raw in rows[0]]
    if len(set(names)) != len(names) or "" in names or not set(names) & set(columns):
        raise RefusedError("names")
    paths = [columns[name].steps if name in columns else ("." + name,) for name in names]
    kept = []
    for row in rows[1:]:
        record = {}
        for path, raw in zip(paths, row, strict=True):
            if said(raw):
                put(record, path, said(raw))
        stays = slow_record(record, resource, permit, records, asker)
        if stays is not None:
            shown = [raw if has(stays, p) else "" for p, raw in zip(paths, row, strict=True)]
            kept.append(shown)
    stay = [
        column
        for column, path in enumerate(paths)
        if path in always or any(row[column] for row in kept)
    ]
    if not stay:
        return b""
    out = [separator.join(row[column] for column in stay) for row in (rows[0], *kept)]
    return (mark + "".join(line + "\r\n" for line in out)).encode()


def slow_record(record, resource, permit, records, asker):
    """What stays of one record; None = it may not be seen."""
    body = json.dumps([record]).encode()
    try:
        made, _ = slow_cut(body, resource, permit, records, asker=asker)
    except NoSuchRecordError:
        return None
    return made[0] if made else None


def put(record, path, text):
    """Set a member, objects on the way included."""
    for step in path[:-1]:
        record = record.setdefault(step, {})
    record[path[-1]] = text


def has(record, path):
    """Is there such a member?"""
    for step in path:
        if not isinstance(record, dict) or step not in record:
            return False
        record = record[step]
    return True
