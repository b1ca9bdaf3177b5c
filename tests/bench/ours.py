"""The gateway as it runs in earnest, in a folder of its own, and a token to ask it with."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.app import load_settings
from gateway.backends.clock import SystemClock
from gateway.cli.token import Wish, issue_token
from gateway.domain.subject import StaffId
from tests.bench.policies import PEOPLE, STYLIST, write_policy
from tests.bench.processes import Running, speaking

SECRET = "kQ9v2mZr7xT4wB8nL1sD6fG3hJ5pYcVe"
SERVE = ("-m", "gateway")
TICKING = ("-m", "tests.bench.ticking")  # the same, and it says how long its loop stood still


def write_gateway(
    folder: Path, crm_port: int, *, rows: int, people: int = PEOPLE
) -> tuple[Path, str]:
    """A folder that `serve` runs from.

    Returns:
        Its gateway.yaml; and a token of STYLIST, who is enrolled in its state.
    """
    write_policy(folder, rows=rows, people=people)
    (folder / "secret").write_text(SECRET, encoding="utf-8")
    config = {
        "listen": {"port": 0},
        "admin_listen": {"port": 0},
        "upstream": {
            "url": f"http://127.0.0.1:{crm_port}",
            "adapter": "adapters/salon-demo.yaml",
        },
        "tokens": {"secret_file": "secret"},
        "apps": ["phone", "backoffice"],
        "limits": {"connections": 8192, "connections_per_peer": 8192},
    }
    written = folder / "gateway.yaml"
    written.write_text(json.dumps(config), encoding="utf-8")  # every JSON text is YAML too
    wish = Wish(staff=StaffId(STYLIST), app="phone")
    settings = load_settings(str(written))
    return written, asyncio.run(issue_token(settings, folder, wish, SystemClock().now()))


@contextmanager
def gateway(config: Path, module: tuple[str, ...] = SERVE) -> Iterator[Running]:
    """Run it: one process, state in SQLite, the trail synced to the disk under its folder."""
    words = [sys.executable, *module, "--config", str(config), "serve"]
    with speaking(words, config.with_name("gateway.log")) as running:
        yield running
