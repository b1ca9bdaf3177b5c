"""One request, stage by stage. Read this file first.

guard -> canonical target -> route -> identify -> device session -> standing -> decide
      -> question asked? -> body judged? -> records judged? -> forward -> cut
      -> still current? -> audit -> answer

INVARIANTS, each with a test of its name in tests/unit/test_pipeline.py:

* one_entry: every request that a rule decided leaves exactly one answer entry, written
  before a byte of the answer goes out; a write leaves an intent before it is forwarded.
* no_exception_allows: whatever a stage raises, the client gets a refusal.
* one_clock_reading, one_bundle: a request lives in one instant, under one policy. Only a
  streamed answer may outlive its policy: it is judged again by each one that follows.

Each stage hands out the only value that the next one takes (`Guarded`, `CanonicalTarget`,
`Principal`, `CurrentPrincipal`, `StandingPrincipal`, `Permit`, `MaskedBody`), so a stage
that is forgotten does not type-check.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gateway.audit.entry import MAX_PATH_CHARACTERS, Entry, Phase
from gateway.audit.quota import RefusalQuota
from gateway.bundle import Bundle
from gateway.domain.access import Window
from gateway.domain.decision import Denial, Passage, Permit, Refusal
from gateway.domain.errors import GatewayError, OperatorError, RequestError, UpstreamError
from gateway.domain.http import (
    BODYLESS,
    MISSING,
    REDIRECTS,
    SAFE_METHODS,
    SENDING,
    Answer,
    BodySource,
    CanonicalTarget,
    Headers,
    Inbound,
    Outcome,
)
from gateway.domain.reason import STATUS, Cause, Reason
from gateway.domain.record import Asker, RecordNote
from gateway.domain.subject import Principal, Role, StaffId
from gateway.domain.time import Instant
from gateway.enforcer.facts import Network
from gateway.enforcer.ruling import Ruling
from gateway.events import Event, emit
from gateway.identity.claims import Claims, TokenPolicy, verify
from gateway.identity.credential import credential
from gateway.identity.principal import resolve
from gateway.identity.session import StandingPrincipal, require_current, require_standing
from gateway.mapping.client_address import client_address
from gateway.mapping.guard import Guarded, WireLimits, guard
from gateway.mapping.hygiene import answer_headers, location, request_headers
from gateway.mapping.query import require_answerable
from gateway.mapping.routes import Route, RouteKind, RouteMatch, find
from gateway.mapping.target import canonical
from gateway.masking.cut import (
    MAX_CUT_BODY,
    NO_SUCH_RECORD_DETAIL,
    Cut,
    content_is_json,
    cut,
    cut_error,
)
from gateway.masking.writes import (
    fields_sent,
    read_body,
    require_json_body,
    require_writable,
)
from gateway.ports import (
    AuditTrail,
    Clock,
    EpochStore,
    Labels,
    Meter,
    Upstream,
    UpstreamAnswer,
)
from gateway.records import Bench, Touched, asker_of, changes, judge_change, seat
from gateway.shadow import Case, Shadow

NO_ROLE = Role("role:-")  # nobody's: an entry shows no empty list
NEVER_SENT = frozenset({Reason.UPSTREAM_UNREACHABLE})


class BundleSource(Protocol):
    """Where the current policy is. Asked once per request."""

    def current(self) -> Bundle:
        """The last good bundle."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorway:
    """How the gateway is set up towards both sides: gateway.yaml, as far as requests care.

    Attributes:
        cookie: the one cookie that may carry the token; None = `Authorization` only.
        origins: our own, for unsafe methods with the cookie.
        preserve_host: the CRM gets the Host that the client named (Django and others check it).
        upstream_origin: scheme, host and port of the CRM, to recognise its own redirects.
        inject: headers that the CRM gets from us.
        lookup_headers: those it gets instead with a look-up: the gateway's own credentials.
        trusted_proxies: whose word on where a request comes from is taken.
    """

    limits: WireLimits
    tokens: TokenPolicy
    max_request_body: int
    upstream_origin: str
    cookie: str | None = None
    origins: frozenset[str] = frozenset()
    inject: Headers = ()
    lookup_headers: Headers = ()
    trusted_proxies: tuple[Network, ...] = ()
    pass_cookies: frozenset[str] = frozenset()
    forward_token: bool = False
    preserve_host: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A request body that may go on: exactly the bytes that were judged, under one type.

    Attributes:
        body: None = the request has none.
        content_type: what to say of it; None = nothing to say.
        value: the body, strictly parsed.
        fields: what it would change, by name.
    """

    body: bytes | None = None
    content_type: str | None = None
    value: Mapping[str, Any] | None = None
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request is judged by again while its answer still flows.

    Attributes:
        claims: who asked; None on a `public` route, where nobody said so.
    """

    guarded: Guarded
    target: CanonicalTarget
    claims: Claims | None
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The stages, with the world they need passed in.

    Attributes:
        quotas: how many 401s may still be entered, for strangers and for each person on the
            roster (a lost phone that keeps asking); the only thing here that one request
            leaves behind for the next.
    """

    bundles: BundleSource
    doorway: Doorway
    clock: Clock
    epochs: EpochStore
    upstream: Upstream
    audit: AuditTrail
    meter: Meter
    new_request_id: Callable[[], str]
    quotas: dict[StaffId | None, RefusalQuota] = field(default_factory=dict)

    async def run(self, inbound: Inbound, body: BodySource) -> Outcome:
        """Answer one request. Never raises, except when it is cancelled."""
        started = self.clock.monotonic()
        now = self.clock.now()
        bundle = self.bundles.current()
        # What is known so far; each stage that learns something makes the next one.
        entry = Entry(
            request_id=self.new_request_id(),
            at=now,
            phase=Phase.ANSWER,
            method=inbound.method[:16],
            path=inbound.target.partition("?")[0][:MAX_PATH_CHARACTERS],
            peer=inbound.peer,
            policy=bundle.digest,
        )
        window: Window | None = None
        try:
            peer = self._peer(inbound)
            entry = replace(entry, peer=peer or inbound.peer, unplaced=peer is None)
            guarded = guard(inbound, self.doorway.limits)
            target = canonical(guarded)
            match = find(bundle.adapter.routes, inbound.method, target)
            if match is not None and match.route.kind is RouteKind.PUBLIC:
                passed = await self._pass(
                    Passage(reason=Reason.PUBLIC), guarded, target, body, entry, started
                )
                return self._watched(passed, bundle, guarded, target, None, entry)
            claims = self._identify(guarded, now)
            entry = replace(entry, staff=claims.staff, device=claims.device)
            principal = resolve(claims, bundle.people)
            entry = _with_person(entry, principal)
            current = require_current(principal, await self._floor(principal))
            person = require_standing(current, bundle.today(principal.home.salon, now))
            match = _require_mapped(match)
            if match.route.kind is RouteKind.PASS:
                passed = await self._pass(
                    Passage(reason=Reason.PASSED), guarded, target, body, entry, started, principal
                )
                return self._watched(passed, bundle, guarded, target, claims, entry)
            window = bundle.window(person.home.salon, now)
            entry = _with_route(entry, match, window)
            ruling = self._rule(bundle, person, match, now, peer)
            entry = replace(entry, facts=ruling.noted)
            if isinstance(ruling.decision, Denial):
                window = bundle.window(ruling.decision.salon or person.home.salon, now)
                return await self._deny(ruling.decision, entry, window, started)
            permit = ruling.decision
            entry = replace(entry, rules=permit.by, exempt=permit.exempt)
            change = changes(guarded.method, match.route)
            bench = seat(bundle, person, match.route, permit, now, peer, change=change)
            shadow = Shadow(
                Case(
                    bundle=bundle,
                    person=person,
                    match=match,
                    method=guarded.method,
                    ruling=ruling,
                    bench=bench,
                    at=now,
                    peer=peer,
                    request_id=entry.request_id,
                )
            )
            require_answerable(match.route, target.query, bench.secret)
            sent = await self._judged_body(guarded, body, match)
            entry = replace(entry, sent=tuple(sorted(sent.fields)))
            touched = await self._judged_records(
                bundle, guarded, target, match, permit, asker_of(bundle, person, now), sent, shadow
            )
            entry = _with_records(entry, touched)
            require_writable(
                sent.fields,
                hidden=touched.verdict.hidden,
                unwritable=touched.verdict.unwritable,
                method=guarded.method,
                resource=match.route.resource,
            )
            await shadow.judge(target.query, sent.value, sent.fields)
            entry = shadow.entered(entry)
            entry, answer = await self._exchange(
                guarded, target, match, permit, bench, principal, sent, entry, shadow
            )
        except GatewayError as error:
            return await self._refuse(entry, error, window, started)
        except Exception as error:  # noqa: BLE001  # every one of them refuses
            # A bug of ours. The client gets a refusal; type and place of it go to the log.
            emit(Event.INTERNAL_ERROR, error, request_id=entry.request_id)
            failed = OperatorError(Reason.INTERNAL_ERROR, "The gateway failed; it let nothing by.")
            return await self._refuse(entry, failed, window, started)
        else:
            if entry.exempt:
                self.meter.exempt_access(principal.home.first_role, match.route.resource.name)
            self._count(entry, started)
            return self._watched(answer, bundle, guarded, target, claims, entry)

    # -- who ------------------------------------------------------------------------------

    def _peer(self, inbound: Inbound) -> str | None:
        """Where the request comes from; None = not known."""
        return client_address(inbound.peer, inbound.headers, self.doorway.trusted_proxies)

    def _identify(self, guarded: Guarded, now: Instant) -> Claims:
        """One credential → claims we vouch for."""
        token = credential(guarded, cookie=self.doorway.cookie, own_origins=self.doorway.origins)
        return verify(token, self.doorway.tokens, now)

    async def _floor(self, principal: Principal) -> int | None:
        return await self.epochs.floor(principal.staff, principal.device)

    # -- may they -------------------------------------------------------------------------

    def _rule(
        self,
        bundle: Bundle,
        person: StandingPrincipal,
        match: RouteMatch,
        now: Instant,
        peer: str | None,
    ) -> Ruling:
        """Ask the decision point, and measure it."""
        started = self.clock.monotonic()
        ruling = bundle.ruling(person, match.route.resource, match.route.action, now, peer)
        self.meter.decided(self.clock.monotonic() - started)
        return ruling

    async def _judged_body(self, guarded: Guarded, body: BodySource, match: RouteMatch) -> Judged:
        """Read what the client sends, and name the fields in it."""
        if not _has_body(guarded):
            return Judged()
        if guarded.method not in SENDING:
            raise RequestError(Reason.BODY_INVALID, f"A {guarded.method} carries no body here.")
        data = await body.read(self.doorway.max_request_body)
        if not data:
            return Judged(body=data)
        content_type = require_json_body(guarded.headers)
        value = read_body(data)
        route = match.route
        sent = fields_sent(value, route.resource, record=match.record, ids=_id_members(route))
        return Judged(body=data, content_type=content_type, value=value, fields=sent)

    async def _judged_records(
        self,
        bundle: Bundle,
        guarded: Guarded,
        target: CanonicalTarget,
        match: RouteMatch,
        permit: Permit,
        asker: Asker,
        sent: Judged,
        shadow: Shadow,
    ) -> Touched:
        """Judge the records that a change names; what only asks is judged by its answer."""
        if not changes(guarded.method, match.route):
            return Touched(verdict=permit.whole)

        async def fetch(at: CanonicalTarget) -> bytes:
            return await self._looked_up(permit, guarded, at)

        return await judge_change(
            bundle, permit, match, asker, target.query, sent.value, shadow.overhearing(fetch)
        )

    async def _looked_up(self, permit: Permit, guarded: Guarded, target: CanonicalTarget) -> bytes:
        """The CRM's record, as it is before the change. Nothing of it goes to the client."""
        door = self.doorway
        headers = self._outgoing(guarded, "", cut=True, inject=door.lookup_headers or door.inject)
        answer = await self.upstream.send(
            permit, method="GET", target=target, headers=_without_body(headers), body=None
        )
        try:
            if answer.status in MISSING:
                raise RequestError(
                    Reason.NO_SUCH_RECORD, NO_SUCH_RECORD_DETAIL, cause=Cause.RECORD_MISSING
                )
            if answer.status != 200 or not content_is_json(answer.headers):
                raise UpstreamError(
                    Reason.LOOKUP_FAILED, "The CRM did not show the record that this would change."
                )
            return await answer.read(MAX_CUT_BODY)
        finally:
            await answer.close()

    # -- there and back -------------------------------------------------------------------

    async def _exchange(
        self,
        guarded: Guarded,
        target: CanonicalTarget,
        match: RouteMatch,
        permit: Permit,
        bench: Bench,
        principal: Principal,
        sent: Judged,
        entry: Entry,
        shadow: Shadow,
    ) -> tuple[Entry, Answer]:
        """Forward, cut, make sure that the person is still logged in, and enter it all.

        Nothing of the answer leaves before its entry is on disk.
        """
        plan = bench.plan
        write = guarded.method not in SAFE_METHODS
        headers = self._outgoing(guarded, entry.request_id, cut=not plan.nothing_to_do)
        headers = shadow.headers(headers)
        # Whether a record may be seen, only the record tells; the client gets its head alone.
        method = "GET" if guarded.method == "HEAD" and permit.refuses else guarded.method
        if sent.content_type is not None:
            headers = _with_content_type(headers, sent.content_type)
        if write:
            await self.audit.append(replace(entry, phase=Phase.INTENT))
        began = self.clock.monotonic()
        try:
            forwarded = await self.upstream.send(
                permit, method=method, target=target, headers=headers, body=sent.body
            )
        except Exception as error:
            # Only a connection that was never made proves that nothing was applied.
            unsent = isinstance(error, UpstreamError) and error.reason in NEVER_SENT
            if write and not unsent:
                raise _applied_not_shown(error, entry.request_id) from error
            raise
        try:
            forwarded = await shadow.hear(forwarded, self.clock.monotonic)
            answer, made = await self._shown(forwarded, guarded, match, permit, bench)
            self.meter.forwarded(self.clock.monotonic() - began)
            require_current(principal, await self._floor(principal))
            shadow.measure(made)
            entry = replace(shadow.entered(entry), status=answer.status, reason=shadow.reason)
            if made is not None:
                entry = replace(
                    entry,
                    shown=made.shown_fields,
                    hidden=made.hidden_fields,
                    refused=made.refused,
                )
                # Of a change, the record counts as it was judged: before it was changed.
                if not changes(guarded.method, match.route):
                    entry = _with_note(entry, made.note)
            elif plan.nothing_to_do:
                entry = replace(entry, whole=True)
            await self.audit.append(entry)
        except BaseException as error:
            await forwarded.close()
            if write and isinstance(error, Exception):
                raise _applied_not_shown(error, entry.request_id) from error
            raise
        if made is not None:
            for field_class, count in made.dropped.items():
                self.meter.dropped(match.route.resource.name, field_class, count)
            if made.refused:
                self.meter.records_refused(match.route.resource.name, made.refused)
        shadow.count(self.meter)
        return entry, answer

    def _outgoing(
        self, guarded: Guarded, request_id: str, *, cut: bool, inject: Headers | None = None
    ) -> Headers:
        door = self.doorway
        return request_headers(
            guarded,
            inject=door.inject if inject is None else inject,
            pass_cookies=door.pass_cookies,
            forward_token=door.forward_token,
            request_id=request_id,
            peer=guarded.peer,
            secure=guarded.secure,
            host="".join(guarded.values("host")),
            cut=cut,
            preserve_host=door.preserve_host,
        )

    async def _shown(
        self,
        answer: UpstreamAnswer,
        guarded: Guarded,
        match: RouteMatch,
        permit: Permit,
        bench: Bench,
    ) -> tuple[Answer, Cut | None]:
        """What of the CRM's answer may be seen: cut, or streamed if nothing is to be cut."""
        plan, route = bench.plan, match.route
        if plan.nothing_to_do:
            return await self._streamed(answer, guarded), None
        if answer.status in REDIRECTS or answer.status < 200:
            raise UpstreamError(Reason.UPSTREAM_REDIRECT, "The CRM sent the request elsewhere.")
        if permit.refuses and answer.status in MISSING and not changes(guarded.method, route):
            # The same answer as for a record that is there but may not be seen.
            raise RequestError(
                Reason.NO_SUCH_RECORD, NO_SUCH_RECORD_DETAIL, cause=Cause.RECORD_MISSING
            )
        headers = answer_headers(
            answer.headers,
            cut=True,
            # Where records may be kept back, no header may count them all.
            allowed=frozenset() if permit.refuses else route.answer_headers,
            pass_cookies=self.doorway.pass_cookies,
        )
        head_only = guarded.method == "HEAD"
        if answer.status in BODYLESS or (head_only and not permit.refuses):
            await answer.close()
            return Answer(status=answer.status, headers=headers), None
        body = await answer.read(MAX_CUT_BODY)
        if answer.status >= 400:
            made = cut_error(body, plan, judges=bench.judges)
        elif not body:
            return Answer(status=answer.status, headers=headers), None
        elif not content_is_json(answer.headers):
            raise UpstreamError(Reason.ANSWER_NOT_CUT, "The CRM's answer is not JSON.")
        elif answer.status == 206:
            raise UpstreamError(Reason.ANSWER_NOT_CUT, "The CRM answered with a part only.")
        else:
            made = cut(body, plan, judge=bench.judge, judges=bench.judges)
        shown = b"" if head_only else made.body
        return Answer(status=answer.status, headers=headers, body=shown), made

    async def _streamed(self, answer: UpstreamAnswer, guarded: Guarded) -> Answer:
        """An answer that needs no cut, chunk by chunk."""
        door = self.doorway
        headers = answer_headers(
            answer.headers, cut=False, allowed=frozenset(), pass_cookies=door.pass_cookies
        )
        if answer.status in REDIRECTS:
            headers += self._own_location(answer, guarded)
        if guarded.method == "HEAD" or answer.status in BODYLESS:
            await answer.close()
            return Answer(status=answer.status, headers=headers)
        return Answer(status=answer.status, headers=headers, body=answer.stream())

    def _own_location(self, answer: UpstreamAnswer, guarded: Guarded) -> Headers:
        """Where a redirect leads: a path on the CRM's own origin, or nowhere."""
        origins = [self.doorway.upstream_origin]
        if self.doorway.preserve_host:  # then the CRM takes our name for its own
            scheme = "https" if guarded.secure else "http"
            origins.append(f"{scheme}://{''.join(guarded.values('host'))}")
        for name, value in answer.headers:
            if name.lower() == "location":
                paths = (location(value, upstream=origin) for origin in origins)
                path = next((path for path in paths if path is not None), None)
                if path is None:
                    break
                return (("Location", path),)
        raise UpstreamError(Reason.UPSTREAM_REDIRECT, "The CRM sent the request elsewhere.")

    async def _pass(
        self,
        passage: Passage,
        guarded: Guarded,
        target: CanonicalTarget,
        body: BodySource,
        entry: Entry,
        started: float,
        principal: Principal | None = None,
    ) -> Answer:
        """A `pass` or `public` route: no rules, no cut, no entry; counted."""
        answer = await self.upstream.send(
            passage,
            method=guarded.method,
            target=target,
            headers=self._outgoing(guarded, entry.request_id, cut=False),
            body=body.stream() if _has_body(guarded) else None,
        )
        try:
            shown = await self._streamed(answer, guarded)
            if principal is not None:
                require_current(principal, await self._floor(principal))
        except BaseException:
            await answer.close()
            raise
        self._count(replace(entry, reason=passage.reason, status=shown.status), started)
        return shown

    # -- while it flows -------------------------------------------------------------------

    def _watched(
        self,
        answer: Answer,
        bundle: Bundle,
        guarded: Guarded,
        target: CanonicalTarget,
        claims: Claims | None,
        entry: Entry,
    ) -> Answer:
        """The answer; one that flows does so only as long as the policy in force allows it."""
        if isinstance(answer.body, bytes):
            return answer
        asked = Asked(guarded=guarded, target=target, claims=claims, request_id=entry.request_id)
        return replace(answer, body=self._flow(answer.body, bundle, asked))

    async def _flow(
        self, chunks: AsyncIterator[bytes], bundle: Bundle, asked: Asked
    ) -> AsyncIterator[bytes]:
        """Chunk by chunk. What has begun is judged again before the next chunk, once a policy.

        Raises:
            GatewayError: the policy in force now refuses it; the shell cuts the connection.
        """
        try:
            async for chunk in chunks:
                while (current := self.bundles.current()) is not bundle:
                    await self._require_still(current, asked)
                    bundle = current
                yield chunk
        finally:
            finish = getattr(chunks, "aclose", None)
            if finish is not None:
                await finish()

    async def _require_still(self, bundle: Bundle, asked: Asked) -> None:
        """Let it flow on, or say why not: event, counter, and the error that cuts it."""
        try:
            await self._judge_again(bundle, asked)
        except Exception as error:
            # Also a bug of ours ends it: what cannot be judged does not flow on.
            reason = error.reason if isinstance(error, GatewayError) else Reason.INTERNAL_ERROR
            self.meter.stream_cut()
            emit(Event.STREAM_CUT_OFF, error, request_id=asked.request_id, reason=reason)
            raise

    async def _judge_again(self, bundle: Bundle, asked: Asked) -> None:
        """Every stage up to the decision, as if it were asked now, with nothing to be hidden.

        Raises:
            GatewayError: it would be refused, or would have to be cut, which is too late.
        """
        now = self.clock.now()
        guarded, target = asked.guarded, asked.target
        match = _require_mapped(find(bundle.adapter.routes, guarded.method, target))
        if match.route.kind is RouteKind.PUBLIC:
            return
        if asked.claims is None:
            # It was public when they asked.
            raise RequestError(Reason.UNAUTHENTICATED, cause=Cause.NO_CREDENTIAL)
        principal = resolve(asked.claims, bundle.people)
        current = require_current(principal, await self._floor(principal))
        person = require_standing(current, bundle.today(principal.home.salon, now))
        if match.route.kind is RouteKind.PASS:
            return
        peer = self._peer(guarded)
        decision = self._rule(bundle, person, match, now, peer).decision
        if isinstance(decision, Denial):
            raise RequestError(decision.reason)
        change = changes(guarded.method, match.route)
        bench = seat(bundle, person, match.route, decision, now, peer, change=change)
        require_answerable(match.route, target.query, bench.secret)
        if not bench.plan.nothing_to_do:
            raise UpstreamError(Reason.ANSWER_NOT_CUT, "An answer that has begun cannot be cut.")

    # -- the last word --------------------------------------------------------------------

    async def _deny(self, denial: Denial, entry: Entry, window: Window, started: float) -> Refusal:
        """A decision against the request."""
        entry = replace(entry, rules=denial.by, salon=denial.salon or entry.salon)
        return await self._refuse(entry, RequestError(denial.reason), window, started)

    async def _refuse(
        self, entry: Entry, error: GatewayError, window: Window | None, started: float
    ) -> Refusal:
        """Enter and count a refusal; then say it."""
        reason = error.reason
        entry = _with_note(entry, error.note)
        entry = replace(entry, reason=reason, cause=error.cause, status=STATUS[reason])
        if reason is not Reason.AUDIT_UNAVAILABLE:
            try:
                await self._enter_refusal(entry)
            except GatewayError as failed:
                if reason is not Reason.APPLIED_NOT_SHOWN:  # that one must be told as it is
                    return await self._refuse(entry, failed, window, started)
        if error.cause is not None and reason is Reason.UNAUTHENTICATED:
            self.meter.unauthenticated(error.cause)
        if error.cause is Cause.RECORD_REFUSED and entry.resource:
            self.meter.records_refused(entry.resource, 1)
        if reason is Reason.OUTSIDE_HOURS and entry.roles and entry.resource:
            self.meter.after_hours_attempt(entry.roles[0], entry.resource)
        self._count(entry, started)
        return Refusal(
            reason=reason,
            request_id=entry.request_id,
            detail=error.detail,
            by=entry.rules,
            opens_at=window.opens_at if window and reason is Reason.OUTSIDE_HOURS else None,
            timezone=window.timezone if window else "UTC",
            cause=error.cause,
        )

    async def _enter_refusal(self, entry: Entry) -> None:
        """One entry each; but strangers, and whoever is logged out, have an allowance."""
        if entry.staff is not None and entry.reason is not Reason.UNAUTHENTICATED:
            await self.audit.append(entry)
            return
        quota = self.quotas.setdefault(entry.staff, RefusalQuota())
        suppressed = quota.admit(self.clock.monotonic())
        if suppressed is None:
            return
        try:
            await self.audit.append(replace(entry, suppressed=suppressed))
        except GatewayError:
            quota.give_back(suppressed)
            raise

    async def settle(self) -> None:
        """Enter how many 401s no line stands for yet, by whose they were. Call it at the end.

        Raises:
            AuditUnavailableError: it cannot be entered; the metrics have counted them all.
        """
        for staff, quota in self.quotas.items():
            suppressed = quota.flush(self.clock.monotonic())
            if suppressed:
                tally = Entry(
                    request_id=self.new_request_id(),
                    at=self.clock.now(),
                    phase=Phase.TALLY,
                    method="-",
                    peer="-",
                    policy=self.bundles.current().digest,
                    staff=staff,
                    suppressed=suppressed,
                )
                await self.audit.append(tally)

    def _count(self, entry: Entry, started: float) -> None:
        reason, status = entry.reason, entry.status
        if reason is None or status is None:
            raise ValueError("only an answered request is counted")
        labels = Labels(
            role=entry.roles[0] if entry.roles else None,
            resource=entry.resource,
            action=entry.action,
            reason=reason,
            window=entry.window,
            status=status,
        )
        self.meter.answered(labels, self.clock.monotonic() - started)


