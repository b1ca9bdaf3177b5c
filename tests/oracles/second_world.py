"""What a phone with an authenticator app does, in the world of `accounts_world.py`."""

from gateway.identity.accounts import parse_account
from gateway.identity.half import Half
from gateway.identity.totp import STEP_SECONDS, counter_at, hotp
from gateway.ports import Kind
from tests.oracles.accounts_world import GOOD, HOME, MEI, NOON


class App:
    """The app on one phone: it has the key, and the world's clock."""

    def __init__(self, clock, secret):
        self.clock, self.secret = clock, secret

    def code(self, steps=0):
        return hotp(self.secret, counter_at(self.clock.now()) + steps)

    def fresh(self):
        """A code of a step that nobody has seen."""
        self.clock.later(seconds=STEP_SECONDS)
        return self.code()

    def wrong(self):
        """Six digits that are none of the three codes of now."""
        near = {self.code(steps) for steps in (-1, 0, 1)}
        return next(text for n in range(9) if (text := f"{n:06d}") not in near)


async def set_up(world, name="mei", *, device=None):
    """Somebody sets up a second factor; gives (app, Enrolled)."""
    half = await world.accounts.begin_second_factor(name, GOOD, "", peer=HOME, device=device)
    assert isinstance(half, Half), half
    app = App(world.clock, half.secret)
    return app, await world.accounts.enrol(half, app.code(), peer=HOME)


async def account_of(world, staff=MEI):
    kept = await world.documents.get(Kind.ACCOUNT, staff, NOON)
    return parse_account(kept.value)
