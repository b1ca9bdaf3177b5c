"""gateway.yaml, the file of ops: where to listen, what stands behind, how to know people.

Flags > environment > file. Every key can be given as `SALON_GATEWAY_<KEY>` with `__`
between levels (`SALON_GATEWAY_UPSTREAM__URL`), and as `..._FILE` naming a file that holds
the value, for secrets. `${NAME}` in a value of the file is replaced from the environment.
Files, the environment and the clock are read by the shell and given to `parse_settings`.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_network
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.domain.finding import Finding, Place, PolicyError
from gateway.domain.subject import is_name
from gateway.texts.yamltext import Document, Strict, parse_yaml, validate

PREFIX = "SALON_GATEWAY_"
MAX_WORKERS = 64
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_FILES = frozenset({"UPSTREAM__CA_FILE", "TOKENS__SECRET_FILE"})  # settings of that name
_RESERVED = frozenset({"CONFIG"})  # `SALON_GATEWAY_CONFIG` names the file itself


def _network(text: str) -> str:
    network = ip_network(text)  # raises ValueError with a readable message
    address = network.network_address
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if mapped is not None and network.prefixlen >= 96:
        # Addresses are compared as the IPv4 ones they are: this would quietly match none.
        raise ValueError(f"write `{text}` as IPv4: `{mapped}/{network.prefixlen - 96}`")
    return text


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"`{text}` is not `http://host` or `https://host`")
    if parts.path.rstrip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError(f"`{text}` must be scheme, host and port only")
    return text.rstrip("/")


def _bare_name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"`{text}` is not a name: lower-case letters, digits, `_` and `-`")
    return text


def _state_url(text: str) -> str:
    if not text.startswith(("sqlite:", "redis://", "rediss://")):
        raise ValueError("state is `sqlite:PATH`, `redis://HOST:PORT/DB` or `rediss://...`")
    return text


def _days(value: int | str) -> int | str:
    if isinstance(value, int) and not 1 <= value <= 36_500:
        raise ValueError("`retention_days` is 1 to 36500, or `forever`")
    return value


Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Name = Annotated[str, AfterValidator(_bare_name)]
Origin = Annotated[str, AfterValidator(_origin)]
Network = Annotated[str, AfterValidator(_network)]


class Listen(Strict):
    """Where the guarded port is."""

    host: str = "127.0.0.1"
    port: Port = 8080
    certificate: str | None = None  # PEM chain
    key: str | None = None
    names: tuple[str, ...] = ()  # Host values to answer to; none = any well-formed one
    trusted_proxies: tuple[Network, ...] = ()  # whose `X-Forwarded-For` is believed

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` and `key` go together; give both or neither")
        return self


class AdminListen(Strict):
    """Where /healthz, /readyz and /metrics are. Keep it on loopback or a private network."""

    host: str = "127.0.0.1"
    port: Port = 9180
    names: tuple[str, ...] = ()


class Upstream(Strict):
    """The CRM behind the gateway."""

    url: Origin
    adapter: str
    headers: dict[str, str] = Field(default_factory=dict)
    lookup_headers: dict[str, str] = Field(default_factory=dict)  # instead, for look-ups
    pass_cookies: tuple[str, ...] = ()
    forward_token: bool = False
    preserve_host: bool = False
    ca_file: str | None = None
    connect_timeout_seconds: Seconds = 2.0
    answer_timeout_seconds: Seconds = 15.0
    total_timeout_seconds: Seconds = 60.0
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 100
    max_streams: Annotated[int, Field(ge=0, le=100_000)] = 1000  # more, for what streams


class State(Strict):
    """Where device-session epochs are kept."""

    # Not in repr: the URL may hold a password.
    url: Annotated[str, AfterValidator(_state_url)] = Field(
        default="sqlite:state/epochs.sqlite3", repr=False
    )


class Audit(Strict):
    """Where the audit trail is kept, and for how long."""

    directory: str = "audit"
    max_file_bytes: Annotated[int, Field(ge=4096, le=2**31)] = 64 * 2**20
    retention_days: Annotated[int | Literal["forever"], AfterValidator(_days)] = 400


class ClaimNames(Strict):
    """Which claim of a token says what."""

    staff: str = "sub"
    device: str = "device"
    epoch: str = "epoch"
    app: str = "app"
    roles: str | None = None  # given: roles in it narrow the roster's, never add


class Tokens(Strict):
    """Whose tokens count, and how they are checked."""

    issuer: str = "salon-gateway"
    audience: str = "salon-crm"
    secret: str | None = Field(default=None, repr=False)  # HS256, 32 bytes or more
    secret_file: str | None = None  # path of a file that holds the secret
    jwks: str | None = None  # path of a JWKS file: RS256, ES256, EdDSA
    claims: ClaimNames = ClaimNames()
    leeway_seconds: Annotated[int, Field(ge=0, le=60)] = 0
    cookie: str | None = None  # besides `Authorization: Bearer`
    origins: tuple[Origin, ...] = ()  # our own, for unsafe methods with the cookie

    @model_validator(mode="after")
    def _some_key(self) -> Self:
        if self.secret is not None and self.secret_file is not None:
            raise ValueError("`secret` and `secret_file` are two; give one of them")
        if self.secret is None and self.secret_file is None and self.jwks is None:
            raise ValueError("give a `secret_file` (HS256) or a `jwks` file to check tokens with")
        if self.cookie is not None and not self.origins:
            raise ValueError("`cookie` needs `origins`: the gateway's own https://host")
        return self


class Accounts(Strict):
    """Signing in at the gateway itself, where nobody else says who people are."""

    enabled: bool = False
    session_hours: Annotated[int, Field(ge=1, le=24 * 7)] = 12  # renewed while it is used


class Console(Strict):
    """The owner's rooms on the admin port."""

    enabled: bool = False
    roles: tuple[str, ...] = ("role:manager", "role:owner")  # who may enter
    everywhere: tuple[str, ...] = ("role:owner",)  # and see every salon, not only their own


