"""The composition root: the only file that knows every concrete class.

Settings in, a running gateway out. What starts here is stopped here, in reverse order.
"""

import hmac
import os
import ssl
from asyncio import gather, sleep
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from secrets import token_bytes
from typing import Any, Self, TypeVar
from uuid import uuid4

from gateway.accounts import Accounts
from gateway.backends import all_refusals
from gateway.backends.all_refusals import AllRefusals
from gateway.backends.argon2 import Argon2Hasher
from gateway.backends.audit_file import FileAuditTrail
from gateway.backends.bundle_files import MAX_FINDINGS_TOLD, LiveBundle, Stale
from gateway.backends.clock import SystemClock
from gateway.backends.device_map import WRITE_SECONDS, Came, DevicesAtHand
from gateway.backends.document_map import LocalDocuments
from gateway.backends.epoch_map import POLL_SECONDS, STALE_SECONDS, LocalEpochs
from gateway.backends.incident_floor import FlooredEpochs
from gateway.backends.incident_map import IncidentAtHand
from gateway.backends.issuers import Issuers, read_issuers
from gateway.backends.learned_map import LearnedAtHand
from gateway.backends.meter import PrometheusMeter
from gateway.backends.notify import Mail, Webhook
from gateway.backends.policy_folder import Reading, read_owned, read_sources
from gateway.backends.pulse import Pulse
from gateway.backends.redis_address import TlsFiles
from gateway.backends.state import StateHome, open_documents, open_epochs
from gateway.backends.upstream import LeanUpstream
from gateway.backends.watch import PolicyWatch
from gateway.build import build
from gateway.bundle import Bundle
from gateway.console.authority import ConsoleSettings
from gateway.console.console import Console
from gateway.console.house import House
from gateway.console.refused import RecentRefusals, RefusalCounts
from gateway.console.visits import Visits
from gateway.devices import DeviceRegistry
from gateway.domain.errors import StateUnavailableError
from gateway.domain.finding import Finding, Place, PolicyError, did_you_mean
from gateway.domain.reason import STATUS, Reason
from gateway.domain.subject import DeviceId, Role, StaffId, staff_id
from gateway.doorway import Doorway
from gateway.flowing import BEAT_SECONDS
from gateway.foreign import Foreign
from gateway.grants import Grants, GrantSettings
from gateway.identity.claims import ClaimNames, TokenPolicy
from gateway.identity.device_cookie import device_key
from gateway.identity.device_notice import parse_device_notice
from gateway.identity.devices import DeviceRules
from gateway.identity.grant import parse_grant, parse_notice
from gateway.identity.incident import Incident, require_admitted
from gateway.identity.issuing import Issuer
from gateway.identity.keys import KeyTable, merge, parse_jwks, secret_table
from gateway.identity.locks import parse_lock
from gateway.identity.oidc import ticket_key
from gateway.incidents import Incidents
from gateway.learning import Learning
from gateway.lifting import BreakGlass
from gateway.managers import Managers, Ways
from gateway.mapping.guard import WireLimits
from gateway.newcomers import Newcomers
from gateway.oidc import Providers
from gateway.pipeline import Pipeline
from gateway.ports import Clock, DocumentStore, EpochStore, Kind, Labels, Meter
from gateway.proxy.admin import AdminServer, Parts, Probe
from gateway.proxy.breakglass import BreakGlassPages
from gateway.proxy.limits import PortLimits
from gateway.proxy.negotiate import language
from gateway.proxy.oidc import OidcSignIn
from gateway.proxy.server import GuardedServer
from gateway.proxy.signin import SignIn
from gateway.sessions import Sessions
from gateway.settings import Settings, parse_settings
from gateway.telling import BEAT_SECONDS as TELL_SECONDS
from gateway.telling import Notifier, Teller, Told
from gateway.texts.encoding import decode
from gateway.tools.cases import failed_cases, read_cases

T = TypeVar("T")

FIRST_FINDINGS = 3  # in /readyz, which something asks every few seconds


def load_settings(path: str) -> Settings:
    """Read gateway.yaml with the environment over it.

    Raises:
        PolicyError: every finding, or that the file cannot be read.
    """
    file = Path(path)
    text = _owners_text(file, "`salon-gateway init` writes one, `--config` names another")
    return parse_settings(text, file.name, os.environ, _read_text)


