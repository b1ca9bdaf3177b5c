"""One request, stage by stage. Read this file first.

guard -> canonical target -> route -> identify -> device session -> locks -> standing -> device
      -> decide
      -> question asked? -> body judged? -> records judged? -> forward -> cut
      -> still current? -> audit -> answer

INVARIANTS, each with a test of its name in tests/unit/test_pipeline.py:

* one_entry: every request that a rule decided leaves exactly one answer entry, written
  before a byte of the answer goes out; a write leaves an intent before it is forwarded.
* no_exception_allows: whatever a stage raises, the client gets a refusal.
* one_clock_reading, one_bundle: a request is judged in one instant, under one policy. Only what
  flows may outlive its verdict: it is judged again (`flowing.py`), and leaves an end entry.

Each stage hands out the only value that the next one takes (`Guarded`, `CanonicalTarget`,
`Principal`, `CurrentPrincipal`, `StandingPrincipal`, `Permit`, `MaskedBody`), so a stage
that is forgotten does not type-check.
"""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateway.arriving import arrive
from gateway.audit.entry import MAX_PATH_CHARACTERS, Entry, Phase
from gateway.audit.quota import RefusalQuota
from gateway.bundle import Bundle
from gateway.domain.access import Window
from gateway.domain.decision import Clearance, Denial, Passage, Permit, Refusal
from gateway.domain.errors import (
    BudgetSpentError,
    GatewayError,
    OperatorError,
    RequestError,
    UpstreamError,
)
from gateway.domain.http import (
    MISSING,
    SAFE_METHODS,
    SENDING,
    Answer,
    BodySource,
    CanonicalTarget,
    Channel,
    Close,
    Conversation,
    Format,
    Headers,
    Inbound,
    Outcome,
)
from gateway.domain.login import NOTHING_MORE, Login, Passing
from gateway.domain.question import Condition
from gateway.domain.reason import STATUS, Cause, Reason
from gateway.domain.record import Asker, RecordNote
from gateway.domain.subject import Principal, Role, StaffId
from gateway.domain.time import Instant
from gateway.doorway import Doorway
from gateway.enforcer.budget import Budgets
from gateway.enforcer.ruling import Ruling
from gateway.entering import Entrance
from gateway.events import Event, emit
from gateway.flowing import Asked, BundleSource, Flow, Flows, Verdict
from gateway.foreign import Foreign, Recognised
from gateway.identity.claims import Claims
from gateway.identity.credential import credential
from gateway.identity.devices import DeviceRules
from gateway.identity.grant import Grant
from gateway.identity.incident import OWNERS, require_no_incident
from gateway.identity.locks import Lock, next_change, noticed, require_unlocked
from gateway.identity.session import (
    CurrentPrincipal,
    StandingPrincipal,
    require_current,
    require_standing,
)
from gateway.identity.verified import VerifiedTokens
from gateway.learning import Identified, Learning
from gateway.lifting import BreakGlass, Visitor, lifted, salons_to_lift
from gateway.mapping.asked_body import require_body_answerable
from gateway.mapping.guard import Guarded, guard
from gateway.mapping.parameters import Exact
from gateway.mapping.query import asked_as, require_answerable
from gateway.mapping.routes import ASKING, Route, RouteKind, RouteMatch, find
from gateway.mapping.target import canonical
from gateway.mapping.websocket import require_handshake, require_no_upgrade, socket_headers
from gateway.masking.cut import MAX_CUT_BODY, NO_SUCH_RECORD_DETAIL, Cut
from gateway.masking.events import EventCut
from gateway.masking.mediatype import content_fits
from gateway.masking.writes import (
    fields_sent,
    read_body,
    require_json_body,
    require_writable,
)
from gateway.ports import (
    AuditTrail,
    BreakGlassStep,
    Clock,
    Devices,
    EpochStore,
    Labels,
    Lockdown,
    Locks,
    Meter,
    Upstream,
)
from gateway.records import Touched, asker_of, changes, judge_change, seat
from gateway.relay import relay
from gateway.shadow import UNOBSERVED, Case, Shadow, Unobserved
from gateway.showing import Readable, Sight, Totals, cut_message, shown, streamed

NO_ROLE = Role("role:-")  # nobody's: an entry shows no empty list
NEVER_SENT = frozenset({Reason.UPSTREAM_UNREACHABLE})
STRANGERS = frozenset({Reason.UNAUTHENTICATED, Reason.NOT_ON_ROSTER})
SWITCHED = 101  # RFC 9110 15.2.2: the status of a WebSocket's entry


