"""Devices and idleness: the rules a second time, from their text, as a history.

Nothing is kept but what happened, in order. Whoever asks goes through all of it again:

* a device stands as somebody said last, unless it was forgotten since;
* one of which nobody said anything is known if it was let in, or would have been, when it first
  came (since it was forgotten last); it waits if new ones waited then;
* somebody is seen by each request that was let in, and by nothing else;
* they are idle when the days have passed since the latest of: the last request that was let in
  (the beginning of the registry, if there was none), their first day, the last reactivation.

And two places side by side: for each pair of minutes-long stays, the time that they share.
"""


def standing(history, device):
    """`new`, `known`, `waiting`, `approved` or `refused`."""
    state = "new"
    for what in history:
        if what.get("device") != device:
            continue
        if what["do"] == "forget":
            state = "new"
        elif what["do"] in {"approve", "refuse"} and state != "new":
            state = {"approve": "approved", "refuse": "refused"}[what["do"]]
        elif what["do"] == "come" and state == "new" and what["answer"] != "idle":
            state = "waiting" if what["waits"] else "known"
    return state


def is_idle(history, now, days, began, joined):
    if days is None:
        return False
    let_in = [w["at"] for w in history if w["do"] == "come" and w["answer"] == "in"]
    since = [max(let_in) if let_in else began, joined]
    since += [w["at"] for w in history if w["do"] == "reactivate"]
    return (now - max(since)).total_seconds() > days * 24 * 3600


def answer(history, device, now, *, waits, days, began, joined, roster):
    """`in`, `refused`, `idle` or `waits`, as somebody who asks at `now` is told."""
    state = standing(history, device)
    if state == "refused":
        return "refused"
    if is_idle(history, now, days, began, joined):
        return "idle"
    if not waits or state in {"known", "approved"} or device in roster:
        return "in"
    return "waits"


def is_approved(history, device, roster):
    state = standing(history, device)
    return state == "approved" or (device in roster and state != "refused")


def stays(visits, pause):
    """Visits as (place, second) → (place, first, last), a new one after a longer pause."""
    found = []
    for place in sorted({p for p, _ in visits}):
        current = []
        for second in sorted(s for p, s in visits if p == place):
            if current and second - current[-1] > pause:
                found.append((place, current[0], current[-1]))
                current = []
            current.append(second)
        found.append((place, current[0], current[-1]))
    return found


def side_by_side(visits, pause, long_enough):
    """Were two places visited for so long at the same time?"""
    every = stays(visits, pause)
    return any(
        len(range(max(a[1], b[1]), min(a[2], b[2]))) >= long_enough
        for a in every
        for b in every
        if a[0] != b[0]
    )