def base_of(path: str) -> Path:
    """The folder that relative paths in gateway.yaml start from."""
    return Path(path).resolve().parent


def load_bundle(path: str) -> Bundle:
    """The policy that gateway.yaml at `path` names, as a gateway would load it now.

    Raises:
        PolicyError: every finding in gateway.yaml, or every finding in the policy.
    """
    settings = load_settings(path)
    bundle = build(read_sources(settings, base_of(path)))
    findings = (*login_fits(settings, bundle), *second_factor_fits(settings, bundle))
    if findings:
        raise PolicyError(findings)
    return bundle


def login_fits(settings: Settings, bundle: Bundle) -> tuple[Finding, ...]:
    """What of gateway.yaml does not go with the adapter's `login`."""
    login = bundle.adapter.login
    if login is None:
        return ()
    told = []
    both = login.cookies & set(settings.upstream.pass_cookies)
    told += [
        f"`upstream.pass_cookies` names `{name}`, a credential of the adapter's `login`: take "
        "it out, it goes on by itself where it was recognised"
        for name in sorted(both)
    ]
    if settings.upstream.forward_token:
        told.append(
            "`upstream.forward_token` is for tokens; with the adapter's `login` leave it off"
        )
    if login.by_cookie and not settings.tokens.origins:
        told.append(
            "the adapter's `login` goes by a cookie, which browsers send whatever page asks: name "
            "this gateway's own `https://host` at `tokens.origins`"
        )
    if settings.tokens.issuers:
        told.append(
            "`tokens.issuers` and the adapter's `login` are two ways to say who it is: keep one"
        )
    if settings.accounts.enabled:
        told.append(
            "`accounts.enabled` and the adapter's `login` are two ways to sign in: keep one"
        )
    if settings.tokens.secret is None and settings.tokens.secret_file is None:
        told.append(
            "what the adapter's `login` hands out is kept under a key: give a `tokens.secret_file`"
        )
    return tuple(Finding(Place("gateway.yaml"), text) for text in told)


def second_factor_fits(settings: Settings, bundle: Bundle) -> tuple[Finding, ...]:
    """Roles that need a second factor, and that nobody could have."""
    wanted, there = settings.accounts.second_factor.required_for, bundle.roster.roles
    return tuple(
        Finding(
            Place("gateway.yaml"),
            f"`accounts.second_factor.required_for`: unknown role `{role}`; "
            f"{did_you_mean(role, there)}",
        )
        for role in wanted
        if role not in there
    )


def _cases_hold(bundle: Bundle, reading: Reading) -> tuple[Finding, ...]:
    """The owner's cases that a policy breaks. Such a policy never comes into force."""
    return failed_cases(bundle, read_cases(reading.cases))


def load_keys(settings: Settings, base: Path) -> KeyTable:
    """Every key that may sign a token.

    Raises:
        PolicyError: a key file that cannot be read, or a key that is not good enough.
    """
    tokens = settings.tokens
    tables = []
    secret = tokens.secret
    if tokens.secret_file is not None:
        secret = _owners_text(base / tokens.secret_file).strip()
    try:
        if secret is not None:
            tables.append(secret_table(secret.encode()))
        if tokens.jwks is not None:
            path = base / tokens.jwks
            tables.append(parse_jwks(_owners_text(path), path.name))
        return merge(tables)
    except ValueError as error:
        raise PolicyError([Finding(Place("gateway.yaml"), f"`tokens`: {error}")]) from error


def token_policy(settings: Settings, base: Path) -> TokenPolicy:
    """How tokens are checked.

    Raises:
        PolicyError: see `load_keys`; or claim names that collide.
    """
    tokens = settings.tokens
    keys = load_keys(settings, base)
    try:
        return TokenPolicy(
            issuer=tokens.issuer,
            audience=tokens.audience,
            keys=keys,
            names=ClaimNames(**tokens.claims.model_dump()),
            leeway_seconds=tokens.leeway_seconds,
        )
    except ValueError as error:
        raise PolicyError([Finding(Place("gateway.yaml"), f"`tokens`: {error}")]) from error


def state_store(settings: Settings, base: Path) -> EpochStore:
    """The epoch store of gateway.yaml; `sqlite:` paths start at its folder.

    Raises:
        PolicyError: the URL cannot be used; nothing of it is repeated, it may hold a password.
    """
    return _opened_state(open_epochs, settings, base)