class Vouched(Struct, frozen=True, kw_only=True):
    """Who asks, by a token."""

    claims: Claims
    passing: Passing = NOTHING_MORE


class Judged(Struct, frozen=True, kw_only=True):
    """A request body that may go on: exactly the bytes that were judged, under one type.

    Attributes:
        body: None = the request has none.
        content_type: what to say of it; None = nothing to say.
        value: the body, strictly parsed.
        fields: what it would change, by name.
        conditions: what it leaves to be checked on each record, where it only asks.
    """

    body: bytes | None = None
    content_type: str | None = None
    value: Mapping[str, Any] | None = None
    fields: frozenset[str] = frozenset()
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The stages, with the world they need passed in.

    Attributes:
        learning: what the CRM's own login hands out; None = no adapter may have a `login`.
        foreign: tokens of other issuers; None = there are only our own.
        quotas: how many 401s may still be entered, for strangers and for each person on the
            roster (a lost phone that keeps asking).
        budgets: how often each person may still make an exact look-up.
        flows: what outlives its request. With the two above, all that one request leaves
            behind for the next.
    """

    bundles: BundleSource
    doorway: Doorway
    clock: Clock
    epochs: EpochStore
    upstream: Upstream
    audit: AuditTrail
    meter: Meter
    new_request_id: Callable[[], str]
    locks: Locks
    lockdown: Lockdown
    devices: Devices
    owners: frozenset[Role] = OWNERS
    device_rules: DeviceRules = field(default_factory=DeviceRules)
    learning: Learning | None = None
    break_glass: BreakGlass | None = None
    foreign: Foreign | None = None
    quotas: dict[StaffId | None, RefusalQuota] = field(default_factory=dict)
    budgets: Budgets = field(default_factory=Budgets)
    flows: Flows = field(init=False)
    _tokens: VerifiedTokens = field(init=False)

    def __post_init__(self) -> None:
        flows = Flows(
            bundles=self.bundles,
            clock=self.clock,
            meter=self.meter,
            judge=self._judge_again,
            still_in=self._require_still_in,
        )
        object.__setattr__(self, "flows", flows)
        object.__setattr__(self, "_tokens", VerifiedTokens(self.doorway.tokens))

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
            peer = self.doorway.peer_of(inbound)
            entry = replace(entry, peer=peer or inbound.peer, unplaced=peer is None)
            guarded = guard(self.doorway.received(inbound), self.doorway.limits)
            target = canonical(guarded)
            match = find(bundle.adapter.routes, inbound.method, target)
            if match is not None and match.route.kind is RouteKind.PUBLIC:
                asked = Asked(guarded=guarded, target=target, entry=entry)
                return await self._in_public(bundle, asked, match, body, started)
            identified = await self._identify(bundle, guarded, now)
            claims = identified.claims
            entry = replace(entry, staff=claims.staff, device=claims.device)
            principal, lock = await self._resolve(bundle, claims)
            entry = _with_person(entry, principal)
            current = await self._require_in(principal, lock, now)
            person = require_standing(current, bundle.today(principal.home.salon, now))
            principal = person = await arrive(self.devices, person, self.device_rules, peer, now)
            match = asked_as(_require_mapped(match), target.query)
            until = self._until(bundle, claims, principal, lock, now)
            asked = Asked(
                guarded=guarded,
                target=target,
                entry=entry,
                claims=claims,
                principal=principal,
                passing=identified.passing,
                identified=identified if isinstance(identified, Identified) else None,
            )
            if match.route.kind is RouteKind.PASS:
                verdict = Verdict(bundle=bundle, until=until)
                return await self._pass(Reason.PASSED, asked, match, verdict, body, started)
            window = bundle.window(person.home.salon, now)
            entry = _with_route(entry, match, window)
            ruling, grant = await self._rule(bundle, person, match, guarded.method, now, peer)
            if isinstance(ruling.decision, Denial):
                entry = replace(entry, facts=ruling.noted)
                window = bundle.window(ruling.decision.salon or person.home.salon, now)
                salons = salons_to_lift(
                    self.break_glass,
                    bundle,
                    person,
                    match,
                    guarded.method,
                    ruling.decision,
                    now,
                    peer,
                )
                card = target.wire if salons else None
                return await self._deny(ruling.decision, entry, window, started, card)
            if grant is not None:
                entry = replace(entry, grant=grant.id)
                until = min(until, grant.ends)
            permit = ruling.decision
            offered = _offered(guarded, match.route)
            entry = replace(entry, facts=ruling.noted, rules=permit.by, exempt=permit.exempt)
            change = changes(guarded.method, match.route)
            bench = seat(bundle, person, match.route, permit, now, peer, change=change)
            shadow: Shadow | Unobserved = UNOBSERVED
            if bundle.trials:
                case = Case(
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
                shadow = Shadow(case)
            conditions = require_answerable(match.route, target.query, bench.secret)
            self._spend(person, match.route)
            sent = await self._judged_body(guarded, body, match, bench.secret)
            if sent.fields:
                entry = replace(entry, sent=tuple(sorted(sent.fields)))
            touched = await self._judged_records(
                bundle, asked, match, permit, asker_of(bundle, person, now), sent, shadow
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
            sight = Sight(
                guarded=guarded,
                match=match,
                permit=permit,
                bench=bench,
                routes=bundle.adapter.routes,
                conditions=(*conditions, *sent.conditions),
            )
            asked = replace(asked, entry=entry)
            verdict = Verdict(bundle=bundle, until=until, sight=sight)
            answer: Answer | Conversation
            if offered is None:
                entry, answer = await self._exchange(
                    asked, principal, sight, verdict, sent, shadow
                )
            else:
                shadow.overhear()
                entry, answer = await self._open(asked, permit, verdict, offered, shadow.reason)
            shadow.count(self.meter)
        except GatewayError as error:
            return await self._refuse(entry, error, window, started)
        except Exception as error:  # noqa: BLE001  # every one of them refuses
            # A bug of ours. The client gets a refusal; type and place of it go to the log.
            emit(Event.INTERNAL_ERROR, error, request_id=entry.request_id)
            failed = OperatorError(Reason.INTERNAL_ERROR, "The gateway failed; it let nothing by.")
            return await self._refuse(entry, failed, window, started)
        else:
            if entry.grant is not None:
                self.meter.break_glass(BreakGlassStep.USED, match.route.resource.name)
            if entry.exempt:
                self.meter.exempt_access(principal.home.first_role, match.route.resource.name)
            self._count(entry, started)
            return answer

    # -- who ------------------------------------------------------------------------------

    async def _identify(
        self, bundle: Bundle, guarded: Guarded, now: Instant
    ) -> "Identified | Vouched | Recognised":
        """One credential → claims we vouch for: a token, or what the CRM's login handed out."""
        login = bundle.adapter.login
        if login is None:
            door = self.doorway
            token = credential(guarded, cookie=door.cookie, own_origins=door.origins)
            if self.foreign is not None:
                recognised = await self.foreign.identify(token, bundle.roster.members, now)
                if recognised is not None:
                    return recognised
            return Vouched(claims=self._tokens.verify(token, now))
        return await self._entrance().learning.identify(login, guarded, now)

    def _entrance(self) -> Entrance:
        if self.learning is None:
            raise OperatorError(Reason.INTERNAL_ERROR, "Nothing can be learned from the login.")
        return Entrance(
            doorway=self.doorway,
            upstream=self.upstream,
            learning=self.learning,
            require_in=self._require_welcome,
        )

    async def _resolve(self, bundle: Bundle, claims: Claims) -> tuple[Principal, Lock | None]:
        """The person of these claims, and what is said of their access."""
        principal = bundle.principal(claims)
        lock = await self.locks.get(principal.staff)
        return noticed(lock, principal), lock

    async def _require_in(
        self, principal: Principal, lock: Lock | None, now: Instant | None = None
    ) -> CurrentPrincipal:
        """Neither logged out nor locked nor gone, at `now`; None = by the clock of this moment.

        A lockdown first: it has ended every session, and whoever it keeps out is to read why.
        """
        require_no_incident(principal, await self.lockdown.current(), self.owners)
        floor = await self.epochs.floor(principal.staff, principal.device)
        current = require_current(principal, floor)
        if lock is not None:
            require_unlocked(principal.staff, lock, now or self.clock.now())
        return current

    async def _require_still_in(self, principal: Principal) -> Principal:
        """The same, just before something goes out, and at each beat while it flows.

        By the clock of that moment: somebody may have left while the CRM made up its answer.
        Returns the person as they stand by then: they may be on notice now.
        """
        lock = await self.locks.get(principal.staff)
        await self._require_in(principal, lock)
        return noticed(lock, principal)

    async def _while_in(
        self, pieces: AsyncIterator[bytes], principal: Principal
    ) -> AsyncIterator[bytes]:
        """What somebody sends, as long as they are in: they may take minutes over it."""
        async for piece in pieces:
            await self._require_still_in(principal)
            yield piece
        await self._require_still_in(principal)  # what is never ended is never whole

    async def _require_welcome(self, bundle: Bundle, claims: Claims, now: Instant) -> None:
        """Every check of a person that comes before the rules."""
        principal, lock = await self._resolve(bundle, claims)
        current = await self._require_in(principal, lock, now)
        require_standing(current, bundle.today(principal.home.salon, now))

    async def known(self, inbound: Inbound) -> Visitor:
        """Whoever sends a request for a page of ours, by every check that comes before the rules.

        Raises:
            GatewayError: as a request to the CRM would be refused.
        """
        now, bundle = self.clock.now(), self.bundles.current()
        guarded = guard(self.doorway.received(inbound), self.doorway.limits)
        identified = await self._identify(bundle, guarded, now)
        principal, lock = await self._resolve(bundle, identified.claims)
        current = await self._require_in(principal, lock, now)
        person = require_standing(current, bundle.today(principal.home.salon, now))
        peer = self.doorway.peer_of(inbound)
        person = await arrive(self.devices, person, self.device_rules, peer, now)
        return Visitor(guarded=guarded, bundle=bundle, person=person, now=now, peer=peer)

    def _end_of(self, bundle: Bundle, claims: Claims) -> Instant:
        """From when on the credential is none any more."""
        if bundle.adapter.login is not None:
            return claims.expires_at
        leeway = timedelta(seconds=self.doorway.tokens.leeway_seconds)
        return Instant(claims.expires_at + leeway)

    def _until(
        self,
        bundle: Bundle,
        claims: Claims,
        principal: Principal,
        lock: Lock | None,
        now: Instant,
    ) -> Instant:
        """Up to when a verdict on this person is good.

        Their salons' clocks, their credential's end, the day they leave.
        """
        until = min(bundle.until(principal, now), self._end_of(bundle, claims))
        leaves = next_change(lock, now)
        return until if leaves is None else min(until, leaves)

    # -- may they -------------------------------------------------------------------------

    async def _rule(
        self,
        bundle: Bundle,
        person: StandingPrincipal,
        match: RouteMatch,
        method: str,
        now: Instant,
        peer: str | None,
    ) -> tuple[Ruling, Grant | None]:
        """Ask the decision point, and measure it; with the grant that lifts the window, if any.

        Grants are looked at only where the window alone refuses.
        """
        started = self.clock.monotonic()
        ruling = bundle.ruling(person, match.route.resource, match.route.action, now, peer)
        self.meter.decided(self.clock.monotonic() - started)
        decision = ruling.decision
        shut = isinstance(decision, Denial) and decision.reason is Reason.OUTSIDE_HOURS
        if self.break_glass is None or not shut:
            return ruling, None
        grant = await self.break_glass.grants.get(person.staff)
        opened = lifted(bundle, person, match, method, decision, grant, now, peer)
        return (ruling, None) if opened is None else (opened, grant)

    def _spend(self, person: StandingPrincipal, route: Route) -> None:
        """Count an exact look-up against the person's allowance."""
        for name, parameter in route.query.items():
            if isinstance(parameter, Exact):
                key = (person.staff, route.template, name)
                wait = self.budgets.spend(key, parameter.allowance, self.clock.monotonic())
                if wait is not None:
                    raise BudgetSpentError(wait)

    async def _judged_body(
        self, guarded: Guarded, body: BodySource, match: RouteMatch, secret: frozenset[str]
    ) -> Judged:
        """Read what the client sends; name the fields in it, or what it asks about."""
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
        if route.asks is not None and route.action in ASKING:
            asked = require_body_answerable(route, value, secret)
            return Judged(body=data, content_type=content_type, value=value, conditions=asked)
        sent = fields_sent(value, route.resource, record=match.record, ids=_id_members(route))
        return Judged(body=data, content_type=content_type, value=value, fields=sent)

    async def _judged_records(
        self,
        bundle: Bundle,
        asked: Asked,
        match: RouteMatch,
        permit: Permit,
        asker: Asker,
        sent: Judged,
        shadow: Shadow | Unobserved,
    ) -> Touched:
        """Judge the records that a change names; what only asks is judged by its answer."""
        if not changes(asked.guarded.method, match.route):
            return Touched(verdict=permit.whole)

        async def fetch(at: CanonicalTarget) -> bytes:
            return await self._looked_up(permit, asked, at)

        return await judge_change(
            bundle,
            permit,
            match,
            asker,
            asked.target.query,
            sent.value,
            shadow.overhearing(fetch),
        )

    async def _looked_up(self, permit: Permit, asked: Asked, target: CanonicalTarget) -> bytes:
        """The CRM's record, as it is before the change. Nothing of it goes to the client."""
        door = self.doorway
        headers = door.outgoing(
            asked.guarded,
            "",
            cut=Format.JSON,
            inject=door.lookup_headers or door.inject,
            passing=NOTHING_MORE if door.lookup_headers else asked.passing,
        )
        answer = Readable(
            await self.upstream.send(
                permit, method="GET", target=target, headers=_without_body(headers), body=None
            )
        )
        try:
            if answer.status in MISSING:
                raise RequestError(
                    Reason.NO_SUCH_RECORD, NO_SUCH_RECORD_DETAIL, cause=Cause.RECORD_MISSING
                )
            if answer.status != 200 or not content_fits(answer.headers, Format.JSON):
                raise UpstreamError(
                    Reason.LOOKUP_FAILED, "The CRM did not show the record that this would change."
                )
            return await answer.read(MAX_CUT_BODY)
        finally:
            await answer.close()

    # -- there and back -------------------------------------------------------------------

    async def _exchange(
        self,
        asked: Asked,
        principal: Principal,
        sight: Sight,
        verdict: Verdict,
        sent: Judged,
        shadow: Shadow | Unobserved,
    ) -> tuple[Entry, Answer]:
        """Forward, cut, make sure that the person is still logged in, and enter it all.

        Nothing of the answer leaves before its entry is on disk.
        """
        guarded, entry, bundle = asked.guarded, asked.entry, verdict.bundle
        write = guarded.method not in SAFE_METHODS
        headers = self.doorway.outgoing(
            guarded, entry.request_id, cut=sight.cuts, passing=asked.passing
        )
        headers = shadow.headers(headers)
        # Whether a record may be seen, only the record tells; the client gets its head alone.
        method = "GET" if guarded.method == "HEAD" and sight.picks else guarded.method
        if sent.content_type is not None:
            headers = _with_content_type(headers, sent.content_type)
        if write:
            await self._require_still_in(principal)  # its body may have come slowly
            await self.audit.append(replace(entry, phase=Phase.INTENT))
        began = self.clock.monotonic()
        try:
            forwarded = await self.upstream.send(
                sight.permit, method=method, target=asked.target, headers=headers, body=sent.body
            )
        except Exception as error:
            # Only a connection that was never made proves that nothing was applied.
            unsent = isinstance(error, UpstreamError) and error.reason in NEVER_SENT
            if write and not unsent:
                raise _applied_not_shown(error, entry.request_id) from error
            raise
        try:
            heard = await shadow.hear(
                forwarded if sight.as_it_is else Readable(forwarded), self.clock.monotonic
            )
            seen = await shown(heard, sight, self._door(bundle))
            self.meter.forwarded(self.clock.monotonic() - began)
            await self._require_still_in(principal)
            await self._renew(bundle, asked, forwarded.headers)
            shadow.measure(seen.made)
            answer, entry = seen.answer, shadow.entered(entry)
            entry = _with_cut(entry, seen.made)
            entry = replace(
                entry,
                status=answer.status,
                reason=Reason.BREAK_GLASS if entry.grant is not None else shadow.reason,
                whole=sight.as_it_is and seen.made is None,
            )
            # Of a change, the record counts as it was judged: before it was changed.
            if seen.made is not None and not sight.change:
                entry = _with_note(entry, seen.made.note)
            await self.audit.append(entry)
        except BaseException as error:
            await forwarded.close()
            if write and isinstance(error, Exception):
                raise _applied_not_shown(error, entry.request_id) from error
            raise
        if seen.made is not None:
            self._count_cut(entry, seen.made.dropped)
        asked = replace(asked, entry=entry)
        return entry, self._flowing(answer, asked, verdict, forwarded.close, seen.totals)

    def _count_cut(self, entry: Entry, dropped: Mapping[str, int]) -> None:
        """What left an answer, now that it is entered: values by class, and whole records."""
        resource = entry.resource or "-"
        for field_class, count in dropped.items():
            self.meter.dropped(resource, field_class, count)
        if entry.refused:
            self.meter.records_refused(resource, entry.refused)
        if entry.unmatched:
            self.meter.records_unmatched(resource, entry.unmatched)

    def _door(self, bundle: Bundle) -> Doorway:
        """How the gateway is set up, for answers to people that the CRM's login brought."""
        login = bundle.adapter.login
        return self.doorway if login is None else self.doorway.letting_back(login.back)

    async def _renew(self, bundle: Bundle, asked: Asked, headers: Headers) -> None:
        """Remember the session's cookie that an answer hands out anew, where the adapter says."""
        login, identified = bundle.adapter.login, asked.identified
        if login is not None and login.renews and identified is not None:
            learning = self._entrance().learning
            await learning.renew(login, identified, headers, self.clock.now())

    async def _in_public(
        self, bundle: Bundle, asked: Asked, match: RouteMatch, body: BodySource, started: float
    ) -> Answer | Conversation:
        """A `public` route: nobody asks who it is. One of them may be the CRM's login."""
        login = bundle.adapter.login
        if login is not None and match.route.template in login.steps:
            return await self._at_login(bundle, login, asked, match, body, started)
        if login is not None:
            learning = self._entrance().learning
            passing = await learning.stranger(login, asked.guarded, asked.entry.at)
            asked = replace(asked, passing=passing)
        verdict = Verdict(bundle=bundle)
        return await self._pass(Reason.PUBLIC, asked, match, verdict, body, started)

    async def _at_login(
        self,
        bundle: Bundle,
        login: Login,
        asked: Asked,
        match: RouteMatch,
        body: BodySource,
        started: float,
    ) -> Answer:
        """The CRM's login: who comes in by it is entered before they learn that they are."""
        require_no_upgrade(asked.guarded)
        entered = await self._entrance().exchange(
            bundle,
            login,
            match,
            asked.guarded,
            asked.target,
            body if _has_body(asked.guarded) else None,
            asked.entry.request_id,
            asked.entry.at,
        )
        entry = replace(asked.entry, reason=Reason.PUBLIC, status=entered.answer.status)
        if entered.act is not None and entered.claims is not None:
            staff, device = entered.claims.staff, entered.claims.device
            act = replace(
                entry, phase=Phase.ACT, act=entered.act, staff=staff, whom=staff, device=device
            )
            await self.audit.append(replace(act, route=match.route.template, path=None))
        self._count(entry, started)
        return entered.answer

    async def _pass(
        self,
        reason: Reason,
        asked: Asked,
        match: RouteMatch,
        verdict: Verdict,
        body: BodySource,
        started: float,
    ) -> Answer | Conversation:
        """A `pass` or `public` route: no rules, no cut, no entry; counted."""
        passage = Passage(reason=reason)
        offered = _offered(asked.guarded, match.route)
        if offered is not None:
            entry, opened = await self._open(asked, passage, verdict, offered, reason)
            self._count(entry, started)
            return opened
        guarded, principal = asked.guarded, asked.principal
        sent = body.stream() if _has_body(guarded) else None
        if sent is not None and principal is not None:
            sent = self._while_in(sent, principal)
        answer = await self.upstream.send(
            passage,
            method=guarded.method,
            target=asked.target,
            headers=self.doorway.outgoing(
                guarded, asked.entry.request_id, cut=None, passing=asked.passing
            ),
            body=sent,
        )
        try:
            door = self._door(verdict.bundle)
            if principal is None:
                door = door.letting_back(asked.passing.cookies)
            said = await streamed(answer, guarded, door, personal=principal is not None)
            if principal is not None:
                await self._require_still_in(principal)
                await self._renew(verdict.bundle, asked, answer.headers)
        except BaseException:
            await answer.close()
            raise
        entry = replace(asked.entry, reason=reason, status=said.status)
        self._count(entry, started)
        return self._flowing(said, replace(asked, entry=entry), verdict, answer.close, None)

    # -- while it flows -------------------------------------------------------------------

    def _flowing(
        self,
        answer: Answer,
        asked: Asked,
        verdict: Verdict,
        close: Callable[[], Awaitable[None]],
        totals: Totals | None,
    ) -> Answer:
        """The answer; one that flows does so only as long as it may."""
        if isinstance(answer.body, bytes):
            return answer
        flow = self.flows.begin(replace(asked, cuttable=totals is not None), verdict)

        async def over() -> None:
            try:
                await close()
            finally:
                await self._enter_end(flow, totals)

        through = None if totals is None else EventCut(self._cutter(flow, totals))
        return dataclasses.replace(answer, body=flow.pieces(answer.body, over, through))

    async def _open(
        self,
        asked: Asked,
        clearance: Clearance,
        verdict: Verdict,
        offered: tuple[str, ...],
        reason: Reason,
    ) -> tuple[Entry, Conversation]:
        """Open a WebSocket to the CRM; the client's is accepted once its entry is on disk."""
        guarded, principal, sight = asked.guarded, asked.principal, verdict.sight
        headers = self.doorway.outgoing(
            guarded,
            asked.entry.request_id,
            cut=None if sight is None else sight.cuts,
            passing=asked.passing,
        )
        crm = await self.upstream.converse(
            clearance, target=asked.target, headers=socket_headers(headers), subprotocols=offered
        )
        try:
            if principal is not None:
                await self._require_still_in(principal)
            entry = replace(
                asked.entry,
                status=SWITCHED,
                reason=reason,
                whole=sight is not None and sight.as_it_is,
            )
            if sight is not None:
                await self.audit.append(entry)
        except BaseException:
            await crm.close(Close.GOING_AWAY, "")
            raise
        totals = None if sight is None or sight.as_it_is else Totals()
        asked = replace(asked, entry=entry, cuttable=totals is not None)
        flow = self.flows.begin(asked, verdict)

        async def converse(client: Channel) -> None:
            try:
                await relay(
                    client,
                    crm,
                    downward=_as_it_is if totals is None else self._message(flow, totals),
                    upward=_as_it_is if totals is None else _nothing_up,
                    still=flow.still,
                    changed=flow.ended,
                )
            finally:
                self.flows.forget(flow)
                await self._enter_end(flow, totals)

        return entry, Conversation(subprotocol=crm.subprotocol, converse=converse)

    def _cutter(self, flow: Flow, totals: Totals) -> Callable[[bytes], bytes | None]:
        """Cuts each message under the policy that is in force by then."""

        def cut_one(document: bytes) -> bytes | None:
            sight = flow.verdict.sight
            if sight is None or sight.as_it_is:
                return document
            return cut_message(document, sight, totals)

        return cut_one

    def _message(self, flow: Flow, totals: Totals) -> Callable[[str | bytes], str | bytes | None]:
        cut_one = self._cutter(flow, totals)

        def downward(message: str | bytes) -> str | bytes | None:
            if isinstance(message, bytes):
                raise UpstreamError(Reason.ANSWER_NOT_CUT, "The CRM sent a message of bytes.")
            cut = cut_one(message.encode())
            return None if cut is None else cut.decode()

        return downward

    async def _enter_end(self, flow: Flow, totals: Totals | None) -> None:
        """What a flow showed in all, and what ended it: entered, unless nobody would miss it."""
        asked, error = flow.asked, flow.error
        if totals is None and error is None:
            return
        entry = replace(asked.entry, phase=Phase.END, at=self.clock.now(), status=None)
        if error is not None:
            entry = replace(entry, reason=error.reason, cause=error.cause)
        if totals is not None:
            entry = replace(
                entry,
                shown=tuple(sorted(totals.shown)),
                hidden=tuple(sorted(totals.hidden)),
                refused=totals.refused,
            )
            self._count_cut(entry, totals.dropped)
        try:
            await self.audit.append(entry)
        except GatewayError as failed:
            emit(Event.END_NOT_ENTERED, failed, request_id=entry.request_id)

    async def _judge_again(self, asked: Asked) -> Verdict:
        """Every stage up to the decision, as if it were asked now.

        Raises:
            GatewayError: it would be refused, or would have to be cut, which is too late.
        """
        now, bundle = self.clock.now(), self.bundles.current()
        guarded, target = asked.guarded, asked.target
        match = _require_mapped(find(bundle.adapter.routes, guarded.method, target))
        if match.route.kind is RouteKind.PUBLIC:
            return Verdict(bundle=bundle)
        claims = asked.claims
        if claims is None:
            # It was public when they asked.
            raise RequestError(Reason.UNAUTHENTICATED, cause=Cause.NO_CREDENTIAL)
        if now >= self._end_of(bundle, claims):
            raise RequestError(Reason.UNAUTHENTICATED, cause=Cause.EXPIRED)
        if (asked.identified is None) != (bundle.adapter.login is None):
            # What they showed is not what is asked for any more.
            raise RequestError(Reason.UNAUTHENTICATED, cause=Cause.SESSION_UNKNOWN)
        principal, lock = await self._resolve(bundle, claims)
        current = await self._require_in(principal, lock, now)
        person = require_standing(current, bundle.today(principal.home.salon, now))
        peer = self.doorway.peer_of(guarded)
        person = await arrive(self.devices, person, self.device_rules, peer, now)
        until = self._until(bundle, claims, principal, lock, now)
        match = asked_as(match, target.query)
        if match.route.kind is RouteKind.PASS:
            return Verdict(bundle=bundle, until=until)
        ruling, grant = await self._rule(bundle, person, match, guarded.method, now, peer)
        decision = ruling.decision
        if grant is not None:
            until = min(until, grant.ends)
        if isinstance(decision, Denial):
            raise RequestError(decision.reason)
        change = changes(guarded.method, match.route)
        bench = seat(bundle, person, match.route, decision, now, peer, change=change)
        sight = Sight(
            guarded=guarded,
            match=match,
            permit=decision,
            bench=bench,
            routes=bundle.adapter.routes,
            conditions=require_answerable(match.route, target.query, bench.secret),
        )
        if not sight.as_it_is and not asked.cuttable:
            raise UpstreamError(Reason.ANSWER_NOT_CUT, "An answer that has begun cannot be cut.")
        return Verdict(bundle=bundle, until=until, sight=sight)

    # -- the last word --------------------------------------------------------------------

    async def _deny(
        self, denial: Denial, entry: Entry, window: Window, started: float, card: str | None
    ) -> Refusal:
        """A decision against the request; `card` is its address if it can be asked for."""
        entry = replace(entry, rules=denial.by, salon=denial.salon or entry.salon)
        refusal = await self._refuse(entry, RequestError(denial.reason), window, started)
        return dataclasses.replace(refusal, card=card if refusal.reason is denial.reason else None)

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
            retry_seconds=error.wait if isinstance(error, BudgetSpentError) else None,
        )

    async def _enter_refusal(self, entry: Entry) -> None:
        """One entry each; but strangers, and whoever is logged out, have an allowance."""
        if entry.staff is not None and entry.reason not in STRANGERS:
            await self.audit.append(entry)
            return
        # Whoever is not on the roster is a stranger with a name: an issuer may know thousands.
        whose = None if entry.reason is Reason.NOT_ON_ROSTER else entry.staff
        quota = self.quotas.setdefault(whose, RefusalQuota())
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


