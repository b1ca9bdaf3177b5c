"""Which template takes a path: every template at once, thinned out segment by segment.

At each segment the templates still in the race are looked at in three groups, by what stands
at that place: the very same text; a slot; the final `**`. The first group that is not empty
stays in the race, the others are out. Before a slot or a `**` may take the segment, no
template still in the race may have there what looks like it: the same letters in another case
or with other accents, with every kind of `i` for an `i`. A slot takes 1 to 128 of A-Z a-z 0-9
_ - and nothing else. `**` takes that segment and all that follow. In the end the template must
be used up, its method must be the request's (HEAD counts as GET), and both must end with a `/`
or neither may.

To a CRM that reads any case, A to Z and a to z are the very same text. To one that reads any
end, it does not matter who ends with a `/`.
"""

import string
import unicodedata

PLAIN = string.ascii_letters + string.digits + "_-"


def pick(
    templates: list[str],
    method: str,
    segments: tuple[str, ...],
    *,
    slash: bool = False,
    any_case: bool = False,
    any_end: bool = False,
) -> str | None:
    """The template (`GET /clients/{id}`) that takes the request, or None."""
    race = [(template, _parts(template)) for template in templates]
    wanted = "GET" if method == "HEAD" else method
    for at, segment in enumerate(segments):
        longer = [(template, parts) for template, parts in race if len(parts) > at]
        same = [entry for entry in longer if _same(entry[1][at], segment, any_case=any_case)]
        if same:
            race = same
            continue
        literals = [parts[at] for _, parts in longer if _literal(parts[at])]
        if any(_looks(text) == _looks(segment) for text in literals):
            return None
        slots = [entry for entry in longer if entry[1][at].startswith("{")]
        if slots:
            if not 1 <= len(segment) <= 128 or any(char not in PLAIN for char in segment):
                return None
            race = slots
            continue
        rests = [template for template, parts in longer if parts[at] == "**"]
        return _ending(rests, wanted, slash=slash, any_end=any_end)
    ended = [template for template, parts in race if len(parts) == len(segments)]
    return _ending(ended, wanted, slash=slash, any_end=any_end)


def _parts(template: str) -> list[str]:
    path = template.split(" ", 1)[1]
    if path == "/":
        return []
    return (path[:-1] if path[-1] == "/" else path)[1:].split("/")


def _literal(part: str) -> bool:
    return part != "**" and not part.startswith("{")


def _same(part: str, segment: str, *, any_case: bool) -> bool:
    if not _literal(part) or len(part) != len(segment):
        return False
    for one, other in zip(part, segment, strict=True):
        letters = any_case and one in string.ascii_letters and other in string.ascii_letters
        if one != other and not (letters and one.lower() == other.lower()):
            return False
    return True


def _looks(text: str) -> str:
    found = ""
    for char in text:
        if char in "iIıİ":
            found += "i"
            continue
        for piece in unicodedata.normalize("NFKD", char.upper().casefold()):
            found += "" if unicodedata.category(piece) in {"Mn", "Mc", "Me"} else piece
    return found


def _ending(templates: list[str], method: str, *, slash: bool, any_end: bool) -> str | None:
    for template in templates:
        found, path = template.split(" ", 1)
        if found == method and (any_end or (path != "/" and path.endswith("/")) == slash):
            return template
    return None