def document_store(settings: Settings, base: Path) -> DocumentStore:
    """The document store of gateway.yaml, beside the epochs.

    Raises:
        PolicyError: as `state_store`.
    """
    return _opened_state(open_documents, settings, base)


def _opened_state(opened: Callable[[StateHome], T], settings: Settings, base: Path) -> T:
    state = settings.state
    files = TlsFiles(
        authorities=None if state.ca_file is None else base / state.ca_file,
        certificate=None if state.client_certificate is None else base / state.client_certificate,
        key=None if state.client_key is None else base / state.client_key,
    )
    try:
        return opened(StateHome(url=state.url, base=base, group=state.prefix, files=files))
    except ValueError as error:
        raise PolicyError([Finding(Place("gateway.yaml"), f"`state`: {error}")]) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a process has of its own that is one of several at the same guarded port.

    Attributes:
        worker: the name of its chain in the audit trail.
        admin: the Unix socket of its admin port; `admin_listen` is the supervisor's.
    """

    worker: str
    admin: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway.

    Attributes:
        port, admin_port: where it listens; real ones, also when 0 was asked for. A share's
            admin port is 0.
    """

    port: int
    admin_port: int
    bundles: LiveBundle
    _stack: AsyncExitStack

    @classmethod
    async def start(
        cls,
        settings: Settings,
        base: Path,
        *,
        clock: Clock | None = None,
        settings_file: Path | None = None,
        share: Share | None = None,
    ) -> Self:
        """Open everything, then listen.

        Args:
            settings: how gateway.yaml stands now; a change of it waits for a restart.
            base: the folder that relative paths start from.
            clock: None = the machine's.
            settings_file: None = gateway.yaml in `base`. A change of it is logged.
            share: None = this process is the whole gateway.

        Raises:
            PolicyError: the policy, the keys or the certificate do not load.
            GatewayError: the audit trail or the state store is not to be had.
            OSError: an address cannot be bound.
        """
        clock = clock or SystemClock()
        refusals = RefusalCounts()
        meter = PrometheusMeter(clock, refused=refusals.refused)
        bundles = LiveBundle(
            settings,
            base,
            clock=clock,
            meter=meter,
            checks=(
                _cases_hold,
                lambda bundle, _: login_fits(settings, bundle),
                lambda bundle, _: second_factor_fits(settings, bundle),
            ),
        )
        tokens = token_policy(settings, base)
        issuers = read_issuers(settings, base, clock=clock, tell=meter.issuer_keys)
        tls = _server_tls(settings, base)
        keep = settings.audit.retention_days
        async with AsyncExitStack() as stack:
            stack.callback(bundles.close)
            audit = await FileAuditTrail.open(
                base / settings.audit.directory,
                worker="0" if share is None else share.worker,
                clock=clock,
                max_file_bytes=settings.audit.max_file_bytes,
                retention_days=None if keep == "forever" else keep,
            )
            stack.push_async_callback(audit.close)
            local = LocalEpochs(state_store(settings, base), monotonic=clock.monotonic)
            stack.push_async_callback(local.close)
            polling = Pulse(local.poll, POLL_SECONDS)
            polling.start()
            stack.push_async_callback(polling.stop)
            documents = document_store(settings, base)
            stack.push_async_callback(documents.close)
            locks = LocalDocuments(
                documents, Kind.LOCK, parse_lock, monotonic=clock.monotonic, now=clock.now
            )
            hearing = Pulse(locks.poll, POLL_SECONDS)
            hearing.start()
            stack.push_async_callback(hearing.stop)
            lockdown = IncidentAtHand(
                documents, meter=meter, monotonic=clock.monotonic, now=clock.now
            )
            watching = Pulse(lockdown.poll, POLL_SECONDS)
            watching.start()
            stack.push_async_callback(watching.stop)
            owners = frozenset(map(Role, settings.incident.owners))
            epochs = FlooredEpochs(local, lockdown.current, _admits(bundles, owners))
            devices = DevicesAtHand(
                documents,
                waits=settings.devices.new == "wait",
                came=_newcomers(settings, bundles, documents),
                monotonic=clock.monotonic,
                now=clock.now,
            )
            stack.push_async_callback(devices.write)
            for beat, seconds in ((devices.poll, POLL_SECONDS), (devices.write, WRITE_SECONDS)):
                beating = Pulse(beat, seconds)
                beating.start()
                stack.push_async_callback(beating.stop)
            glass = None
            if settings.break_glass.enabled:
                granted = LocalDocuments(
                    documents, Kind.GRANT, parse_grant, monotonic=clock.monotonic, now=clock.now
                )
                granting = Pulse(granted.poll, POLL_SECONDS)
                granting.start()
                stack.push_async_callback(granting.stop)
                resources = frozenset(settings.break_glass.resources)
                glass = BreakGlass(grants=granted, resources=resources)
            upstream = _upstream(settings, base)
            stack.push_async_callback(upstream.close)
            foreign = await _foreign(stack, issuers, tokens, documents, epochs, bundles, clock)
            pipeline = Pipeline(
                bundles=bundles,
                doorway=_doorway(settings, tokens),
                clock=clock,
                epochs=epochs,
                upstream=upstream,
                audit=audit,
                meter=meter,
                new_request_id=lambda: str(uuid4()),
                break_glass=glass,
                locks=locks,
                devices=devices,
                device_rules=_device_rules(settings),
                lockdown=lockdown,
                owners=owners,
                learning=_learning(settings, tokens, documents, epochs, clock),
                foreign=foreign,
            )
            stack.push_async_callback(pipeline.settle)
            asking = None
            if glass is not None:
                asking = BreakGlassPages(
                    known=pipeline.known,
                    grants=_grants(settings, pipeline, bundles, documents),
                    break_glass=glass,
                    minutes=settings.break_glass.minutes,
                    doorway=pipeline.doorway,
                    clock=clock,
                    meter=meter,
                    new_id=pipeline.new_request_id,
                )
            told = [Kind.NOTICE] if glass is not None else []
            told += [Kind.DEVICE_NOTICE] if settings.devices.new == "notify" else []
            for kind in told:
                _start_telling(kind, stack, documents, settings, base, clock, meter)
            own = console = None
            if settings.accounts.enabled or settings.console.enabled:
                hasher = Argon2Hasher()
                stack.callback(hasher.close)
                accounts = _accounts(
                    settings, pipeline, documents, hasher, epochs.require_admitted
                )
                stack.push_async_callback(accounts.settle)
                if settings.accounts.enabled:
                    own = _sign_in(settings, pipeline, accounts)
                    if issuers.signing_in:
                        own = replace(own, elsewhere=_elsewhere(own, issuers, documents))
                if settings.console.enabled:
                    hour = refusals if share is None else AllRefusals(refusals, share.admin)
                    console = _console(settings, pipeline, bundles, documents, accounts, hour)
            pulse = Pulse(pipeline.flows.beat, BEAT_SECONDS)
            pulse.start()
            stack.push_async_callback(pulse.stop)
            guarded = GuardedServer(
                pipeline,
                now=clock.now,
                ssl_context=tls,
                limits=_port_limits(settings),
                own=own,
                break_glass=asking,
                on_shell_refusal=lambda reason: meter.answered(_shell_labels(reason), 0.0),
            )
            parts = Parts(
                {
                    part: _watched(part, probe, meter)
                    for part, probe in {
                        "policy": _policy_probe(bundles, clock),
                        "state": _both(epochs.check, documents.check),
                        "audit": audit.check,
                        "upstream": upstream.check,
                    }.items()
                }
            )
            admin = AdminServer(
                parts.ready,
                render_metrics=_rendered(meter),
                status=lambda: _status(bundles, clock),
                names=frozenset(settings.admin_listen.names),
                reload=lambda: _reload(bundles),
                console=None if console is None else console.handle,
                inner={all_refusals.PAGE: _refusals_told(refusals, clock)},
            )
            admin_port = await _listen_for_ops(admin, settings, share)
            stack.push_async_callback(admin.stop)
            port = await guarded.start(
                settings.listen.host, settings.listen.port, reuse_port=share is not None
            )
            stack.push_async_callback(guarded.stop, 10.0)
            watch = PolicyWatch(bundles, settings_file or base / "gateway.yaml")
            watch.start()
            stack.push_async_callback(watch.stop)
            return cls(
                port=port,
                admin_port=admin_port,
                bundles=bundles,
                _stack=stack.pop_all(),
            )

    async def stop(self) -> None:
        """Stop listening, let open requests finish, close everything."""
        await self._stack.aclose()


