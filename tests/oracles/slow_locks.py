"""Who is locked and who has left: the rules a second time, from their text, as a history.

Nothing is kept but what was done and when. Whoever asks goes through all of it again:

* seeing out sets the instant of leaving: the one asked for, or the act's own if that is later;
  after that instant nothing changes it, before it each seeing out sets it anew;
* a lock and an unlock count until the person has left, and nothing else touches them;
* the last notice that was given with a seeing out that counted is the one that counts.

An instant counts in whole milliseconds, rounded down.
"""

from datetime import UTC, datetime, timedelta


def whole(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def leaving(acts):
    """The instant of leaving in milliseconds and the date of notice, each None if not said."""
    leaves, notice = None, None
    for act in acts:
        if act["do"] != "offboard" or (leaves is not None and whole(act["now"]) >= leaves):
            continue
        leaves = max(whole(act["at"] or act["now"]), whole(act["now"]))
        notice = act["notice"] or notice
    return leaves, notice


def verdict(acts, now):
    """`left`, `locked` or None, as somebody who asks at `now` is told."""
    leaves, _ = leaving(acts)
    if leaves is not None and whole(now) >= leaves:
        return "left"
    locked = False
    for act in acts:
        if act["do"] == "lock":
            locked = True
        if act["do"] == "unlock":
            locked = False
    return "locked" if locked else None
