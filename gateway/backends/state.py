"""`state` of gateway.yaml → the store it names. Connects to nothing: the first call does.

A URL says where, never how to check less: it takes no options, so that nobody can switch
off the check of a certificate in it.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from gateway.backends.redis_address import (
    MAX_SERVERS,
    SYSTEM_ALONE,
    RedisAddress,
    Server,
    TlsFiles,
    Topology,
    key_prefix,
)
from gateway.backends.redis_documents import RedisDocuments
from gateway.backends.redis_epochs import RedisEpochs
from gateway.backends.sqlite_documents import SqliteDocuments
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.ports import DocumentStore, EpochStore

LEDGER = "state/lock-ledger.sqlite3"  # beside gateway.yaml: what this machine saw of Redis
FORMS = (
    "`sqlite:PATH`, `redis://USER:PASSWORD@HOST:PORT/DB`, "
    "`redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DB` or "
    "`redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT`, with TLS as `rediss...`"
)
_PORTS = {Topology.SINGLE: 6379, Topology.SENTINEL: 26379, Topology.CLUSTER: 6379}

# What a user or a password may hold stands between `//` and the last `@`; RFC 3986 3.2.
_REDIS = re.compile(
    r"redis(?P<tls>s?)(?P<topology>(?:\+sentinel|\+cluster)?)://"
    r"(?:(?P<user>[^:@/?#\[\]]*)(?::(?P<password>[^@/?#\[\]]*))?@)?"
    r"(?P<servers>[^@/?#]+)(?:/(?P<path>[^?#]*))?"
)
_SERVER = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9_.-]{1,253}))(?::(?P<port>[0-9]{1,5}))?"
)
_SERVICE = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateHome:
    """Where the state is kept.

    Attributes:
        url: `sqlite:PATH` or one of the forms of Redis.
        base: the folder that relative paths start from.
        group: whose keys they are; Redis may be shared by several salon groups.
        files: for TLS.
    """

    url: str = field(repr=False)  # may hold a password
    base: Path
    group: str = "salon-gateway"
    files: TlsFiles = SYSTEM_ALONE

    @property
    def ledger(self) -> Path:
        """This machine's ledger of a Redis."""
        return self.base / LEDGER


def open_epochs(home: StateHome) -> EpochStore:
    """The epochs of the state.

    Raises:
        ValueError: it cannot be used so; the message repeats nothing of the URL.
    """
    if home.url.startswith("sqlite:"):
        return SqliteEpochs(home.base / _sqlite_path(home.url))
    return RedisEpochs(_address(home), prefix=key_prefix(home.group), ledger=home.ledger)


def open_documents(home: StateHome) -> DocumentStore:
    """The documents of the state, beside its epochs.

    With `sqlite:DIR/NAME.sqlite3` they are in `DIR/NAME-documents.sqlite3`: a file of their own,
    because an old copy of the epochs may be thrown away, and these may not. With Redis they are in
    its database, and this machine's ledger is `LEDGER`.

    Raises:
        ValueError: as `open_epochs`.
    """
    if home.url.startswith("sqlite:"):
        path = home.base / _sqlite_path(home.url)
        return SqliteDocuments(path.with_name(f"{path.stem}-documents{path.suffix}"))
    return RedisDocuments(_address(home), prefix=key_prefix(home.group), ledger=home.ledger)


def _sqlite_path(url: str) -> Path:
    rest = url.removeprefix("sqlite:")
    if not rest or rest.startswith(":") or "\0" in rest:
        raise ValueError("`sqlite:` needs the path of a file")
    return Path(rest)


def _address(home: StateHome) -> RedisAddress:
    address = parse_redis(home.url, home.files)
    if address.tls and home.files != SYSTEM_ALONE:
        try:
            home.files.context()  # now, for a finding; it is made anew at the first connection
        except OSError as error:
            raise ValueError(
                "the state's `ca_file`, `client_certificate` or `client_key` cannot be used: "
                f"{error.strerror or type(error).__name__}"
            ) from None
    return address


def parse_redis(url: str, files: TlsFiles | None = None) -> RedisAddress:
    """Read one of the forms of Redis.

    Raises:
        ValueError: it is anything else; the message repeats nothing of it.
    """
    if "?" in url or "#" in url:
        raise ValueError(
            "the state's URL takes no `?` options and no `#`; write them as `%3F`, `%23`"
        )
    parts = _REDIS.fullmatch(url)
    if parts is None:
        raise ValueError(f"state is {FORMS}")
    topology = Topology(parts["topology"])
    service, database = _path(topology, parts["path"] or "")
    return RedisAddress(
        servers=_servers(parts["servers"], topology),
        topology=topology,
        service=service,
        database=database,
        username=unquote(parts["user"]) if parts["user"] else None,
        password=unquote(parts["password"]) if parts["password"] else None,
        tls=bool(parts["tls"]),
        files=files or SYSTEM_ALONE,
    )


def _servers(text: str, topology: Topology) -> tuple[Server, ...]:
    listed = text.split(",")
    if topology is Topology.SINGLE and len(listed) > 1:
        raise ValueError(
            "the state's URL names several servers; say `redis+sentinel://` or `redis+cluster://`"
        )
    if len(listed) > MAX_SERVERS:
        raise ValueError(f"the state's URL names more than {MAX_SERVERS} servers")
    servers = tuple(_server(one, _PORTS[topology]) for one in listed)
    if len(set(servers)) < len(servers):  # one sentinel listed twice would have two voices
        raise ValueError("the state's URL names a server twice")
    return servers


def _server(text: str, usual_port: int) -> Server:
    parts = _SERVER.fullmatch(text)
    if parts is None:
        raise ValueError(f"the state's URL names no host; it is {FORMS}")
    port = usual_port if parts["port"] is None else int(parts["port"])
    if not 0 < port <= 65535:
        raise ValueError("the state's URL has a port that is none")
    return Server(host=(parts["six"] or parts["host"]).lower(), port=port)


def _path(topology: Topology, path: str) -> tuple[str, int]:
    """The service that sentinels know, and the database."""
    if topology is Topology.CLUSTER:
        if path not in {"", "0"}:
            raise ValueError(
                "a cluster has only the database 0: end the state's URL after the servers"
            )
        return "", 0
    service = ""
    if topology is Topology.SENTINEL:
        service, _, path = path.partition("/")
        if not _SERVICE.fullmatch(service):
            raise ValueError(
                "`redis+sentinel://...` needs `/SERVICE` after the servers: "
                "what the sentinels call the master"
            )
    database = path or "0"
    if not (database.isascii() and database.isdigit() and len(database) <= 4):
        raise ValueError("the state's URL ends in `/` and the database's number, or in neither")
    return service, int(database)
