"""What the console is built of, and what one request has become on its way through it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiohttp import web

from gateway.accounts import Accounts
from gateway.bundle import Bundle
from gateway.console.authority import ConsoleSettings, Viewer
from gateway.console.gate import Caller
from gateway.console.places import Place
from gateway.console.refused import RecentRefusals
from gateway.console.team import State
from gateway.console.today import Policies
from gateway.console.visits import Visit, Visits
from gateway.console.words import Speech
from gateway.devices import DeviceRegistry
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import Instant
from gateway.grants import Grants
from gateway.identity.incident import OWNERS
from gateway.incidents import Incidents
from gateway.ports import Clock, EpochStore
from gateway.sessions import Sessions

MIN_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Everything that the rooms need.

    Attributes:
        language: `Accept-Language` → the code of a language the console speaks.
        device_key: 32 bytes or more that mark the names of devices in cookies
            (`identity/device_cookie.py`); another one after a restart, and browsers are new here.
        incidents: None = there is no room for them.
        owners: who still passes during one; only they begin or end one.
        contact: the line for those kept out, where none is given.
    """

    policies: Policies
    accounts: Accounts
    sessions: Sessions
    devices: DeviceRegistry
    grants: Grants
    epochs: EpochStore
    visits: Visits
    refusals: RecentRefusals
    clock: Clock
    settings: ConsoleSettings
    language: Callable[[Iterable[str]], str]
    device_key: bytes = field(repr=False)
    incidents: Incidents | None = None
    owners: frozenset[Role] = OWNERS
    contact: str = ""

    def __post_init__(self) -> None:
        if len(self.device_key) < MIN_KEY_BYTES:
            raise ValueError(f"the key that marks devices has {MIN_KEY_BYTES} bytes or more")

    async def state(self, now: Instant) -> State:
        """What the state knows of people, for one page.

        Raises:
            StateUnavailableError: it does not answer.
        """
        return State(
            rows=await self.epochs.rows(),
            locks=await self.sessions.locks(),
            devices=await self.devices.all(),
            now=now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that a page of ours, or nobody in particular, may ask.

    Attributes:
        device: the browser, if we have named it; None = it is new here.
        secret: the visit's, as the browser sent it; None = it sent none.
        partial: htmx asks: it wants the row that it takes the place of.
    """

    request: web.BaseRequest
    place: Place
    caller: Caller
    speech: Speech
    secret: str | None
    device: DeviceId | None
    now: Instant
    partial: bool

    @property
    def is_post(self) -> bool:
        """Does it ask for something to be done?"""
        return self.request.method == "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A request of somebody who is signed in and may be here: looked at anew each time."""

    asked: Asked
    secret: str
    visit: Visit
    viewer: Viewer
    bundle: Bundle

    @property
    def staff(self) -> StaffId:
        """Who asks."""
        return self.viewer.staff