def _admits(bundles: LiveBundle, owners: frozenset[Role]) -> Callable[[StaffId, Incident], None]:
    """Whom an incident lets begin a session: of the people on the roster, the owners."""

    def require(staff: StaffId, incident: Incident) -> None:
        person = bundles.current().people.get(staff)
        require_admitted(() if person is None else person.held, incident, owners)

    return require


def _doorway(settings: Settings, tokens: TokenPolicy) -> Doorway:
    upstream = settings.upstream
    return Doorway(
        limits=WireLimits(hosts=frozenset(name.lower() for name in settings.listen.names)),
        tokens=tokens,
        max_request_body=settings.limits.request_body_bytes,
        upstream_origin=upstream.url,
        cookie=settings.tokens.cookie,
        origins=frozenset(settings.tokens.origins),
        inject=tuple(upstream.headers.items()),
        lookup_headers=tuple(upstream.lookup_headers.items()),
        trusted_proxies=tuple(map(ip_network, settings.listen.trusted_proxies)),
        pass_cookies=frozenset(upstream.pass_cookies),
        forward_token=upstream.forward_token,
        preserve_host=upstream.preserve_host,
    )


def _accounts(
    settings: Settings,
    pipeline: Pipeline,
    documents: DocumentStore,
    hasher: Argon2Hasher,
    require_admitted: Callable[[StaffId], Awaitable[None]],
) -> Accounts:
    """Own accounts, for the sign-in and for the console."""
    bundles = pipeline.bundles
    second = frozenset(map(Role, settings.accounts.second_factor.required_for))
    return Accounts(
        documents=documents,
        epochs=pipeline.epochs,
        hasher=hasher,
        audit=pipeline.audit,
        clock=pipeline.clock,
        roster=lambda: bundles.current().roster,
        policy=lambda: bundles.current().digest,
        new_id=pipeline.new_request_id,
        new_device=lambda: DeviceId(str(uuid4())),
        require_admitted=require_admitted,
        required=lambda staff: not second.isdisjoint(bundles.current().people[staff].held),
    )


