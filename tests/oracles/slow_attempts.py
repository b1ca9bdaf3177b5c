"""The rules K1 to K3 and S1 to S3 of identity/attempts.py once more, from their text, slowly.

Everything that ever happened is kept; what follows from it is worked out anew each time. The
clock goes forward here.
"""

from fractions import Fraction

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000


def wait_after(times, now, most):
    """`times`: tries in a row, the last at the end, none of them right."""
    row = []
    for at in times:
        if row and at - row[-1] >= 24 * HOUR:
            row = []
        row.append(at)
    if not row or now - row[-1] >= 24 * HOUR or len(row) < 5:
        return 0
    due = 15 * SECOND
    for _ in range(len(row) - 5):
        due = min(due * 2, most)
    return max(0, row[-1] + due - now)


class SlowKnown:
    def __init__(self):
        self.times = []

    def wait(self, now):
        return wait_after(self.times, now, 15 * MINUTE)

    def wrong(self, now):
        self.times.append(now)

    def right(self):
        self.times = []


class SlowStrangers:
    """One bucket."""

    def __init__(self):
        self.rows = {}
        self.left = Fraction(20)
        self.at = 0

    def _fill(self, now):
        self.left = min(Fraction(20), self.left + Fraction(now - self.at, MINUTE))
        self.at = now

    def wait(self, network, now):
        self._fill(now)
        until_one_is_free = (1 - self.left) * MINUTE
        return max(0, until_one_is_free, wait_after(self.rows.get(network, []), now, HOUR))

    def wrong(self, network, now):
        self._fill(now)
        self.left -= 1
        known = {n: row for n, row in self.rows.items() if now - row[-1] < 24 * HOUR}
        others = {n: row for n, row in known.items() if n != network}
        if len(others) >= 64:
            del others[min(others, key=lambda name: (others[name][-1], name))]
        self.rows = {**others, network: [*self.rows.get(network, []), now]}

    def right(self, network, now):
        self._fill(now)
        self.left = min(Fraction(20), self.left + 1)
        self.rows.pop(network, None)