def _offered(guarded: Guarded, route: Route) -> tuple[str, ...] | None:
    """The subprotocols that a request to a WebSocket offers; None = the route is none."""
    if route.websocket:
        return require_handshake(guarded)
    require_no_upgrade(guarded)
    return None


def _as_it_is(message: str | bytes) -> str | bytes:
    return message


def _nothing_up(_message: str | bytes) -> str | bytes:
    """Where the CRM's messages are cut, nobody knows what a message to it asks or changes."""
    raise RequestError(Reason.BODY_INVALID, "Nothing can be sent here; ask by a request.")


def _with_person(entry: Entry, principal: Principal) -> Entry:
    narrowed = principal.narrowed_to
    return replace(
        entry,
        narrowed_to=() if narrowed is None else tuple(sorted(narrowed or {NO_ROLE})),
        staff=principal.staff,
        salon=principal.home.salon,
        roles=principal.roles,
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


def _with_cut(entry: Entry, made: Cut | None) -> Entry:
    if made is None:
        return entry
    return replace(
        entry,
        shown=made.shown_fields,
        hidden=made.hidden_fields,
        refused=made.refused,
        unmatched=made.unmatched,
    )


def _with_records(entry: Entry, touched: Touched) -> Entry:
    """The records that a change names besides the path's, and what was known of a single one."""
    further = tuple(record for record in touched.ids if record != entry.record)
    return _with_note(replace(entry, ids=further) if further else entry, touched.note)


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


def _announced(inbound: Inbound) -> int | None:
    """The one length that the wire guard let pass; None = there is none."""
    lengths = inbound.values("content-length")
    return int(lengths[0]) if lengths else None


def _applied_not_shown(error: Exception, request_id: str) -> UpstreamError:
    """What to tell somebody whose write may have been applied, whatever went wrong then."""
    if not isinstance(error, GatewayError):
        emit(Event.INTERNAL_ERROR, error, request_id=request_id)
    return UpstreamError(
        Reason.APPLIED_NOT_SHOWN,
        "The change was sent to the CRM, but its answer cannot be shown. Look before you retry.",
    )
