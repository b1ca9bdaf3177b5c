"""`state.url` → the store it names. Connects to nothing: that happens at the first call.

A URL says where, never how to check less: it takes no options, so that nobody can switch
off the check of a certificate in it.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.backends.redis_documents import RedisDocuments
from gateway.backends.redis_epochs import PREFIX, RedisEpochs
from gateway.backends.redis_link import RedisAddress
from gateway.backends.sqlite_documents import SqliteDocuments
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.ports import DocumentStore, EpochStore

LEDGER = "state/lock-ledger.sqlite3"  # beside gateway.yaml: what this machine saw of Redis
FORMS = "`sqlite:PATH`, `redis://USER:PASSWORD@HOST:PORT/DB` or `rediss://...`"


def open_epochs(url: str, *, prefix: str = PREFIX) -> EpochStore:
    """The store that the URL names.

    Args:
        url: `sqlite:PATH` (relative to the working directory, or absolute), `redis://` or
            `rediss://` (TLS, certificates checked against the system's).
        prefix: what every Redis key begins with.

    Raises:
        ValueError: the URL is none of these; the message repeats nothing of it.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "sqlite":
            return SqliteEpochs(_sqlite_path(rest))
        case "redis" | "rediss":
            return RedisEpochs(parse_redis(url), prefix=prefix)
        case _:
            raise ValueError(f"state is {FORMS}")


def open_documents(url: str, base: Path, *, prefix: str = PREFIX) -> DocumentStore:
    """The documents of the state that the URL names, beside its epochs.

    With `sqlite:DIR/NAME.sqlite3` they are in `DIR/NAME-documents.sqlite3`: a file of their own,
    because an old copy of the epochs may be thrown away, and these may not. With Redis they are in
    its database, and this machine's ledger of locks is `LEDGER`.

    Args:
        url: as for `open_epochs`.
        base: the folder that relative paths start from.
        prefix: what every Redis key begins with.

    Raises:
        ValueError: the URL is none of these; the message repeats nothing of it.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "sqlite":
            path = base / _sqlite_path(rest)
            return SqliteDocuments(path.with_name(f"{path.stem}-documents{path.suffix}"))
        case "redis" | "rediss":
            return RedisDocuments(parse_redis(url), prefix=prefix, ledger=base / LEDGER)
        case _:
            raise ValueError(f"state is {FORMS}")


def _sqlite_path(rest: str) -> Path:
    if not rest or rest.startswith(":") or "\0" in rest:
        raise ValueError("`sqlite:` needs the path of a file")
    return Path(rest)


def parse_redis(url: str) -> RedisAddress:
    """Read `redis[s]://[[user]:password@]host[:port][/db]`.

    Raises:
        ValueError: it is anything else; the message repeats nothing of it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"state is not a URL; it is {FORMS}") from None
    if parts.query or parts.fragment:
        raise ValueError("the state's URL takes no `?` options and no `#`")
    if not parts.hostname:
        raise ValueError(f"the state's URL names no host; it is {FORMS}")
    database = parts.path.removeprefix("/") or "0"
    if not (database.isascii() and database.isdigit() and len(database) <= 4):
        raise ValueError("the state's URL ends in `/` and the database's number, or in neither")
    return RedisAddress(
        host=parts.hostname,
        port=6379 if port is None else port,
        database=int(database),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=parts.scheme == "rediss",
    )
