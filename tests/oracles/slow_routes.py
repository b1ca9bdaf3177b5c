"""Which template takes a path: every template at once, thinned out segment by segment.

At each segment the templates still in the race are looked at in three groups, by what stands
at that place: the very same text; a slot; the final `**`. The first group that is not empty
stays in the race, the others are out. Before a slot or a `**` may take the segment, no
template still in the race may have it there in another case. A slot takes 1 to 128 of
A-Z a-z 0-9 _ - and nothing else. `**` takes that segment and all that follow. In the end
the template must be used up, and its method must be the request's; HEAD counts as GET.
"""

import string

PLAIN = string.ascii_letters + string.digits + "_-"


def pick(templates: list[str], method: str, segments: tuple[str, ...]) -> str | None:
    """The template (`GET /clients/{id}`) that takes the request, or None."""
    race = [(template, _parts(template)) for template in templates]
    wanted = "GET" if method == "HEAD" else method
    for at, segment in enumerate(segments):
        longer = [(template, parts) for template, parts in race if len(parts) > at]
        same = [entry for entry in longer if entry[1][at] == segment and _literal(segment)]
        if same:
            race = same
            continue
        literals = [parts[at] for _, parts in longer if _literal(parts[at])]
        if any(text.casefold() == segment.casefold() for text in literals):
            return None
        slots = [entry for entry in longer if entry[1][at].startswith("{")]
        if slots:
            if not 1 <= len(segment) <= 128 or any(char not in PLAIN for char in segment):
                return None
            race = slots
            continue
        rests = [template for template, parts in longer if parts[at] == "**"]
        return _of_method(rests, wanted)
    ended = [template for template, parts in race if len(parts) == len(segments)]
    return _of_method(ended, wanted)


def _parts(template: str) -> list[str]:
    path = template.split(" ", 1)[1]
    return [] if path == "/" else path[1:].split("/")


def _literal(part: str) -> bool:
    return part != "**" and not part.startswith("{")


def _of_method(templates: list[str], method: str) -> str | None:
    for template in templates:
        if template.split(" ", 1)[0] == method:
            return template
    return None
