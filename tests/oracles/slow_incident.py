"""Lockdown a second time, slowly, from the text of the rule: who passes, with which session.

    Between a start and the end after it, only owners pass. Every session that anybody was given
    before the last start is over for ever; so whoever passes at all signed in after that start.

Sessions here remember which starts came after them; there are no epochs and no clocks.
"""


class SlowHouse:
    def __init__(self):
        self.sessions = []  # each: whose, and whether a start has come since
        self.active = False
        self.told = None  # number, by, reason, contact

    def start(self, by, reason, contact):
        if self.active:
            number, who, why, line = self.told
            self.told = (number, who, why, contact or line)
            return
        self.active = True
        self.told = (1 if self.told is None else self.told[0] + 1, by, reason, contact)
        for session in self.sessions:
            session["over"] = True

    def end(self):
        self.active = False

    def sign_in(self, who, *, owner):
        """The number of the session; None = nobody may come in who is no owner."""
        if self.active and not owner:
            return None
        self.sessions.append({"who": who, "owner": owner, "over": False})
        return len(self.sessions) - 1

    def log_out(self, who):
        for session in self.sessions:
            if session["who"] == who:
                session["over"] = True

    def passes(self, number):
        session = self.sessions[number]
        return not session["over"] and (session["owner"] or not self.active)