def _require_mapped(match: RouteMatch | None) -> RouteMatch:
    """Strangers get 401 whether or not a path is mapped; people on the roster get 404."""
    if match is None:
        raise RequestError(Reason.UNMAPPED, "No route of the adapter fits this request.")
    return match


def _with_person(entry: Entry, principal: Principal) -> Entry:
    first = principal.home.first_role
    others = sorted({role for post in principal.posts for role in post.acting} - {first})
    narrowed = principal.narrowed_to
    return replace(
        entry,
        narrowed_to=() if narrowed is None else tuple(sorted(narrowed or {NO_ROLE})),
        staff=principal.staff,
        salon=principal.home.salon,
        roles=(first, *others),
        device=principal.device,
        app=principal.app,
    )


def _with_route(entry: Entry, match: RouteMatch, window: Window) -> Entry:
    return replace(
        entry,
        path=None,
        route=match.route.template,
        resource=match.route.resource.name,
        action=match.route.action,
        record=match.record,
        window=window.state,
    )


def _with_records(entry: Entry, touched: Touched) -> Entry:
    """The records that a change names besides the path's, and what was known of a single one."""
    further = tuple(record for record in touched.ids if record != entry.record)
    return _with_note(replace(entry, ids=further), touched.note)


def _with_note(entry: Entry, note: RecordNote | None) -> Entry:
    """What was known of the one record that was judged, if one was."""
    if note is None:
        return entry
    return replace(entry, record_salon=note.salon, record_facts=note.facts)


