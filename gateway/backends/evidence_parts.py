"""What goes into a bundle of evidence: the trail of a range, the policy, the roster, the state.

House rule: gateway.yaml is not copied. Of its settings those in SAFE are told; every other one,
also one that is added tomorrow, is named with the words LEFT_OUT.
"""

import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from gateway import __version__
from gateway.backends.audit_directory import (
    TrailPath,
    list_trail,
    list_workers,
    seal_path,
    verify_directory,
    whole_size,
)
from gateway.backends.evidence import AUDIT, Part
from gateway.backends.policy_folder import SUFFIXES, read_owned
from gateway.identity.incident import Incident
from gateway.ports import EpochRow
from gateway.settings import Settings

LEFT_OUT: Final = "(left out)"
SECRETS: Final = ("secret", "password", "headers")  # how keys end whose values are looked for
SECRET_FILES: Final = ("secret_file", "password_file")
SAFE: Final = frozenset(
    {
        "listen.host",
        "listen.port",
        "listen.certificate",
        "listen.names",
        "listen.trusted_proxies",
        "admin_listen.host",
        "admin_listen.port",
        "admin_listen.names",
        "upstream.url",  # scheme, host and port: it is refused with anything more
        "upstream.adapter",
        "upstream.pass_cookies",
        "upstream.forward_token",
        "upstream.preserve_host",
        "upstream.ca_file",
        "upstream.connect_timeout_seconds",
        "upstream.answer_timeout_seconds",
        "upstream.total_timeout_seconds",
        "upstream.max_connections",
        "upstream.max_streams",
        "workers",
        "policies",
        "audit.directory",
        "audit.max_file_bytes",
        "audit.retention_days",
        "tokens.issuer",
        "tokens.audience",
        "tokens.claims.staff",
        "tokens.claims.device",
        "tokens.claims.epoch",
        "tokens.claims.app",
        "tokens.claims.roles",
        "tokens.leeway_seconds",
        "tokens.cookie",
        "tokens.origins",
        "accounts.enabled",
        "accounts.session_hours",
        "console.enabled",
        "console.roles",
        "console.everywhere",
        "incident.owners",
        "limits.request_body_bytes",
        "limits.stream_body_bytes",
        "limits.body_timeout_seconds",
        "limits.body_min_bytes_per_second",
        "limits.idle_timeout_seconds",
        "limits.connections",
        "limits.connections_per_peer",
        "apps",
        "networks",
        "log",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Days of the trail, both included; whole files are taken, so it is never less."""

    first: date
    last: date


def told_settings(settings: Settings) -> Mapping[str, Any]:
    """Every key of gateway.yaml with its value, if it is known to be safe."""
    return {key: value if key in SAFE else LEFT_OUT for key, value in _values(settings, "")}


def secrets_of(settings: Settings, base: Path) -> Sequence[bytes]:
    """Every secret that gateway.yaml knows of, for `evidence.pack` to look for.

    Raises:
        PolicyError: a file of one cannot be read.
    """
    found = [
        unquote(password) for password in (urlsplit(settings.state.url).password,) if password
    ]
    for key, value in _values(settings, ""):
        if key.endswith(SECRET_FILES) and isinstance(value, str):
            found.append(read_owned(base / value).decode("utf-8", "replace").strip())
        elif key.endswith(SECRETS):
            found += _strings(value)
    parts = {part for secret in found for part in (secret, secret.rpartition(" ")[2])}
    return [part.encode() for part in sorted(parts)]


def _strings(value: Any) -> list[str]:
    """`Bearer ...` in a header, a secret that stands there, a mapping of them."""
    if isinstance(value, Mapping):
        return [one for inner in value.values() for one in _strings(inner)]
    return [value] if isinstance(value, str) else []


def audit_parts(directory: Path, wanted: Range) -> Iterator[Part]:
    """The files of the trail that may hold an entry of the range, as far as they are whole.

    And what there is to say of each chain as it stands, all of it.

    Raises:
        OSError: they cannot be read, or are deleted meanwhile.
    """
    if not directory.is_dir():
        return  # nothing was ever entered here; the manifest names no file of a trail
    for worker in list_workers(directory):
        yield Part(name=f"{AUDIT}chain-{worker}.json", data=_json(_chain(directory, worker)))
        seal = seal_path(directory, worker)
        if seal.exists():
            yield Part(name=f"{AUDIT}{seal.name}", data=seal.read_bytes())
        for file in _within(list_trail(directory, worker), wanted):
            size = whole_size(file.path)
            yield Part(name=f"{AUDIT}{file.path.name}", data=file.path, size=size)


def policy_parts(settings: Settings, base: Path) -> Iterator[Part]:
    """The files that people wrote: rules, hours, roster, cases, the adapter.

    Raises:
        PolicyError: one of them cannot be read.
    """
    folder, adapter = base / settings.policies, base / settings.upstream.adapter
    yield Part(name=f"adapter/{adapter.name}", data=read_owned(adapter))
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(step.startswith(".") for step in inside.parts)
        if path.suffix in SUFFIXES and path.is_file() and not hidden:
            yield Part(name=f"policy/{inside.as_posix()}", data=read_owned(path))


def state_parts(incident: Incident | None, rows: Sequence[EpochRow]) -> Iterator[Part]:
    """The last incident, and who had a session since when."""
    if incident is not None:
        told = {name: getattr(incident, name) for name in incident.__struct_fields__}
        yield Part(name="state/incident.json", data=_json(told))
    sessions = [
        {
            "staff": row.staff,
            "device": row.device,
            "floor": row.floor,
            "changed_at": row.changed_at.isoformat(),
        }
        for row in rows
    ]
    yield Part(name="state/sessions.json", data=_json(sessions))


def settings_parts(settings: Settings) -> Iterator[Part]:
    """What of gateway.yaml may be told, and which programs run here."""
    yield Part(name="settings.json", data=_json(told_settings(settings)))
    yield Part(name="versions.json", data=_json(versions()))


def versions() -> Mapping[str, Any]:
    """This program, its language, its libraries."""
    libraries = {
        str(one.metadata["Name"]).lower(): one.version
        for one in importlib.metadata.distributions()
        if one.metadata["Name"]
    }
    return {
        "salon-gateway": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "libraries": libraries,
    }


def _chain(directory: Path, worker: str) -> Mapping[str, Any]:
    try:
        report = verify_directory(directory, worker, {})
    except ValueError as error:
        return {"worker": worker, "whole": False, "detail": str(error)}
    broken, last = report.broken, report.last
    return {
        "worker": worker,
        "whole": broken is None,
        "detail": None if broken is None else f"{broken.file}:{broken.line}: {broken.detail}",
        "files": report.files,
        "lines": report.lines,
        "last": None if last is None else {"n": last.n, "hash": last.hash},
    }


def _within(files: Sequence[TrailPath], wanted: Range) -> Iterator[TrailPath]:
    """A file holds entries from the day it began up to the day on which the next one did."""
    for file, following in zip(files, [*files[1:], None], strict=True):
        ends = date.max if following is None else following.day
        if file.day <= wanted.last and wanted.first <= ends:
            yield file


def _values(model: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every key with its value; of a list of settings each one's, under the same key."""
    for name in type(model).model_fields:
        key, value = f"{prefix}{name}", getattr(model, name)
        inner = value if isinstance(value, tuple) else (value,)
        models = [one for one in inner if isinstance(one, BaseModel)]
        for one in models:
            yield from _values(one, f"{key}.")
        if not models:
            yield key, value


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    return text.encode() + b"\n"
