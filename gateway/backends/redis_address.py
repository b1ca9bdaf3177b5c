"""Where Redis is and how to enter: one server, a master that sentinels name, or a cluster.

House rules
- `str()` and `repr()` hold no secret.
- TLS has no switch to check less: certificates and host names are always checked.
- Every key of a salon group begins with its hash tag, `{NAME}:`, so that in a cluster all of them
  are in one slot, and a script that touches several is always possible.
"""

import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

MAX_SERVERS = 16  # listed in a URL


class Topology(StrEnum):
    """What stands behind the listed servers; the value is what follows `redis` in the scheme."""

    SINGLE = ""
    SENTINEL = "+sentinel"
    CLUSTER = "+cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One process that speaks Redis."""

    host: str
    port: int = 6379

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files beside the system's authorities.

    Attributes:
        authorities: who signs servers, instead of the system's.
        certificate, key: our own, for servers that ask for one. Both or neither.
    """

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Checks certificates and host names. Reads files, for some 20 ms.

        Raises:
            OSError: a file cannot be read, or holds no certificate or key (ssl.SSLError).
        """
        context = ssl.create_default_context(cafile=self.authorities)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


SYSTEM_ALONE = TlsFiles()


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Where Redis is and how to enter.

    Attributes:
        servers: the server; or sentinels; or some nodes of a cluster.
        service: what the sentinels call the master; "" where there are none.
        username, password: the same for servers and sentinels.
    """

    servers: tuple[Server, ...]
    topology: Topology = Topology.SINGLE
    service: str = ""
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    files: TlsFiles = SYSTEM_ALONE

    def __str__(self) -> str:
        scheme = f"{'rediss' if self.tls else 'redis'}{self.topology}"
        path = f"{self.service}/{self.database}" if self.service else str(self.database)
        return f"{scheme}://{','.join(str(server) for server in self.servers)}/{path}"


def key_prefix(name: str) -> str:
    """What every key of the salon group begins with."""
    return f"{{{name}}}:"
