"""Break-glass on the guarded port: `/_salon/break-glass`.

    GET   ?record=/api/clients/7   the form; or that it is open, or why not
    POST  record, reason, salon    opens it: a form of ours, or JSON of a program

True here:
* who asks has passed every check that comes before the rules, by the pipeline's own hand;
* what is asked for is judged anew: only what the window alone refuses, now, can be opened;
* whether the record exists is neither looked up nor told.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import msgspec

from gateway.domain.decision import Decision, Denial, Refusal
from gateway.domain.errors import GatewayError, OperatorError, RequestError
from gateway.domain.http import Answer, BodySource, CanonicalTarget, Headers, Inbound, Outcome
from gateway.domain.reason import STATUS, Cause, Reason
from gateway.domain.time import Instant
from gateway.doorway import Doorway
from gateway.events import Event, emit
from gateway.grants import BlockedError, Grants
from gateway.identity.grant import Grant, blocked, lifts
from gateway.lifting import BreakGlass, Visitor, salons_to_lift
from gateway.mapping.guard import Guarded, guard
from gateway.mapping.pattern import RESERVED
from gateway.mapping.query import asked_as
from gateway.mapping.routes import RouteKind, RouteMatch, find
from gateway.mapping.target import canonical, linked_target
from gateway.mapping.websocket import require_no_upgrade
from gateway.ports import Clock, Labels, Meter
from gateway.proxy import negotiate
from gateway.proxy.breakglass_pages import asking, not_now, opened
from gateway.proxy.refusals import BREAK_GLASS, MAX_WAY_BACK, break_glass_address, render
from gateway.proxy.signin_forms import is_form, read_members

MAX_BODY_BYTES = 8192  # a reason of 300 characters has 3600 at most in a form, an address 3072
SEE_OTHER = 303  # RFC 9110 15.4.4
_PLAIN: Headers = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
)
_NEEDED = frozenset({"record", "reason"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card that somebody asks for, judged now.

    Attributes:
        decision: what the rules say to it.
        salons: whose window would let it pass, if it were lifted.
    """

    target: CanonicalTarget
    match: RouteMatch
    decision: Decision
    salons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlassPages:
    """Answers what lies at its address.

    Attributes:
        known: who sends a request, by every check that comes before the rules; raises
            GatewayError against it.
        minutes: how long a card is open.
        new_id: a number for a refusal.
    """

    known: Callable[[Inbound], Awaitable[Visitor]]
    grants: Grants
    break_glass: BreakGlass
    minutes: int
    doorway: Doorway
    clock: Clock
    meter: Meter
    new_id: Callable[[], str]

    async def answer(self, inbound: Inbound, body: BodySource) -> Outcome | None:
        """Answer a request; None = it is none of ours. Never raises, except when cancelled."""
        if not inbound.target.startswith(BREAK_GLASS):  # its letters have one spelling
            return None
        try:
            guarded = guard(self.doorway.received(inbound), self.doorway.limits)
            target = canonical(guarded)
        except RequestError:
            return None
        if target.segments != (RESERVED, "break-glass") or target.slash:
            return None
        try:
            return await self._answer(guarded, target, inbound, body)
        except GatewayError as error:
            return self._refusal(guarded, error)
        except Exception as error:  # noqa: BLE001  # every one of them refuses
            emit(Event.INTERNAL_ERROR, error)
            return self._refusal(guarded, OperatorError(Reason.INTERNAL_ERROR))

    async def _answer(
        self, guarded: Guarded, target: CanonicalTarget, inbound: Inbound, body: BodySource
    ) -> Outcome:
        require_no_upgrade(guarded)
        if guarded.method in {"GET", "HEAD"}:
            return await self._show(guarded, target, inbound)
        if guarded.method == "POST" and not target.query:
            return await self._ask(guarded, inbound, body)
        raise RequestError(Reason.UNMAPPED, "nothing of the gateway is asked for like this")

    # -- the two things to do ---------------------------------------------------------------

    async def _show(self, guarded: Guarded, target: CanonicalTarget, inbound: Inbound) -> Outcome:
        match target.query:
            case (("record", wanted),):
                pass
            case _:
                raise RequestError(Reason.UNKNOWN_PARAMETER, "say which `record`, and no more")
        visitor = await self.known(inbound)
        card = _card(self.break_glass, visitor, wanted)
        if not isinstance(card.decision, Denial):  # it has opened meanwhile
            return _gone_to(card.target.wire)
        language = _language(guarded)
        last = await self.grants.last(visitor.person.staff)
        if last is not None and _is_for(last, visitor, card):
            return opened(language, record=card.target.wire, time=_time(visitor, last))
        _require_salon(card)
        why = blocked(last, visitor.now)
        if why is not None:
            return not_now(language, why, STATUS[Reason.BREAK_GLASS_REFUSED])
        return self._form(language, card)

    async def _ask(self, guarded: Guarded, inbound: Inbound, body: BodySource) -> Outcome:
        visitor = await self.known(inbound)
        form, sent = await read_members(
            guarded, body, own_origins=self.doorway.origins, max_bytes=MAX_BODY_BYTES
        )
        if not _NEEDED <= sent.keys() <= _NEEDED | {"salon"}:
            raise RequestError(Reason.BODY_INVALID, "send record, reason and salon, no more")
        card = _card(self.break_glass, visitor, sent["record"])
        if not isinstance(card.decision, Denial):
            return _gone_to(card.target.wire)
        _require_salon(card)
        salon = sent.get("salon", card.salons[0] if len(card.salons) == 1 else "")
        if salon not in card.salons:
            raise RequestError(Reason.BODY_INVALID, "say which `salon`")
        language = _language(guarded)
        try:
            grant = await self._given(visitor, card, salon, sent["reason"])
        except BlockedError as error:
            if not form:
                raise
            self._count(error.reason)
            return not_now(language, error.why, STATUS[error.reason])
        except RequestError as error:
            if not form or error.reason is not Reason.BODY_INVALID:
                raise
            self._count(error.reason)
            return self._form(language, card, reason=sent["reason"], chosen=salon, wrong=True)
        if form:
            return _gone_to(break_glass_address(card.target.wire))
        until = grant.ends.isoformat()
        return _json({"grant": grant.id, "record": card.target.wire, "until": until})

    async def _given(self, visitor: Visitor, card: Card, salon: str, reason: str) -> Grant:
        record = card.match.record
        assert record is not None  # noqa: S101  # `salons_to_lift` names no salon otherwise
        return await self.grants.ask(
            visitor.person,
            salon=salon,
            resource=card.match.route.resource.name,
            record=record,
            reason=reason,
            peer=visitor.peer or visitor.guarded.peer,
        )

    # -- what they get ----------------------------------------------------------------------

    def _form(
        self,
        language: negotiate.Language,
        card: Card,
        *,
        reason: str = "",
        chosen: str = "",
        wrong: bool = False,
    ) -> Answer:
        return asking(
            language,
            record=card.target.wire,
            card=f"{card.match.route.resource.name} {card.match.record}",
            salons=card.salons,
            minutes=self.minutes,
            reason=reason,
            chosen=chosen,
            wrong=wrong,
        )

    def _refusal(self, guarded: Guarded, error: GatewayError) -> Outcome:
        """A refusal; as a page where a browser sent a form."""
        self._count(error.reason, error.cause)
        refusal = Refusal(
            reason=error.reason, request_id=self.new_id(), detail=error.detail, cause=error.cause
        )
        if guarded.method != "POST" or not is_form(guarded):
            return refusal
        return render(refusal, replace(guarded, method="GET"), now=self.clock.now())

    def _count(self, reason: Reason, cause: Cause | None = None) -> None:
        if reason is Reason.UNAUTHENTICATED and cause is not None:
            self.meter.unauthenticated(cause)
        labels = Labels(
            role=None,
            resource=None,
            action=None,
            reason=reason,
            window=None,
            status=STATUS[reason],
        )
        self.meter.answered(labels, 0.0)


