"""One of the processes of `serve --workers N`. The supervisor starts it; nobody does by hand.

It is the gateway as `serve` runs it, but for where its orders come from, who has the admin port,
and that it ends when its supervisor does.
"""

import asyncio
import contextlib
import sys
from functools import partial
from pathlib import Path

from gateway.app import Gateway, Share
from gateway.backends.bundle_files import MAX_FINDINGS_TOLD
from gateway.backends.worker_channel import Lifeline, Listening, Orders
from gateway.cli.exits import Exit
from gateway.cli.say import print_findings
from gateway.cli.serve import Told, cannot_listen, set_up_logging, spare_what_stays, until_stopped
from gateway.domain.errors import GatewayError
from gateway.domain.finding import PolicyError
from gateway.events import Event, emit
from gateway.settings import Settings


def main() -> int:
    """Serve until the supervisor says so, or is gone; return the exit code."""
    lifeline = Lifeline(int(sys.argv[1]))
    try:
        orders = lifeline.orders()
    except EOFError:
        return Exit.BROKEN
    settings = Settings.model_validate_json(orders.settings)
    set_up_logging(settings.log, orders.worker)
    try:
        asyncio.run(_serve(lifeline, orders, settings))
    except PolicyError as error:
        return _tell(error, orders)
    except GatewayError as error:
        print(f"salon-gateway: {error}", file=sys.stderr)
        return Exit.BROKEN
    except OSError as error:
        return cannot_listen(settings, error)
    finally:
        if lifeline.gone:  # nobody else is left to tidy up; the last of us succeeds
            with contextlib.suppress(OSError):
                Path(orders.admin).parent.rmdir()
    return Exit.GOOD


async def _serve(lifeline: Lifeline, orders: Orders, settings: Settings) -> None:
    signals = Told.by_signals()
    loop = asyncio.get_running_loop()
    lifeline.follow(
        reload=partial(_from_thread, loop, signals.hung_up),
        stop=partial(_from_thread, loop, signals.stopped),
    )
    gateway = await Gateway.start(
        settings,
        Path(orders.base),
        settings_file=Path(orders.settings_file),
        share=Share(worker=str(orders.worker), admin=Path(orders.admin)),
    )
    spare_what_stays()
    try:
        lifeline.say(Listening(policy=gateway.bundles.current().digest))
        await until_stopped(gateway, signals)
    finally:
        await gateway.stop()


def _from_thread(loop: asyncio.AbstractEventLoop, flag: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: we are at our end already
        loop.call_soon_threadsafe(flag.set)


def _tell(error: PolicyError, orders: Orders) -> int:
    """At the first start to whoever started us, as `serve` alone would; later to the log."""
    if orders.again:
        findings = [str(finding) for finding in error.findings[:MAX_FINDINGS_TOLD]]
        emit(Event.POLICY_LOAD_FAILED, reason="findings", findings=findings)
    else:
        print_findings(error.findings, orders.output, sys.stderr)
    return Exit.POLICY


if __name__ == "__main__":
    sys.exit(main())
