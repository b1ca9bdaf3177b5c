"""Does a question touch what is hidden? Written again, from what an owner writes.

A family is tried on each name as it comes: cut off what stands before and after the slot, and
see whether the rest is a spelling of a field. Nothing is spelled out beforehand.

An answer is `"ok"`, a list of rechecks (words, fields), or the reason of a refusal.
"""

import unicodedata

UNKNOWN, INVALID, BODY, HIDDEN = (
    "unknown_parameter",
    "parameter_invalid",
    "body_invalid",
    "hidden_field_asked",
)


class No(Exception):  # noqa: N818  # a refusal, not an error
    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


def dotted(before, middle, after):
    """What stands in a slot, as the paths it may mean."""
    found = {middle}
    if before.endswith("[") and after.startswith("]") and "." not in middle:
        found.add(middle.replace("][", "."))
    if (before.endswith("__") or after.startswith("__")) and "." not in middle:
        found.add(middle.replace("__", "."))
    return found


def in_family(key, name, spellings):
    """The fields of which a name speaks by a family; None = it is not of the family."""
    before, after = key.split("{field}")
    if not name.startswith(before) or not name.endswith(after):
        return None
    if len(name) < len(before) + len(after):
        return None
    middle = name[len(before) : len(name) - len(after)]
    found = [spellings[path] for path in dotted(before, middle, after) if path in spellings]
    return set().union(*found) if found else None


def declared_for(name, declared, spellings):
    """(kind, fields of which the name speaks), or None."""
    if name in declared:
        return declared[name], set()
    for key, kind in declared.items():
        if "{field}" in key:
            fields = in_family(key, name, spellings)
            if fields is not None:
                return kind, fields
    return None


def folded(value):
    return [w for w in unicodedata.normalize("NFKC", value).casefold().split() if w]


def judge(kind, spoken, value, secret, spellings, bad, rechecks):
    """One value under one kind; appends to `rechecks` or raises No."""
    if spoken & secret:
        raise No(HIDDEN)
    match kind:
        case "plain" | "searches":
            return
        case ("one_of", *words):
            if value not in words:
                raise No(bad)
        case ("max", most):
            digits = value.isascii() and value.isdigit() and (value == "0" or value[0] != "0")
            if not digits or len(value) > 9 or int(value) > most:
                raise No(bad)
        case "field":
            for item in value.split(",") if value != "" else []:
                bare = item.removeprefix("-")
                if bare in spellings:
                    if spellings[bare] & secret:
                        raise No(HIDDEN)
                elif secret:
                    raise No(HIDDEN)
        case ("search", looks, recheck):
            touched = secret if "*" in looks else secret & set(looks)
            if touched and not recheck:
                raise No(HIDDEN)
            if touched:
                words = folded(value)
                if len(value) > 128 or len(words) > 8 or (value and not words):
                    raise No(bad)
                rechecks.append(tuple(words))


def asked_in_query(declared, spellings, sensitive, hidden, query):
    secret = hidden if sensitive else hidden - {"unmapped"}
    rechecks = []
    for at, (name, value) in enumerate(query):
        found = declared_for(name, declared, spellings)
        if found is None and (sensitive or secret):
            return UNKNOWN
        if found is None:
            continue
        if name in [earlier for earlier, _ in query[:at]]:
            return INVALID
        try:
            judge(*found, value, secret, spellings, INVALID, rechecks)
        except No as no:
            return no.reason
    return rechecks


def leaves(value, path=()):
    """Every scalar of a body with its path; an empty object or array is one too."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list) and value:
        for inner in value:
            yield from leaves(inner, (*path, "[]"))
    else:
        yield path, value


def member_for(path, declared, spellings):
    """(kind, fields) of a member path, by trying each key on it."""
    written = [key for key in declared if "{field}" not in key]
    for key in written:
        if steps_of(key) == path:
            return declared[key], set()
    for key, kind in declared.items():
        steps = steps_of(key)
        at = [n for n, step in enumerate(steps) if "{field}" in step]
        if not at:
            continue
        before, slot, after = steps[: at[0]], steps[at[0]], steps[at[0] + 1 :]
        if path[: len(before)] != before or path[len(path) - len(after) :] != after:
            continue
        middle = path[len(before) : len(path) - len(after)]
        if len(middle) == 1 and (fields := in_family(slot, middle[0], spellings)) is not None:
            return kind, fields
        nested = slot == "{field}" and len(middle) > 1 and not any("." in one for one in middle)
        if nested and ".".join(middle) in spellings:
            return kind, set(spellings[".".join(middle)])
    return None


def steps_of(key):
    return tuple(part for step in key.split(".") for part in split_items(step))


def split_items(step):
    return (step[:-2], "[]") if step.endswith("[]") else (step,)


def asked_in_body(declared, spellings, hidden, body):
    """Of bodies whose objects and arrays all hold something: a set of possible answers.

    Several things may be wrong at once, and which is said first is nobody's business.
    """
    rechecks, reasons = [], set()
    for path, value in leaves(body):
        found = member_for(path, declared, spellings)
        if found is None:
            # Where something else may stand it is of another form; else nobody knows it.
            reasons |= {UNKNOWN, BODY}
            continue
        kind, spoken = found
        text = value if isinstance(value, str) else str(value)
        wrong = not isinstance(value, str) and not (
            kind in {"plain", "searches"}
            or (kind[0] == "max" and isinstance(value, int) and not isinstance(value, bool))
            or (kind[0] == "search" and not kind[2])
        )
        if wrong or (kind == "field" and text == ""):
            reasons |= {BODY}
            continue
        try:
            judge(kind, spoken, text, hidden, spellings, BODY, rechecks)
        except No as no:
            reasons.add(no.reason)
    return reasons or sorted(rechecks)