def _sign_in(settings: Settings, pipeline: Pipeline, accounts: Accounts) -> SignIn:
    """The gateway's own sign-in, over what the pipeline goes by."""
    doorway = pipeline.doorway
    issuer = Issuer.of(doorway.tokens, lifetime_seconds=settings.accounts.session_hours * 60 * 60)
    assert settings.tokens.cookie is not None  # noqa: S101  # gateway.yaml was checked for it
    return SignIn(
        accounts=accounts,
        epochs=pipeline.epochs,
        doorway=doorway,
        issuer=issuer,
        clock=pipeline.clock,
        meter=pipeline.meter,
        cookie=settings.tokens.cookie,
        device_key=device_key(issuer.secret),
        new_id=pipeline.new_request_id,
    )


def _elsewhere(own: SignIn, issuers: Issuers, documents: DocumentStore) -> OidcSignIn:
    """Signing in at identity providers, which ends in a session of our own."""
    secret = own.issuer.secret
    return OidcSignIn(
        providers=Providers(
            issuers.signing_in,
            documents=documents,
            secret=_foreign_key(secret),
            tickets=ticket_key(secret),
            draw=token_bytes,
        ),
        accounts=own.accounts,
        doorway=own.doorway,
        issuer=own.issuer,
        clock=own.clock,
        meter=own.meter,
        cookie=own.cookie,
        device_key=own.device_key,
    )


def _refusals_told(
    refusals: RefusalCounts, clock: Clock
) -> Callable[[], Awaitable[Mapping[str, int]]]:
    async def told() -> Mapping[str, int]:
        return all_refusals.told(refusals.last_hour(clock.now()))

    return told


