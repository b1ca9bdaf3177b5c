"""Which records does a request name? Written again, one place of the adapter after the other.

Whatever is not exactly an id where one is declared makes the whole request None.
"""

import string

ALPHABET = string.ascii_letters + string.digits + "-_"


def as_id(value):
    if value is True or value is False:
        return None
    if type(value) is int:
        # What a double cannot tell from its neighbours names no record.
        return str(value) if abs(value) < 9007199254740992 else None
    if type(value) is not str or not 1 <= len(value) <= 128:
        return None
    return value if all(letter in ALPHABET for letter in value) else None


def values_at(body, path):
    """`a.b` → the one value; `a.b[]` → each; None = it is not there."""
    names = path.removesuffix("[]").split(".")
    for name in names:
        if type(body) is not dict or name not in body:
            return None
        body = body[name]
    if not path.endswith("[]"):
        return [body]
    return body if type(body) is list and 1 <= len(body) <= 100 else None


def named(record, sources, query, body):
    """Ids in order without repeats, or None: refused."""
    values = [] if record is None else [record]
    for source in sorted(sources, key=lambda text: text.startswith("body:")):
        kind, _, where = source.partition(":")
        found = [v for n, v in query if n == where] if kind == "query" else values_at(body, where)
        if found is None or (kind == "query" and len(found) != 1):
            return None
        values.extend(found)
    ids = [as_id(value) for value in values]
    if None in ids:
        return None
    unique = []
    for one in ids:
        if one not in unique:
            unique.append(one)
    return tuple(unique) if len(unique) <= 100 else None
