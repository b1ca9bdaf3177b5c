"""What observed rules would have done to a request that passes because they do not count yet.

The pipeline goes its way under the rules that count. Beside it goes a shadow, under all
rules, and stops where they would have stopped it: at the door, at the question, at the
change, at the answer. What it finds goes into the audit entry and the metrics.

True here:
- Nothing here lets anything pass: a shadow is asked only about what the rules that count
  have let pass already.
- Nothing here refuses, changes or delays an answer, or asks the CRM for more. A record that
  was not looked up is not known, and then it is not known what would have been.
- Whatever fails here is counted and logged, and the answer goes out.

A body that would otherwise stream is gathered first: only whole can it be measured.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import structs

from gateway.audit.entry import Entry
from gateway.bundle import Bundle
from gateway.domain.decision import Decision, Denial, Permit
from gateway.domain.errors import GatewayError
from gateway.domain.http import BODYLESS, REDIRECTS, CanonicalTarget, Format, Headers
from gateway.domain.obligation import REFUSED, RecordVerdict
from gateway.domain.reason import Reason
from gateway.domain.record import RecordState
from gateway.domain.resource import Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import Principal
from gateway.domain.time import Instant
from gateway.enforcer.index import READ
from gateway.enforcer.ruling import Ruling
from gateway.events import Event, emit
from gateway.mapping.asked_body import require_body_answerable
from gateway.mapping.query import require_answerable
from gateway.mapping.routes import ASKING, RouteMatch
from gateway.masking.coding import is_coded
from gateway.masking.cut import MAX_CUT_BODY, Cut, cut_error
from gateway.masking.facts import FactReader
from gateway.masking.formats import cut_as_steps
from gateway.masking.judge import Judges, NodeOf, RecordJudge
from gateway.masking.mediatype import content_fits
from gateway.masking.plan import Node, Prefix
from gateway.masking.steps import all_at_once
from gateway.masking.walk import Walk
from gateway.masking.writes import require_writable
from gateway.ports import Meter, UpstreamAnswer
from gateway.records import Bench, Fetch, asker_of, changes, inside, judge_change, seat, verdict_of

GATHER_SECONDS = 5.0  # for a body that streams: then it goes on as it comes, unmeasured
_NOT_SHOWN = frozenset({"-"})  # no field's name: of a record that is not in the answer at all
_AS_IT_IS = Node()


class _NotKnownError(Exception):
    """What observed rules would do depends on something that nobody has asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request that was let pass, and under what.

    Attributes:
        ruling: on the route's action, by the rules that count and by all of them.
        bench: of the rules that count.
    """

    bundle: Bundle
    person: Principal
    match: RouteMatch
    method: str
    ruling: Ruling
    bench: Bench
    at: Instant
    peer: str | None
    request_id: str


@dataclass(slots=True)
class Shadow:
    """What all rules would do to one request. Says nothing where nothing is observed.

    Attributes:
        would: why they would refuse it; None = they would not, as far as is known.
        by: by which rows.
        hides: the fields of the answer that they would hide.
        refuses: how many of its records they would keep back.
        unknown: nobody can say what they would do.
    """

    case: Case
    would: Reason | None = None
    by: tuple[RuleRef, ...] = ()
    hides: tuple[str, ...] = ()
    refuses: int = 0
    unknown: bool = False
    _falls: bool = False  # something that is observed makes a difference here
    _bench: Bench | None = None  # of all rules
    _rulings: Mapping[str, Ruling] = field(default_factory=dict)  # on records inside records
    _looked: dict[str, bytes] = field(default_factory=dict)
    _heard: "Overheard | None" = None
    _dropped: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._falls = bool(self.case.bundle.trials) and self._differs()

    def _differs(self) -> bool:
        """Do all rules say anything else than those that count?"""
        case = self.case
        bundle, known = case.bundle, case.bundle.adapter.vocabulary.resources
        try:
            self._rulings = {
                name: bundle.ruling(case.person, resource, READ, case.at, case.peer)
                for name, resource in inside(case.match.route.resource, known).items()
            }
        except Exception as error:  # noqa: BLE001  # see the docstring: whatever fails here
            self._fail(error)
            return False
        rulings = (case.ruling, *self._rulings.values())
        return any(ruling.full is not ruling.decision for ruling in rulings)

    @property
    def reason(self) -> Reason:
        """Of an answer that was let through."""
        return Reason.RULE_ALLOWS if self.would is None else Reason.WOULD_DENY

    @property
    def _listens(self) -> bool:
        """Does the answer tell more?"""
        return self._bench is not None and self.would is None and not self.unknown

    # -- before it is forwarded -----------------------------------------------------------

    def overhearing(self, fetch: Fetch) -> Fetch:
        """The same look-up; what it shows is kept, to judge it by all rules too."""
        if not self._falls:
            return fetch

        async def fetched(at: CanonicalTarget) -> bytes:
            self._looked[at.wire] = await fetch(at)
            return self._looked[at.wire]

        return fetched

    async def judge(
        self,
        query: tuple[tuple[str, str], ...],
        value: Mapping[str, Any] | None,
        fields: frozenset[str],
    ) -> None:
        """Every stop up to the CRM.

        Args:
            query: decoded pairs.
            value: the body, strictly parsed; None = there is none.
            fields: what it would change.
        """
        if not self._falls:
            return
        try:
            await self._judge(query, value, fields)
        except GatewayError as error:
            self.would = error.reason
        except _NotKnownError:
            self.unknown = True
        except Exception as error:  # noqa: BLE001  # see the docstring
            self._fail(error)

    async def _judge(
        self,
        query: tuple[tuple[str, str], ...],
        value: Mapping[str, Any] | None,
        fields: frozenset[str],
    ) -> None:
        case, full = self.case, self.case.ruling.full
        route = case.match.route
        if isinstance(full, Denial):
            self.would, self.by = full.reason, full.by
            return
        change = changes(case.method, route)
        bench = seat(
            case.bundle, case.person, route, full, case.at, case.peer, change=change, full=True
        )
        conditions = require_answerable(route, query, bench.secret)
        if route.asks is not None and route.action in ASKING and value is not None:
            conditions += require_body_answerable(route, value, bench.secret)
        # Which records would fit, nobody has looked.
        self.unknown = bool(conditions)
        verdict = full.whole
        if change:
            asker = asker_of(case.bundle, case.person, case.at)
            touched = await judge_change(
                case.bundle, full, case.match, asker, query, value, self._remembered
            )
            verdict = touched.verdict
        require_writable(
            fields,
            hidden=verdict.hidden,
            unwritable=verdict.unwritable,
            method=case.method,
            resource=route.resource,
        )
        self._bench = bench

    async def _remembered(self, at: CanonicalTarget) -> bytes:
        try:
            return self._looked[at.wire]
        except KeyError:
            raise _NotKnownError from None

    def headers(self, headers: Headers) -> Headers:
        """The headers to the CRM, asking for a body that can be read if it is to be measured."""
        if not self._listens or not self.case.bench.plan.nothing_to_do:
            return headers
        kept = tuple((n, v) for n, v in headers if n.lower() != "accept-encoding")
        return (*kept, ("Accept-Encoding", "identity"))

    # -- the answer -----------------------------------------------------------------------

    async def hear(self, answer: UpstreamAnswer, monotonic: Callable[[], float]) -> UpstreamAnswer:
        """The same answer; what is read of it is kept, to measure it."""
        if not self._listens or self.case.method == "HEAD":
            return answer
        self._heard = Overheard(answer)
        streams = self.case.bench.plan.nothing_to_do
        route = self.case.match.route
        readable = content_fits(answer.headers, route.format) and not is_coded(answer.headers)
        if streams and readable and answer.status not in BODYLESS:
            await self._heard.gather(MAX_CUT_BODY, monotonic)
        return self._heard

    def overhear(self) -> None:
        """What is opened is a WebSocket, whose messages nobody measures."""
        if self._bench is not None and self._listens:
            self.unknown = not self._bench.plan.nothing_to_do

    def measure(self, made: Cut | None) -> None:
        """Find out what all rules would take from the answer.

        Args:
            made: what was cut by those that count; None = nothing was.
        """
        if self._bench is None or not self._listens:
            return
        try:
            self._measure(self._bench, made)
        except GatewayError as error:
            self.would = error.reason
            self.refuses = int(error.reason is Reason.NO_SUCH_RECORD)
        except _NotKnownError:
            self.unknown = True
        except Exception as error:  # noqa: BLE001  # see the docstring
            self._fail(error)

    def _measure(self, bench: Bench, made: Cut | None) -> None:
        heard, plan = self._heard, bench.plan
        if heard is None:
            # Of a HEAD the CRM sends no record, so whether it may be seen nobody knows.
            self.unknown = plan.may_refuse
        elif plan.nothing_to_do or heard.status in BODYLESS:
            return
        elif heard.status in REDIRECTS:
            raise _NotKnownError  # where it leads, all rules may let it lead
        elif heard.status >= 400:
            if heard.body is not None:
                self._measure_error(bench, heard.body, made)
        elif self.case.match.route.format is Format.EVENTS:
            raise _NotKnownError
        elif heard.status == 206 or not content_fits(heard.headers, self.case.match.route.format):
            self.would = Reason.ANSWER_NOT_CUT
        elif heard.too_large:
            self.would = Reason.ANSWER_TOO_LARGE
        elif heard.body is None:
            raise _NotKnownError
        elif heard.body:
            self._measure_records(bench, heard.body)

    def _measure_error(self, bench: Bench, body: bytes, made: Cut | None) -> None:
        whole = cut_error(body, bench.plan, judges=bench.judges)
        self._dropped.update(whole.dropped)
        if made is not None:
            self._dropped -= Counter(made.dropped)
        gone = () if made is None else made.hidden_fields
        self.hides = tuple(sorted({*whole.hidden_fields} - {*gone}))

    def _measure_records(self, bench: Bench, body: bytes) -> None:
        """Cut the answer by what all rules hide of it and those that count do not."""
        case = self.case
        steps = cut_as_steps(
            case.match.route.format,
            body,
            replace(bench.plan, depends=True),
            judge=self._difference(case.match.route.resource, case.ruling),
            judges=self._differences(),
            guards=_guards(bench) and not _guards(case.bench),
            columns=case.match.route.columns,
        )
        made = all_at_once(steps)
        self._dropped.update(made.dropped)
        self.hides = made.hidden_fields
        self.refuses = made.refused

    def _differences(self) -> Judges:
        known = self.case.bundle.adapter.vocabulary.resources
        return {
            name: self._difference(known[name], ruling, change=False)
            for name, ruling in self._rulings.items()
        }

    def _difference(
        self, resource: Resource, ruling: Ruling, *, change: bool | None = None
    ) -> RecordJudge:
        """Judges of a record what all rules take from it and those that count leave."""
        case = self.case
        if change is None:
            change = changes(case.method, case.match.route)
        shown = _verdicts(ruling.decision, resource, change=change)
        wanted = _verdicts(ruling.full, resource, change=change)

        def verdict(state: RecordState) -> RecordVerdict:
            now, then = shown(state), wanted(state)
            if not now.passes:
                return RecordVerdict(passes=True, hidden=_NOT_SHOWN)
            if not then.passes:
                return REFUSED
            return RecordVerdict(passes=True, hidden=then.hidden - now.hidden)

        permits = [d for d in (ruling.decision, ruling.full) if isinstance(d, Permit)]
        asks = 0
        for permit in permits:
            asks |= permit.asks
        asker = asker_of(case.bundle, case.person, case.at)
        return RecordJudge(
            reader=FactReader(
                resource, asker, asks=asks, salon=any(permit.depends for permit in permits)
            ),
            verdict=verdict,
            node_of=_or_as_it_is(case.bundle.node_of(resource)),
            depends=True,
            hidden=frozenset(),
        )

    # -- what becomes of it ---------------------------------------------------------------

    def entered(self, entry: Entry) -> Entry:
        """The entry, with what is known so far."""
        if not self._falls:
            return entry
        return structs.replace(
            entry,
            would=self.would,
            would_by=self.by,
            would_hide=self.hides,
            would_refuse=self.refuses,
        )

    def count(self, meter: Meter) -> None:
        """Count it, once the answer has been entered."""
        route, role = self.case.match.route, self.case.person.home.first_role
        resource = route.resource.name
        if self.would is not None:
            meter.would_deny(role, resource, route.action, self.would)
        if self.unknown:
            meter.would_unknown(resource)
        if self.refuses:
            meter.would_refuse_records(resource, self.refuses)
        for field_class, count in self._dropped.items():
            meter.would_hide(resource, field_class, count)

    def _fail(self, error: Exception) -> None:
        self.unknown = True
        emit(Event.OBSERVING_FAILED, error, request_id=self.case.request_id)


class Unobserved:
    """The shadow of a request under a policy of which nothing is observed: it says nothing."""

    reason = Reason.RULE_ALLOWS

    def overhearing(self, fetch: Fetch) -> Fetch:
        """See `Shadow`."""
        return fetch

    async def judge(
        self,
        query: tuple[tuple[str, str], ...],
        value: Mapping[str, Any] | None,
        fields: frozenset[str],
    ) -> None:
        """See `Shadow`."""

    def headers(self, headers: Headers) -> Headers:
        """See `Shadow`."""
        return headers

    async def hear(self, answer: UpstreamAnswer, monotonic: Callable[[], float]) -> UpstreamAnswer:  # noqa: ARG002  # as `Shadow`
        """See `Shadow`."""
        return answer

    def overhear(self) -> None:
        """See `Shadow`."""

    def measure(self, made: Cut | None) -> None:
        """See `Shadow`."""

    def entered(self, entry: Entry) -> Entry:
        """See `Shadow`."""
        return entry

    def count(self, meter: Meter) -> None:
        """See `Shadow`."""


UNOBSERVED = Unobserved()


def _verdicts(
    decision: Decision, resource: Resource, *, change: bool
) -> Callable[[RecordState], RecordVerdict]:
    if isinstance(decision, Denial):
        return lambda _: REFUSED
    return verdict_of(decision, resource, change=change)


def _or_as_it_is(node_of: NodeOf) -> NodeOf:
    """Of a record that is not in the answer at all, nothing is taken."""

    def node(hidden: frozenset[str], prefix: Prefix) -> Node:
        return _AS_IT_IS if hidden is _NOT_SHOWN else node_of(hidden, prefix)

    return node


def _guards(bench: Bench) -> bool:
    """Do undeclared members around the records leave?"""
    if bench.plan.nothing_to_do:
        return False
    return Walk(bench.plan, careful=False, judges=bench.judges).guards


class Overheard:
    """An answer of the CRM that remembers its body. Says what it was told, byte for byte.

    Attributes:
        body: the whole body; None = not known.
        too_large: it is larger than what can be measured.
    """

    def __init__(self, answer: UpstreamAnswer) -> None:
        self.body: bytes | None = None
        self.too_large = False
        self._answer = answer
        self._gathered: list[bytes] = []
        self._rest: AsyncIterator[bytes] | None = None
        self._failure: Exception | None = None

    @property
    def status(self) -> int:
        """See `ports.UpstreamAnswer`."""
        return self._answer.status

    @property
    def headers(self) -> Headers:
        """See `ports.UpstreamAnswer`."""
        return self._answer.headers

    async def gather(self, most: int, monotonic: Callable[[], float]) -> None:
        """Take the body in, as far as that is allowed; `stream` then begins with it.

        Args:
            most: bytes, give or take the last piece.
            monotonic: seconds, to end it after `GATHER_SECONDS`.
        """
        began, size = monotonic(), 0
        self._rest = self._answer.stream()
        try:
            async for piece in self._rest:
                self._gathered.append(piece)
                size += len(piece)
                self.too_large = size > most
                if self.too_large or monotonic() - began > GATHER_SECONDS:
                    return
        except Exception as error:  # noqa: BLE001  # `stream` raises it where it belongs
            self._failure = error
        else:
            self.body = b"".join(self._gathered)

    async def read(self, max_bytes: int) -> bytes:
        """See `ports.UpstreamAnswer`."""
        self.body = await self._answer.read(max_bytes)
        return self.body

    def arrived(self) -> bytes | None:
        """See `ports.UpstreamAnswer`."""
        return self._answer.arrived() if self._rest is None else None

    def stream(self) -> AsyncIterator[bytes]:
        """See `ports.UpstreamAnswer`."""
        return self._answer.stream() if self._rest is None else self._again(self._rest)

    async def _again(self, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            for piece in self._gathered:
                yield piece
            if self._failure is not None:
                raise self._failure
            async for piece in rest:
                yield piece
        finally:
            await self._answer.close()

    async def close(self) -> None:
        """See `ports.UpstreamAnswer`."""
        await self._answer.close()
