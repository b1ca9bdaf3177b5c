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
MAX_ISSUERS = 16
MAX_CONTACT = 200  # characters
_REDIS = re.compile(r"rediss?(?:\+sentinel|\+cluster)?://")
_MAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
    re.ASCII,
)
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_FILES = frozenset(
    {"UPSTREAM__CA_FILE", "STATE__CA_FILE", "TOKENS__SECRET_FILE"}
)  # settings of that name
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


def _role(text: str) -> str:
    kind, _, name = text.partition(":")
    if kind != "role" or not is_name(name):
        raise ValueError(f"`{text}` is not a role; write `role:owner`")
    return text


def _contact(text: str | None) -> str | None:
    if text is not None and (not text.isprintable() or not 1 <= len(text) <= MAX_CONTACT):
        raise ValueError(f"a contact line is one line of 1 to {MAX_CONTACT} characters")
    return text


def _state_url(text: str) -> str:
    if not text.startswith("sqlite:") and not _REDIS.match(text):
        raise ValueError(
            "state is `sqlite:PATH`, `redis://HOST:PORT/DB`, "
            "`redis+sentinel://HOST,HOST/SERVICE/DB` or `redis+cluster://HOST,HOST`, "
            "with TLS as `rediss...`"
        )
    return text


def _days(value: int | str) -> int | str:
    if isinstance(value, int) and not 1 <= value <= 36_500:
        raise ValueError("`retention_days` is 1 to 36500, or `forever`")
    return value


def _idle_days(value: int | str) -> int | str:
    if isinstance(value, int) and not 1 <= value <= 3650:
        raise ValueError("`idle_days` is 1 to 3650, or `never`")
    return value


def _https_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"`{text}` is not `https://host/path`")
    if parts.username or parts.password is not None or parts.fragment:
        raise ValueError("an address of keys has neither a user nor a `#`")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("an address of keys is plain ASCII")
    if parts.port == 0:  # raises ValueError itself for what is no port
        raise ValueError("0 is no port")
    return text


def _is_loopback(host: str) -> bool:
    """A name of this machine itself, by the one spelling of each."""
    return host in {"localhost", "127.0.0.1", "::1"}


def _notify_url(text: str) -> str:
    parts = urlsplit(text)
    plain = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    if not plain and (parts.scheme != "https" or not parts.hostname):
        raise ValueError("a webhook is `https://host/path`; `http:` only on this machine")
    if parts.username or parts.password is not None or parts.fragment or parts.port == 0:
        raise ValueError("a webhook has neither a user nor a `#`, and a port from 1 on")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a webhook's address is plain ASCII")
    return text


def _mail_address(text: str) -> str:
    # The one form that needs no quoting anywhere (RFC 5322 3.4.1, without quoted-string).
    if _MAIL.fullmatch(text) is None:
        raise ValueError(f"`{text}` is not a mail address; write `ken@salon.example`")
    return text


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
    """Where logouts, locks and what else is known of people are kept."""

    # Not in repr: the URL may hold a password.
    url: Annotated[str, AfterValidator(_state_url)] = Field(
        default="sqlite:state/epochs.sqlite3", repr=False
    )
    prefix: Name = "salon-gateway"  # whose keys: several salon groups may share a Redis
    ca_file: str | None = None  # PEM, instead of the system's authorities
    client_certificate: str | None = None  # PEM chain, for a Redis that asks for one
    client_key: str | None = None

    @model_validator(mode="after")
    def _only_what_counts(self) -> Self:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError(
                "`client_certificate` and `client_key` go together; give both or neither"
            )
        files = self.ca_file, self.client_certificate
        if files != (None, None) and not self.url.startswith("rediss"):
            raise ValueError(
                "`ca_file`, `client_certificate` and `client_key` are for TLS; "
                "begin `state.url` with `rediss` for it"
            )
        if "prefix" in self.model_fields_set and self.url.startswith("sqlite:"):
            raise ValueError("`prefix` is for a Redis that is shared; take it out")
        return self


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