def _card(break_glass: BreakGlass, visitor: Visitor, wanted: str) -> Card:
    """What is asked for, as a GET of it would be judged now.

    Raises:
        RequestError: UNMAPPED: it is nothing that can be asked for.
    """
    bundle, person, now, peer = visitor.bundle, visitor.person, visitor.now, visitor.peer
    target = linked_target(wanted) if len(wanted) <= MAX_WAY_BACK else None
    match = None if target is None else find(bundle.adapter.routes, "GET", target)
    if target is None or match is None or match.route.kind is not RouteKind.RULED:
        raise RequestError(Reason.UNMAPPED, "No card is at this address.")
    match = asked_as(match, target.query)
    route = match.route
    decision = bundle.ruling(person, route.resource, route.action, now, peer).decision
    salons = salons_to_lift(break_glass, bundle, person, match, "GET", decision, now, peer)
    return Card(target=target, match=match, decision=decision, salons=salons)


def _require_salon(card: Card) -> None:
    """Refused as the request itself is: asking tells nothing that the card's address does not."""
    if not card.salons and isinstance(card.decision, Denial):
        raise RequestError(card.decision.reason, "This cannot be asked for.")


def _is_for(grant: Grant, visitor: Visitor, card: Card) -> bool:
    route = card.match.route
    return lifts(
        grant,
        visitor.person,
        method="GET",
        resource=route.resource.name,
        action=route.action,
        record=card.match.record,
        now=visitor.now,
    )


def _time(visitor: Visitor, grant: Grant) -> str:
    """When it ends, on the salon's clock."""
    hours = visitor.bundle.hours(grant.salon)
    zone = ZoneInfo("UTC") if hours is None else hours.zone
    return f"{Instant(grant.ends).astimezone(zone):%H:%M}"


def _gone_to(address: str) -> Answer:
    return Answer(status=SEE_OTHER, headers=(*_PLAIN, ("Location", address)))


def _json(members: Mapping[str, str]) -> Answer:
    headers = (("Content-Type", "application/json"), *_PLAIN)
    return Answer(status=200, headers=headers, body=msgspec.json.encode(members))


def _language(inbound: Inbound) -> negotiate.Language:
    return negotiate.language(inbound.values("accept-language"))
