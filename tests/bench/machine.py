"""On which machine, when, and how busy it was."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench.measure import Contender, side_by_side, spell

CALLS = 100_000


def when() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d at %H:%M} UTC"


def machine(*, quick: bool) -> str:
    """Where and when."""
    call = side_by_side(
        {"call": Contender(run=_calls, operations=CALLS)}, rounds=1 if quick else 9
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in ("msgspec", "pycasbin", "pyjwt"))
    return (
        f"Measured on {when()}: {_processor()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, {platform.python_implementation()} "
        f"{platform.python_version()}, {libraries}. Load when it began: "
        f"{os.getloadavg()[0]:.1f}. For scale: calling a function that does nothing took "
        f"{spell(call['call'].seconds)}, {spell(call['call'].least)} in the best round.\n"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _calls() -> None:
    def nothing() -> None:
        pass

    for _ in range(CALLS):
        nothing()