class ForeignClaims(Strict):
    """Which claim of another issuer's token says what. What is not named is not read."""

    staff: str = "sub"
    device: str | None = None
    epoch: str | None = None  # given: the issuer was told ours; else by when it is seen first
    app: str | None = None
    roles: str | None = None


class ForeignTokens(Strict):
    """Tokens of one other issuer."""

    issuer: Annotated[str, Field(min_length=1, max_length=256)]
    audience: Annotated[str, Field(min_length=1)]
    jwks: str | None = None  # path of a JWKS file
    jwks_url: Annotated[str, AfterValidator(_https_url)] | None = None
    ca_file: str | None = None  # who signed the certificate of `jwks_url`, instead of the system's
    algorithms: tuple[Literal["RS256", "ES256", "EdDSA"], ...] = ("RS256", "ES256", "EdDSA")
    keep_hours: Annotated[int, Field(ge=1, le=24 * 7)] = 24  # of keys that cannot be had any more
    claims: ForeignClaims = ForeignClaims()
    sign_in: bool = False  # people sign in there, at `/_salon/sign-in`
    client_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    client_secret_file: str | None = None  # path; none = a public client, by PKCE alone

    @model_validator(mode="after")
    def _sign_in_has_what_it_needs(self) -> Self:
        if not self.sign_in:
            if self.client_id is not None or self.client_secret_file is not None:
                raise ValueError("`client_id` and `client_secret_file` go with `sign_in: true`")
            return self
        if self.client_id is None or not self.client_id.isascii():
            raise ValueError("`sign_in: true` needs the `client_id` that the provider gave")
        parts = urlsplit(_https_url(self.issuer))
        if parts.query:
            raise ValueError("`sign_in: true` needs an `issuer` that is an https address")
        return self

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.jwks is None) == (self.jwks_url is None):
            raise ValueError("give a `jwks` file or a `jwks_url`, one of them")
        if self.ca_file is not None and self.jwks_url is None and not self.sign_in:
            raise ValueError("`ca_file` goes with `jwks_url`")
        if not self.algorithms:
            raise ValueError("`algorithms` names one at least, or is left out")
        return self


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
    issuers: Annotated[tuple[ForeignTokens, ...], Field(max_length=MAX_ISSUERS)] = ()  # besides

    @model_validator(mode="after")
    def _issuers_apart(self) -> Self:
        names = [self.issuer, *(one.issuer for one in self.issuers)]
        if len(set(names)) != len(names):
            raise ValueError("two issuers have one name; a token could be of either")
        if self.issuers and self.secret is None and self.secret_file is None:
            raise ValueError(
                "sessions of other `issuers` are remembered under a key: give a `secret_file`"
            )
        return self

    @model_validator(mode="after")
    def _some_key(self) -> Self:
        if self.secret is not None and self.secret_file is not None:
            raise ValueError("`secret` and `secret_file` are two; give one of them")
        if self.secret is None and self.secret_file is None and self.jwks is None:
            raise ValueError("give a `secret_file` (HS256) or a `jwks` file to check tokens with")
        if self.cookie is not None and not self.origins:
            raise ValueError("`cookie` needs `origins`: the gateway's own https://host")
        return self


class SecondFactor(Strict):
    """Codes of an authenticator app, besides the password. Whoever likes sets one up."""

    required_for: tuple[Annotated[str, AfterValidator(_role)], ...] = ()


class Accounts(Strict):
    """Signing in at the gateway itself, where nobody else says who people are."""

    enabled: bool = False
    session_hours: Annotated[int, Field(ge=1, le=24 * 7)] = 12  # renewed while it is used
    second_factor: SecondFactor = SecondFactor()


class Console(Strict):
    """The owner's rooms on the admin port."""

    enabled: bool = False
    roles: tuple[str, ...] = ("role:manager", "role:owner")  # who may enter
    everywhere: tuple[str, ...] = ("role:owner",)  # and see every salon, not only their own


class NotifyWebhook(Strict):
    """Where a signed message is posted to, each time that managers are told something."""

    url: Annotated[str, AfterValidator(_notify_url)]
    # Of the signature; not in repr.
    secret: Annotated[str, Field(min_length=32, max_length=1024)] = Field(repr=False)
    ca_file: str | None = None  # who signed its certificate, instead of the system's