def _id_members(route: Route) -> frozenset[str]:
    """Members of a body that name records: judged as such, they are not fields that are sent."""
    return frozenset(source.path.steps[0] for source in route.ids if source.path.steps)


def _without_body(headers: Headers) -> Headers:
    """The headers, without those that speak of the body of another request."""
    return tuple((n, v) for n, v in headers if not n.lower().startswith("content-"))


def _with_content_type(headers: Headers, content_type: str) -> Headers:
    """The headers, saying of the body what it was judged as and no more."""
    others = tuple((name, value) for name, value in headers if name.lower() != "content-type")
    return (*others, ("Content-Type", content_type))


def _has_body(inbound: Inbound) -> bool:
    """Does the request announce a body? RFC 9112 6.3: by either of these headers."""
    return bool(inbound.values("transfer-encoding")) or any(
        length.strip() != "0" for length in inbound.values("content-length")
    )


def _applied_not_shown(error: Exception, request_id: str) -> UpstreamError:
    """What to tell somebody whose write may have been applied, whatever went wrong then."""
    if not isinstance(error, GatewayError):
        emit(Event.INTERNAL_ERROR, error, request_id=request_id)
    return UpstreamError(
        Reason.APPLIED_NOT_SHOWN,
        "The change was sent to the CRM, but its answer cannot be shown. Look before you retry.",
    )
