"""Somebody arrives with a device: may it come in, and is it noted that they came?

INVARIANT: whoever is idle is not seen by trying, or trying twice would let them in. A device that
waits or was refused is seen, so that it stands on the list of whoever says yes or no; but the
person is not, by it.
"""

from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.time import Instant
from gateway.identity.devices import DeviceRules, require_device
from gateway.identity.session import StandingPrincipal
from gateway.ports import Devices


async def arrive(
    devices: Devices,
    principal: StandingPrincipal,
    rules: DeviceRules,
    peer: str | None,
    now: Instant,
) -> StandingPrincipal:
    """Let somebody pass whose device may come in, and note it.

    Args:
        devices: the registry.
        principal: works here today.
        rules: gateway.yaml's.
        peer: from which address; None = that cannot be told.
        now: the instant of the request.

    Returns:
        The principal, with what the registry approves.

    Raises:
        RequestError: DEVICE_REFUSED, IDLE or DEVICE_WAITS.
        StateUnavailableError: the registry cannot tell.
    """
    known = await devices.of(principal.staff)
    try:
        person = require_device(known, principal, rules, now)
    except RequestError as error:
        if error.reason is not Reason.IDLE:
            devices.seen(principal, known, peer, now, admitted=False)
        raise
    devices.seen(principal, known, peer, now, admitted=True)
    return person
