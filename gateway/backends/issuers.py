"""`tokens.issuers` of gateway.yaml → the other issuers, each with where its keys come from.

House rules: what the owner gave wrongly (a file that is no key set, no certificate) is a finding
at the start; an issuer that is away is none. It takes nothing with it: only its own tokens are
refused, from the end of the last good set on, and `/readyz` stays as it is.
"""

import ssl
from asyncio import gather
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.backends.issuer_keys import IssuerKeys, Tell
from gateway.backends.jwks_fetch import JwksAddress
from gateway.backends.oidc_provider import OidcProvider
from gateway.backends.policy_folder import read_owned
from gateway.domain.finding import Finding, Place, PolicyError
from gateway.foreign import ForeignIssuer
from gateway.identity.claims import ClaimNames, require_usable
from gateway.identity.keys import KeyTable, parse_jwks
from gateway.identity.oidc import Client
from gateway.oidc import SignInProvider
from gateway.ports import Clock, KeySet
from gateway.settings import ForeignTokens, Settings
from gateway.texts.encoding import decode

FOLDER = "state"  # beside gateway.yaml: where last good sets are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKeys:
    """Implements ports.KeySet: of a file, read once."""

    table: KeyTable

    def current(self) -> KeyTable | None:
        """The keys of the file."""
        return self.table

    async def renewed(self) -> KeyTable | None:
        """The same: a change of a key file needs a restart."""
        return self.table


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuers:
    """The other issuers.

    Attributes:
        fetched: those keys that are fetched, to be started and stopped.
        signing_in: those of them at which people sign in.
    """

    all: tuple[ForeignIssuer, ...]
    fetched: tuple[IssuerKeys, ...]
    signing_in: tuple[SignInProvider, ...] = ()

    async def start(self) -> None:
        """Look at every key set once, side by side, and go on looking."""
        await gather(*(keys.start() for keys in self.fetched))

    async def stop(self) -> None:
        """End that."""
        await gather(*(keys.stop() for keys in self.fetched))


def read_issuers(settings: Settings, base: Path, *, clock: Clock, tell: Tell) -> Issuers:
    """The other issuers of gateway.yaml. Nothing is fetched yet.

    Args:
        settings: gateway.yaml.
        base: the folder that relative paths start from.
        clock: the machine's.
        tell: told after every look at a key set.

    Raises:
        PolicyError: every finding.
    """
    found: list[ForeignIssuer] = []
    fetched: list[IssuerKeys] = []
    signing_in: list[SignInProvider] = []
    findings: list[Finding] = []
    for number, one in enumerate(settings.tokens.issuers, start=1):
        try:
            keys = _keys(one, base, clock, tell)
            issuer = _issuer(one, keys, settings.tokens.leeway_seconds)
            found.append(issuer)
            signing_in += _signing_in(one, issuer, base, clock)
        except PolicyError as error:
            findings += error.findings
        except ValueError as error:
            place = Place("gateway.yaml")
            findings.append(Finding(place, f"`tokens.issuers`, number {number}: {error}"))
        else:
            fetched += [keys] if isinstance(keys, IssuerKeys) else []
    if findings:
        raise PolicyError(findings)
    return Issuers(all=tuple(found), fetched=tuple(fetched), signing_in=tuple(signing_in))


def _signing_in(
    one: ForeignTokens, issuer: ForeignIssuer, base: Path, clock: Clock
) -> list[SignInProvider]:
    if not one.sign_in or one.client_id is None:
        return []
    file = one.client_secret_file
    secret = None if file is None else decode(read_owned(base / file, ""), file).strip()
    if secret is not None and not (secret and secret.isascii() and secret.isprintable()):
        raise ValueError("`client_secret_file` holds no secret: one line of plain ASCII")
    asked = OidcProvider(one.issuer, tls=_tls(one, base), clock=clock)
    return [
        SignInProvider(issuer=issuer, client=Client(id=one.client_id, secret=secret), asked=asked)
    ]


def _issuer(one: ForeignTokens, keys: KeySet, leeway_seconds: int) -> ForeignIssuer:
    return ForeignIssuer(
        issuer=one.issuer,
        audience=one.audience,
        keys=keys,
        names=ClaimNames(**one.claims.model_dump()),
        leeway_seconds=leeway_seconds,
    )


def _keys(one: ForeignTokens, base: Path, clock: Clock, tell: Tell) -> FileKeys | IssuerKeys:
    algorithms = frozenset[str](one.algorithms)
    if one.jwks is not None:
        return FileKeys(table=_table(base / one.jwks, algorithms))
    if one.jwks_url is None:
        raise ValueError("it has neither a `jwks` file nor a `jwks_url`")
    return IssuerKeys(
        one.issuer,
        one.jwks_url,
        JwksAddress(one.jwks_url, tls=_tls(one, base), algorithms=algorithms),
        folder=base / FOLDER,
        keep_seconds=one.keep_hours * 3600.0,
        clock=clock,
        tell=tell,
    )


def _table(path: Path, algorithms: Iterable[str]) -> KeyTable:
    table = parse_jwks(decode(read_owned(path, ""), path.name), path.name)
    for key in table.keys:
        if key.algorithm not in algorithms:
            raise ValueError(
                f"`{path.name}` has a key for {key.algorithm}, which `algorithms` does not name; "
                "take it out"
            )
    require_usable(table)
    return table


def _tls(one: ForeignTokens, base: Path) -> ssl.SSLContext:
    try:
        file = None if one.ca_file is None else str(base / one.ca_file)
        return ssl.create_default_context(cafile=file)
    except OSError as error:  # ssl.SSLError is one
        why = "no PEM certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise ValueError(f"`ca_file` cannot be loaded: {why}") from None