def _console(
    settings: Settings,
    pipeline: Pipeline,
    bundles: LiveBundle,
    documents: DocumentStore,
    accounts: Accounts,
    refusals: RecentRefusals,
) -> Console:
    """The owner's rooms on the admin port."""
    secrets = _shared_secrets(pipeline.doorway.tokens)
    sessions = Sessions(
        epochs=pipeline.epochs,
        documents=documents,
        audit=pipeline.audit,
        clock=pipeline.clock,
        policy=lambda: bundles.current().digest,
        new_id=pipeline.new_request_id,
    )
    house = House(
        policies=bundles,
        accounts=accounts,
        sessions=sessions,
        devices=DeviceRegistry(
            epochs=pipeline.epochs,
            documents=documents,
            audit=pipeline.audit,
            clock=pipeline.clock,
            policy=lambda: bundles.current().digest,
            new_id=pipeline.new_request_id,
        ),
        grants=_grants(settings, pipeline, bundles, documents),
        epochs=pipeline.epochs,
        visits=Visits(documents),
        refusals=refusals,
        clock=pipeline.clock,
        settings=ConsoleSettings(
            roles=frozenset(map(Role, settings.console.roles)),
            everywhere=frozenset(map(Role, settings.console.everywhere)),
            trusted_proxies=pipeline.doorway.trusted_proxies,
        ),
        language=language,
        # Without a secret that stays, browsers are new to us after a restart, and no more.
        device_key=device_key(secrets[0]) if secrets else token_bytes(32),
        incidents=Incidents(
            epochs=pipeline.epochs,
            documents=documents,
            audit=pipeline.audit,
            clock=pipeline.clock,
            heard=lambda: sleep(STALE_SECONDS),
            policy=lambda: bundles.current().digest,
            new_id=pipeline.new_request_id,
        ),
        owners=pipeline.owners,
        contact=settings.incident.contact or "",
    )
    return Console(house)


def _grants(
    settings: Settings, pipeline: Pipeline, bundles: LiveBundle, documents: DocumentStore
) -> Grants:
    """Cards outside the window: asked for, if gateway.yaml says so, and reviewed in any case."""
    break_glass = settings.break_glass
    return Grants(
        documents=documents,
        audit=pipeline.audit,
        clock=pipeline.clock,
        people=lambda: bundles.current().people,
        managers=frozenset(map(Role, settings.console.roles)),
        everywhere=frozenset(map(Role, settings.console.everywhere)),
        policy=lambda: bundles.current().digest,
        new_id=pipeline.new_request_id,
        meter=pipeline.meter,
        settings=GrantSettings(minutes=break_glass.minutes, ways=_ways(settings))
        if break_glass.enabled
        else None,
    )


def _ways(settings: Settings) -> Ways:
    """How managers are told, and who of them can be told so."""
    notify = settings.break_glass.notify
    ways: dict[str, frozenset[StaffId] | None] = {}
    if notify.webhook is not None:
        ways["webhook"] = None
    if notify.smtp is not None:
        ways["smtp"] = frozenset(map(staff_id, notify.smtp.to))
    return ways


def _newcomers(settings: Settings, bundles: LiveBundle, documents: DocumentStore) -> Came | None:
    """Who hears of new devices; None = nobody."""
    if settings.devices.new != "notify":
        return None
    managers = Managers(
        documents=documents,
        people=lambda: bundles.current().people,
        roles=frozenset(map(Role, settings.console.roles)),
        everywhere=frozenset(map(Role, settings.console.everywhere)),
    )
    return Newcomers(documents=documents, managers=managers, ways=_ways(settings)).came


_PARSE: Mapping[Kind, Callable[[bytes], Told]] = {
    Kind.NOTICE: parse_notice,
    Kind.DEVICE_NOTICE: parse_device_notice,
}


def _start_telling(
    kind: Kind,
    stack: AsyncExitStack,
    documents: DocumentStore,
    settings: Settings,
    base: Path,
    clock: Clock,
    meter: Meter,
) -> None:
    """Tell managers what is queued of this kind, as long as the gateway runs."""
    parse = _PARSE[kind]
    queued = LocalDocuments(documents, kind, parse, monotonic=clock.monotonic, now=clock.now)
    teller = Teller(
        documents=documents,
        queued=queued.all,
        ways=_notifiers(settings, base, clock),
        clock=clock,
        meter=meter,
        kind=kind,
        parse=parse,
        keeps=kind is Kind.NOTICE,  # a device stands on the list of devices anyway
    )
    for beat, seconds in ((queued.poll, POLL_SECONDS), (teller.beat, TELL_SECONDS)):
        telling = Pulse(beat, seconds)
        telling.start()
        stack.push_async_callback(telling.stop)