class Limits(Strict):
    """Bounds of one request. Beyond them it is refused, never cut short."""

    request_body_bytes: Annotated[int, Field(ge=1, le=2**31)] = 2 * 2**20
    stream_body_bytes: Annotated[int, Field(ge=1, le=2**40)] = 64 * 2**20  # of a `pass` route
    body_timeout_seconds: Seconds = 30.0
    body_min_bytes_per_second: Annotated[int, Field(ge=1, le=2**30)] = 1024  # of a streamed one
    idle_timeout_seconds: Seconds = 30.0  # between requests, and for a whole request head
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    connections_per_peer: Annotated[int, Field(ge=1, le=1_000_000)] = 512


class Settings(Strict):
    """gateway.yaml, whole."""

    listen: Listen = Listen()
    admin_listen: AdminListen = AdminListen()
    upstream: Upstream
    workers: Annotated[int, Field(ge=1, le=MAX_WORKERS)] = 1  # processes on the guarded port
    policies: str = "policies"
    state: State = State()
    audit: Audit = Audit()
    tokens: Tokens
    accounts: Accounts = Accounts()
    console: Console = Console()
    limits: Limits = Limits()
    apps: tuple[Name, ...] = ()  # values the token's `app` claim may have, for `app:<name>`
    networks: dict[Name, tuple[Network, ...]] = Field(default_factory=dict)
    log: Literal["json", "text"] = "json"

    @model_validator(mode="after")
    def _sign_in_can_be_kept(self) -> Self:
        tokens = self.tokens
        if not self.accounts.enabled:
            return self
        if tokens.secret is None and tokens.secret_file is None:
            raise ValueError(
                "`accounts.enabled` needs a key to sign with: give `tokens.secret_file`"
            )
        # RFC 6265bis 4.1.3.2: no other host, no page without TLS can set a cookie so named.
        if tokens.cookie is None or not tokens.cookie.startswith("__Host-"):
            raise ValueError(
                "`accounts.enabled` needs `tokens.cookie` with a name that begins with `__Host-`"
            )
        if tokens.cookie in self.upstream.pass_cookies:
            raise ValueError(
                "`tokens.cookie` stands in `upstream.pass_cookies`; take it out there"
            )
        return self


def parse_settings(
    text: str,
    file: str,
    environment: Mapping[str, str],
    read_file: Callable[[str], str],
) -> Settings:
    """Read gateway.yaml, with the environment laid over it.

    Args:
        text: the file's text.
        file: its name, for findings.
        environment: the process environment.
        read_file: reads the file that a `..._FILE` variable names; OSError if it cannot.

    Raises:
        PolicyError: every finding at once.
    """
    document = parse_yaml(text, file)
    if not isinstance(document.data, dict):
        raise PolicyError([document.finding("gateway.yaml holds keys and values")])
    findings: list[Finding] = []
    data = _substitute(document, document.data, (), environment, findings)
    _overlay(data, environment, read_file, findings)
    if findings:
        raise PolicyError(findings)
    return validate(Document(file, data, document.places), Settings)


def _substitute(
    document: Document,
    value: Any,
    path: tuple[str | int, ...],
    environment: Mapping[str, str],
    findings: list[Finding],
) -> Any:
    """Replace every `${NAME}` from the environment."""
    if isinstance(value, dict):
        return {
            key: _substitute(document, inner, (*path, key), environment, findings)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [
            _substitute(document, inner, (*path, index), environment, findings)
            for index, inner in enumerate(value)
        ]
    findings.extend(
        document.finding(f"`${{{name}}}` is not in the environment", *path)
        for name in _VARIABLE.findall(value)
        if name not in environment
    )
    return _VARIABLE.sub(lambda match: environment.get(match[1], ""), value)


def _overlay(
    data: dict[str, Any],
    environment: Mapping[str, str],
    read_file: Callable[[str], str],
    findings: list[Finding],
) -> None:
    """Lay `SALON_GATEWAY_...` variables over the file's values."""
    for variable, given in sorted(environment.items()):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in _RESERVED:
            continue
        value = given
        if name.endswith("_FILE") and name not in _FILES:
            name = name.removesuffix("_FILE")
            try:
                value = read_file(given).strip()
            except OSError as error:
                findings.append(
                    Finding(Place(variable), f"cannot read the file: {error.strerror}")
                )
                continue
        *parents, last = name.lower().split("__")
        level = data
        for parent in parents:
            inner = level.setdefault(parent, {})
            level = inner if isinstance(inner, dict) else {}
        level[last] = value
