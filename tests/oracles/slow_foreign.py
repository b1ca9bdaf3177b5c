"""When a session of another issuer is in: the rule a second time, from its text, by its history.

Nothing here counts epochs: it remembers everything that happened, and looks back.
"""

from datetime import timedelta

REFUSED_THEN = "refused at first sight"


class SlowSessions:
    def __init__(self):
        self.known_since = {}  # person -> when the store came to know them
        self.logouts = []  # (person, device or None, number of the event)
        self.instants = []  # (person, device or None, instant)
        self.seen = {}  # session -> [first seen: number of the event, or REFUSED_THEN]
        self.number = 0

    def become_known(self, person, now):
        self.number += 1
        self.known_since.setdefault(person, now)

    def log_out(self, person, device, now):
        """Of a person nobody knew, everything ends, whatever the device."""
        self.number += 1
        whole = device if person in self.known_since else None
        self.known_since.setdefault(person, now)
        self.logouts.append((person, whole, self.number))
        self.instants.append((person, whole, now))

    def shown(self, person, session, device, iat, auth_time, now, leeway):
        """Is whoever shows this token in? The names of sessions are unique."""
        self.number += 1
        if session not in self.seen:
            self.known_since.setdefault(person, now)
            began = min(moment for moment in (iat, auth_time) if moment is not None)
            began -= timedelta(seconds=leeway)
            barriers = [self.known_since[person]]
            barriers += [
                at for who, which, at in self.instants if who == person and which in (None, device)
            ]
            # A logout is in force a millisecond after its own: what began in that very
            # millisecond is before it.
            late = [began <= at for at in barriers[1:]] + [began < barriers[0]]
            self.seen[session] = REFUSED_THEN if any(late) else self.number
        first = self.seen[session]
        if first == REFUSED_THEN:
            return False
        return not any(
            who == person and which in (None, device) and number > first
            for who, which, number in self.logouts
        )
