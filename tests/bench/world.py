"""Everything that is measured over the wire, running: the CRM, the gateway, those beside it."""

import os
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contestants import Peer, peers
from tests.bench.crm import Crm, crm
from tests.bench.ours import SERVE, gateway, write_gateway
from tests.bench.policies import PEOPLE
from tests.bench.processes import Cores, Running, on
from tests.bench.wire import Asked, allow_open_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One of ours. `config` is its gateway.yaml, `token` somebody's whom it knows."""

    server: Running
    config: Path
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What runs, and where.

    Attributes:
        ours: the gateway that is compared.
        beside: the servers of those who are there, by name.
        absent: those who are not.
        rows: of the gateway's policy.
    """

    folder: Path
    cores: Cores
    crm: Crm
    ours: Gateway
    present: tuple[Peer, ...]
    beside: dict[str, Running]
    absent: tuple[Peer, ...]
    rows: int

    def asked(self, target: str, *, cut: bool = False, gateway: Gateway | None = None,
              **more: int) -> Asked:  # fmt: skip
        """A line that asks the gateway, or another one of ours."""
        one = gateway or self.ours
        return Asked(server=one.server, target=target, body=self.crm.bodies[target],
                     cut=cut, token=one.token, **more)  # fmt: skip

    @contextmanager
    def another(
        self, *, rows: int, people: int = PEOPLE, module: tuple[str, ...] = SERVE
    ) -> Iterator[Gateway]:
        """One more gateway in front of the same CRM, on the servers' core."""
        folder = Path(tempfile.mkdtemp(dir=self.folder)) / "gateway"
        with _gateway(folder, self.crm, self.cores, rows, people, module) as running:
            yield running


@contextmanager
def world(*, rows: int, huge_bytes: int, only: Collection[str] | None = None) -> Iterator[World]:
    """Start it; end it.

    Args:
        rows: of the gateway's policy.
        huge_bytes: size of the CRM's largest file.
        only: the names of those to start beside the gateway; None for all who are installed.
    """
    cores = Cores.of_machine()
    wanted = [peer for peer in peers() if only is None or peer.name in only]
    present = tuple(peer for peer in wanted if peer.version is not None)
    allow_open_files()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stack.enter_context(on(cores.others))
        behind = stack.enter_context(crm(folder / "crm", huge_bytes=huge_bytes))
        ours = stack.enter_context(_gateway(folder / "ours", behind, cores, rows, PEOPLE, SERVE))
        beside = {}
        for peer in present:
            own = folder / re.sub(r"\W+", "-", peer.name)
            own.mkdir()
            with on(cores.server):
                beside[peer.name] = stack.enter_context(peer.start(own, behind.port))
        yield World(
            folder=folder,
            cores=cores,
            crm=behind,
            ours=ours,
            present=present,
            beside=beside,
            absent=tuple(peer for peer in wanted if peer.version is None),
            rows=rows,
        )


def filesystem_of(path: Path) -> str:
    """Its type, as the kernel mounted it: `ext4`, `tmpfs`."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[2] == wanted:
            return rest.split()[0]
    return "a file system that the kernel does not name"


@contextmanager
def _gateway(
    folder: Path, behind: Crm, cores: Cores, rows: int, people: int, module: tuple[str, ...]
) -> Iterator[Gateway]:
    config, token = write_gateway(folder, behind.port, rows=rows, people=people)
    with ExitStack() as stack:
        with on(cores.server):
            server = stack.enter_context(gateway(config, module))
        yield Gateway(server=server, config=config, token=token)