def _notifiers(settings: Settings, base: Path, clock: Clock) -> Mapping[str, Notifier]:
    """The ways to tell managers. Raises PolicyError where a `ca_file` cannot be read."""
    webhook, smtp = settings.break_glass.notify.webhook, settings.break_glass.notify.smtp
    ways: dict[str, Notifier] = {}
    if webhook is not None:
        ways["webhook"] = Webhook(
            url=webhook.url,
            secret=webhook.secret.encode(),
            now=clock.now,
            tls=_trusting(base, webhook.ca_file, "webhook"),
        )
    if smtp is not None:
        ways["smtp"] = Mail(
            host=smtp.host,
            port=smtp.port,
            security=smtp.security,
            sender=smtp.sender,
            addresses={staff_id(name): address for name, address in smtp.to.items()},
            now=clock.now,
            user=smtp.user,
            password=smtp.password,
            tls=_trusting(base, smtp.ca_file, "smtp"),
        )
    return ways


def _trusting(base: Path, ca_file: str | None, way: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(base / ca_file))
    except OSError as error:  # ssl.SSLError is one
        message = f"`break_glass.notify.{way}`: `ca_file` cannot be loaded: {error.strerror}"
        raise PolicyError([Finding(Place("gateway.yaml"), message)]) from error


def _shared_secrets(tokens: TokenPolicy) -> list[bytes]:
    return [key.material for key in tokens.keys.keys if isinstance(key.material, bytes)]


def _foreign_key(secret: bytes) -> bytes:
    """For names of sessions. Another key than the one that signs, though of the same secret."""
    return hmac.new(secret, b"salon-gateway: foreign sessions", sha256).digest()


WELCOME_SECONDS = 5.0  # until somebody new on the roster may come with a token made by then


async def _foreign(
    stack: AsyncExitStack,
    issuers: Issuers,
    tokens: TokenPolicy,
    documents: DocumentStore,
    epochs: EpochStore,
    bundles: LiveBundle,
    clock: Clock,
) -> Foreign | None:
    """Tokens of other issuers; None = gateway.yaml names none."""
    secrets = _shared_secrets(tokens)
    if not issuers.all or not secrets:  # gateway.yaml was checked for a secret
        return None
    foreign = Foreign(
        issuers.all,
        documents=documents,
        epochs=epochs,
        secret=_foreign_key(secrets[0]),
    )
    stack.push_async_callback(issuers.stop)
    await issuers.start()

    async def welcome() -> None:
        try:
            await foreign.welcome(bundles.current().roster.members, clock.now())
        except StateUnavailableError:
            return  # requests get the state's own refusal; the next beat tries again

    await welcome()
    welcoming = Pulse(welcome, WELCOME_SECONDS)
    welcoming.start()
    stack.push_async_callback(welcoming.stop)
    return foreign


def _learning(
    settings: Settings,
    tokens: TokenPolicy,
    documents: DocumentStore,
    epochs: EpochStore,
    clock: Clock,
) -> Learning | None:
    """Sessions learned from the CRM's login; None = there is no secret to keep them under."""
    secrets = _shared_secrets(tokens)
    if not secrets:
        return None
    return Learning(
        documents=documents,
        epochs=epochs,
        # Another key than the one that signs tokens, though of the same secret.
        secret=hmac.new(secrets[0], b"salon-gateway: learned credentials", sha256).digest(),
        new_id=lambda: uuid4().hex,
        origins=frozenset(settings.tokens.origins),
        token_cookie=settings.tokens.cookie,
        at_hand=LearnedAtHand(documents, clock.now).get,
    )


def _both(*checks: Callable[[], Awaitable[None]]) -> Probe:
    async def check() -> None:
        await gather(*(one() for one in checks))

    return check


def _device_rules(settings: Settings) -> DeviceRules:
    days = settings.devices.idle_days
    return DeviceRules(
        wait=settings.devices.new == "wait",
        idle=None if days == "never" else timedelta(days=days),
    )


