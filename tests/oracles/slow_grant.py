"""Whether a grant lifts the window for a request, and who may ask: plainly."""

MINUTE = 60_000


def lifts(grant, request):
    """Every word of the rule, one after the other; `grant` and `request` are plain dicts."""
    if grant["reviewed"]:
        return False
    if request["now"] < grant["asked"] - MINUTE:
        return False
    if request["now"] >= grant["until"]:
        return False
    for same in ("staff", "device", "epoch", "resource", "record"):
        if grant[same] != request[same]:
            return False
    if request["method"] != "GET":
        return False
    if request["action"] != "read":
        return False
    return grant["salon"] in request["salons"]


def may_ask(grant, now):
    if grant is None or grant["reviewed"]:
        return None
    begun = now >= grant["asked"] - MINUTE
    return "open" if begun and now < grant["until"] else "unreviewed"