class NotifySmtp(Strict):
    """The mail server that tells managers, and where each of them gets mail."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: Annotated[str, AfterValidator(_mail_address)]
    to: Annotated[
        dict[Name, Annotated[str, AfterValidator(_mail_address)]],
        Field(min_length=1, max_length=1000),
    ]  # staff id → address
    user: str | None = None
    password: str | None = Field(default=None, repr=False)
    ca_file: str | None = None

    @model_validator(mode="after")
    def _nothing_in_the_clear(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` go together; give both or neither")
        if self.security == "none" and not _is_loopback(self.host):
            raise ValueError("`security: none` is for a mail server on this machine")
        return self


class Notify(Strict):
    """How managers are told."""

    webhook: NotifyWebhook | None = None
    smtp: NotifySmtp | None = None


class BreakGlass(Strict):
    """One card, outside the window, for a reason."""

    enabled: bool = False
    minutes: Annotated[int, Field(ge=15, le=30)] = 20
    resources: Annotated[tuple[Name, ...], Field(min_length=1)] = ("client",)
    notify: Notify = Notify()

    @model_validator(mode="after")
    def _somebody_is_told(self) -> Self:
        if self.enabled and self.notify.webhook is None and self.notify.smtp is None:
            raise ValueError(
                "`break_glass.enabled` needs a way to tell managers: `notify.webhook` or "
                "`notify.smtp`"
            )
        return self


class Incident(Strict):
    """A lockdown: who still passes, and what those who do not are told."""

    contact: Annotated[str | None, AfterValidator(_contact)] = None
    owners: Annotated[tuple[Annotated[str, AfterValidator(_role)], ...], Field(min_length=1)] = (
        "role:owner",
    )


class Devices(Strict):
    """Which devices come in, and who has been away for too long."""

    # `notify`: they come in, and managers are told; `wait`: until somebody approves them.
    new: Literal["allow", "notify", "wait"] = "allow"
    idle_days: Annotated[int | Literal["never"], AfterValidator(_idle_days)] = "never"


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
    devices: Devices = Devices()
    console: Console = Console()
    incident: Incident = Incident()
    break_glass: BreakGlass = BreakGlass()
    limits: Limits = Limits()
    apps: tuple[Name, ...] = ()  # values the token's `app` claim may have, for `app:<name>`
    networks: dict[Name, tuple[Network, ...]] = Field(default_factory=dict)
    log: Literal["json", "text"] = "json"

    @model_validator(mode="after")
    def _workers_know_the_same_browsers(self) -> Self:
        tokens = self.tokens
        shared = tokens.secret is not None or tokens.secret_file is not None
        if self.console.enabled and self.workers > 1 and not shared:
            raise ValueError(
                "`console.enabled` with several `workers` needs a key that all of them have: "
                "give `tokens.secret_file`"
            )
        return self

    @model_validator(mode="after")
    def _somebody_is_told_of_new_devices(self) -> Self:
        ways = self.break_glass.notify
        if self.devices.new == "notify" and ways.webhook is None and ways.smtp is None:
            raise ValueError(
                "`devices.new: notify` needs a way to tell managers: `break_glass.notify.webhook` "
                "or `break_glass.notify.smtp`"
            )
        return self

    @model_validator(mode="after")
    def _sign_in_elsewhere_ends_here(self) -> Self:
        there = [one for one in self.tokens.issuers if one.sign_in]
        if there and not self.accounts.enabled:
            raise ValueError(
                "`sign_in: true` of an issuer needs `accounts.enabled`: it ends in a session of "
                "the gateway's own"
            )
        if any(one.claims.roles for one in there) and self.tokens.claims.roles is None:
            raise ValueError(
                "`claims.roles` of an issuer with `sign_in: true` needs `tokens.claims.roles`: "
                "our own token narrows their roles as the provider's does"
            )
        if there and not all(one.startswith("https:") for one in self.tokens.origins):
            raise ValueError("`sign_in: true` of an issuer needs `tokens.origins` with `https:`")
        return self

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
