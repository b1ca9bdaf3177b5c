"""Configurations of other people's servers: tests/bench/peers/, with `@NAMES@` filled in."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.processes import Running, free_port, listening

PEERS = Path(__file__).parent / "peers"


def fill(template: str, folder: Path, **values: str) -> Path:
    """Write a configuration into the folder, with every `@NAME@` replaced."""
    text = (PEERS / template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    written = folder / template
    written.write_text(text, encoding="utf-8")
    return written


def nginx_command() -> str | None:
    """Debian keeps it where only root's PATH looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@contextmanager
def nginx(folder: Path, template: str, **values: str) -> Iterator[Running]:
    """An nginx of our own, with one worker, everything it writes in the folder."""
    command, port = nginx_command(), free_port()
    assert command is not None
    folder.mkdir(parents=True, exist_ok=True)
    # Its workers give up root otherwise, and with it the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    written = fill(template, folder, FOLDER=str(folder), PORT=str(port), USER=user, **values)
    words = [command, "-p", str(folder), "-e", str(folder / "nginx.log"), "-c", str(written)]
    with listening(words, folder / "nginx.out", port, {}) as running:
        yield running