def _upstream(settings: Settings, base: Path) -> LeanUpstream:
    upstream = settings.upstream
    return LeanUpstream(
        base_url=upstream.url,
        connect_timeout_seconds=upstream.connect_timeout_seconds,
        answer_timeout_seconds=upstream.answer_timeout_seconds,
        total_timeout_seconds=upstream.total_timeout_seconds,
        max_connections=upstream.max_connections,
        max_streams=upstream.max_streams,
        ca_file=None if upstream.ca_file is None else str(base / upstream.ca_file),
    )


def _port_limits(settings: Settings) -> PortLimits:
    limits = settings.limits
    return PortLimits(
        idle_seconds=limits.idle_timeout_seconds,
        body_seconds=limits.body_timeout_seconds,
        min_bytes_per_second=limits.body_min_bytes_per_second,
        max_body_bytes=limits.stream_body_bytes,
        max_connections=limits.connections,
        max_connections_per_peer=limits.connections_per_peer,
    )


def _server_tls(settings: Settings, base: Path) -> ssl.SSLContext | None:
    listen = settings.listen
    if listen.certificate is None or listen.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(base / listen.certificate, base / listen.key)
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror or "not a PEM certificate chain with its key"
        message = f"`listen.certificate` or `listen.key` cannot be loaded: {why}"
        raise PolicyError([Finding(Place("gateway.yaml"), message)]) from error
    return context


def _policy_probe(bundles: LiveBundle, clock: Clock) -> Probe:
    """There is always a good policy; that the files on disk are another is not unreadiness."""

    async def probe() -> Mapping[str, Any]:
        stale = bundles.stale
        observing = [str(one) for one in bundles.current().observing(clock.now())]
        details = [
            *(["stale: the policy before stays in force"] if stale is not None else []),
            *([f"observed only: {len(observing)}"] if observing else []),
        ]
        return {
            "detail": "; ".join(details),
            "observing": observing,
            "digest": bundles.current().digest,
            "since": bundles.loaded_at.isoformat(),
            "stale": None if stale is None else _told(stale, FIRST_FINDINGS),
        }

    return probe


def _watched(part: str, probe: Probe, meter: Meter) -> Probe:
    """The probe, telling the metrics how it went."""

    async def ask() -> Mapping[str, Any] | None:
        ok = False
        try:
            found = await probe()
            ok = True
            return found
        finally:
            meter.up(part, ok=ok)

    return ask


def _rendered(meter: PrometheusMeter) -> Callable[[], Awaitable[tuple[bytes, str]]]:
    async def render() -> tuple[bytes, str]:
        return meter.render(), meter.content_type

    return render


async def _listen_for_ops(admin: AdminServer, settings: Settings, share: Share | None) -> int:
    if share is None:
        return await admin.start(settings.admin_listen.host, settings.admin_listen.port)
    await admin.start_at(share.admin)
    return 0


async def _status(bundles: LiveBundle, clock: Clock) -> dict[str, Any]:
    bundle, stale = bundles.current(), bundles.stale
    return {
        "policy": bundle.digest,
        "policy_since": bundles.loaded_at.isoformat(),
        "rules": len(bundle.rules),
        "people": len(bundle.people),
        "warnings": len(bundles.warnings),
        "salons_without_hours": list(bundle.without_calendar),
        "observing": [str(one) for one in bundle.observing(clock.now())],
        "load_failure": None if stale is None else _told(stale),
        "at": clock.now().isoformat(),
    }


async def _reload(bundles: LiveBundle) -> tuple[int, Mapping[str, Any]]:
    """What `POST /reload` answers: the policy in force, or what keeps the files from being it."""
    await bundles.reload()
    stale = bundles.stale
    told = {"policy": bundles.current().digest, "policy_since": bundles.loaded_at.isoformat()}
    if stale is None:
        return 200, told
    return 409, told | {"load_failure": _told(stale)}


def _told(stale: Stale, most: int = MAX_FINDINGS_TOLD) -> Mapping[str, Any]:
    """The one form in which the admin port says why the files are not in force."""
    return {
        "since": stale.since.isoformat(),
        "reason": stale.why,
        "findings": stale.told(most),
        "findings_left_out": max(0, len(stale.findings) - most),
    }


def _shell_labels(reason: Reason) -> Labels:
    return Labels(
        role=None, resource=None, action=None, reason=reason, window=None, status=STATUS[reason]
    )


def _owners_text(path: Path, hint: str = "") -> str:
    return decode(read_owned(path, hint), path.name)


def _read_text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
