"""What of the CRM's answer may be seen: cut, or streamed where nothing is to be cut.

True here:
* Of an answer that is to be cut nothing leaves unread: not its head (an allow-list), not the
  body of a redirect, not bytes in a coding or a format that its route does not declare.
* A redirect or a link leads to a mapped address of the gateway, or the answer does without.
* Whether a record may be seen, only the record tells: where some may not, an answer without a
  record (a redirect, a 404, a HEAD) says no more than the one for a record that is not there.
* Cutting pauses: a large answer does not hold up the others.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import Struct

from gateway.domain.decision import Permit
from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.http import BODYLESS, MISSING, REDIRECTS, Answer, Format, Headers
from gateway.domain.question import Condition
from gateway.domain.reason import Cause, Reason
from gateway.doorway import Doorway
from gateway.mapping.guard import Guarded
from gateway.mapping.hygiene import answer_headers
from gateway.mapping.links import location, own_link
from gateway.mapping.parameters import Capped, Plain
from gateway.mapping.routes import RouteKind, RouteMatch, RouteTable, find
from gateway.mapping.target import linked_target
from gateway.masking.coding import decoded_steps, is_coded
from gateway.masking.cut import (
    MAX_CUT_BODY,
    NO_SUCH_RECORD_DETAIL,
    Cut,
    cut,
    cut_error_steps,
)
from gateway.masking.formats import cut_as_steps
from gateway.masking.mediatype import CONTENT_TYPES, content_fits
from gateway.ports import UpstreamAnswer
from gateway.records import Bench, changes

ResultT = TypeVar("ResultT")

TURN_SECONDS = 0.001  # of work on one answer; a step is a millisecond or two at most


class Sight(Struct, frozen=True, kw_only=True):
    """Who looks at an answer, and what for.

    Attributes:
        routes: of the policy in force: where redirects and links may lead.
        conditions: what the question leaves to be checked on each record.
    """

    guarded: Guarded
    match: RouteMatch
    permit: Permit
    bench: Bench
    routes: RouteTable
    conditions: tuple[Condition, ...] = ()

    @property
    def change(self) -> bool:
        """The request changes records."""
        return changes(self.guarded.method, self.match.route)

    @property
    def as_it_is(self) -> bool:
        """Nothing of the answer is to be cut."""
        return self.bench.plan.nothing_to_do and not self.conditions

    @property
    def cuts(self) -> Format | None:
        """How what will be cut is written; None = nothing will be."""
        return None if self.as_it_is else self.match.route.format

    @property
    def picks(self) -> bool:
        """Some records may be kept back, so nothing may count them."""
        return self.permit.refuses or bool(self.conditions)


@dataclass(slots=True)
class Totals:
    """What a stream of records has shown so far.

    Attributes: as in `masking.cut.Cut`.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    shown: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)

    def add(self, made: Cut) -> None:
        """One more document was cut."""
        self.dropped.update(made.dropped)
        self.refused += made.refused
        self.shown.update(made.shown_fields)
        self.hidden.update(made.hidden_fields)


class Shown(Struct, frozen=True, kw_only=True):
    """An answer for the client.

    Attributes:
        made: what was cut; None = nothing was, or it flows.
        totals: what flows through a cut; None = nothing does.
    """

    answer: Answer
    made: Cut | None = None
    totals: Totals | None = None


async def shown(answer: UpstreamAnswer, sight: Sight, door: Doorway) -> Shown:
    """What of the CRM's answer may be seen.

    Raises:
        UpstreamError: it cannot be shown to this person.
        RequestError: NO_SUCH_RECORD.
    """
    if sight.as_it_is:
        return Shown(answer=await streamed(answer, sight.guarded, door, personal=True))
    permit, change = sight.permit, sight.change
    if answer.status in REDIRECTS:
        return Shown(answer=await _redirected(answer, sight, door))
    nothing = answer.status in MISSING or answer.status in BODYLESS
    if nothing and permit.refuses and not change:
        # The same answer as for a record that is there but may not be seen.
        raise _no_such_record()
    if not answer.status >= 200 or answer.status in {206, 304}:
        # We ask for no part and set no condition: somebody else's answer, or a confused CRM.
        raise UpstreamError(Reason.ANSWER_NOT_CUT, "The CRM answered what was not asked.")
    headers = _cut_headers(answer, sight, door)
    head_only = sight.guarded.method == "HEAD"
    if answer.status in BODYLESS or (head_only and not sight.picks):
        await answer.close()
        return Shown(answer=Answer(status=answer.status, headers=headers))
    if sight.match.route.format is Format.EVENTS and answer.status < 400:
        return _events(answer, headers)
    body = await answer.read(MAX_CUT_BODY)
    if answer.status >= 400:
        # Of a search it may speak of a record that only what is hidden explains.
        body = b"" if sight.conditions else body
        made = await taking_turns(
            cut_error_steps(body, sight.bench.plan, judges=sight.bench.judges)
        )
    elif not body and permit.refuses and not change:
        raise _no_such_record()
    elif not body:
        return Shown(answer=Answer(status=answer.status, headers=headers))
    else:
        made = await _cut(body, answer, sight)
    said = b"" if head_only else made.body
    return Shown(answer=Answer(status=answer.status, headers=headers, body=said), made=made)


async def _cut(body: bytes, answer: UpstreamAnswer, sight: Sight) -> Cut:
    route, bench = sight.match.route, sight.bench
    if not content_fits(answer.headers, route.format):
        raise UpstreamError(
            Reason.ANSWER_NOT_CUT, f"The CRM's answer is not {route.format}, as its adapter says."
        )
    return await taking_turns(
        cut_as_steps(
            route.format,
            body,
            bench.plan,
            judge=bench.judge,
            judges=bench.judges,
            conditions=sight.conditions,
            columns=route.columns,
        )
    )


def _cut_headers(answer: UpstreamAnswer, sight: Sight, door: Doorway) -> Headers:
    """By name; and where the answer leads, as far as the client may follow."""
    route = sight.match.route
    headers = answer_headers(
        answer.headers,
        cut=True,
        # Where records may be kept back, no header may count them all.
        allowed=frozenset() if sight.picks else route.answer_headers,
        pass_cookies=door.pass_cookies,
        content_type=CONTENT_TYPES[route.format if answer.status < 400 else Format.JSON],
    )
    if sight.picks and not sight.change:
        return headers  # `Link: rel="last"` counts them too
    return headers + leads(answer, sight, door)


def leads(answer: UpstreamAnswer, sight: Sight, door: Doorway) -> Headers:
    """`Location` and `Link`, each as a path of ours that is mapped, or not at all."""
    base = sight.guarded.target
    origins = door.origins_of_crm(sight.guarded)

    def reachable(path: str) -> bool:
        return _is_mapped(path, sight.routes)

    found: list[tuple[str, str]] = []
    for name, value in answer.headers:
        if name.lower() == "location":
            path = location(value, origins=origins, base=base)
            if path is not None and reachable(path):
                found.append(("Location", path))
        elif name.lower() == "link":
            link = own_link(value, origins=origins, reachable=reachable, base=base)
            if link is not None:
                found.append(("Link", link))
    return tuple(found)


def _is_mapped(path: str, routes: RouteTable) -> bool:
    """Does a path lead to a route, with parameters that say nothing about a record?"""
    target = linked_target(path)
    match = None if target is None else find(routes, "GET", target)
    if target is None or match is None:
        return False
    if match.route.kind is not RouteKind.RULED:
        return True
    declared = (match.route.query.get(name) for name, _ in target.query)
    return all(isinstance(parameter, Plain | Capped) for parameter in declared)


async def _redirected(answer: UpstreamAnswer, sight: Sight, door: Doorway) -> Answer:
    """A redirect to a mapped path, without its body; or none."""
    if sight.picks and not sight.change:
        # It would tell that there is such a record, or one that has what was asked for.
        raise _elsewhere()
    path = tuple(header for header in leads(answer, sight, door) if header[0] == "Location")
    if len(path) != 1:
        raise _elsewhere()
    headers = answer_headers(
        answer.headers, cut=True, allowed=frozenset(), pass_cookies=door.pass_cookies
    )
    await answer.close()
    return Answer(status=answer.status, headers=headers + path)


def _events(answer: UpstreamAnswer, headers: Headers) -> Shown:
    if not content_fits(answer.headers, Format.EVENTS) or is_coded(answer.headers):
        raise UpstreamError(Reason.ANSWER_NOT_CUT, "The CRM's answer is no stream of events.")
    # It is cut on its way, by the verdict that is in force then: see `flowing.Pieces`.
    answered = Answer(status=answer.status, headers=headers, body=answer.stream())
    return Shown(answer=answered, totals=Totals())


def cut_message(document: bytes, sight: Sight, totals: Totals) -> bytes | None:
    """One message of a stream or a WebSocket; None = of a record that may not be seen.

    Raises:
        UpstreamError: it cannot be cut.
    """
    bench = sight.bench
    try:
        made = cut(document, bench.plan, judge=bench.judge, judges=bench.judges)
    except RequestError:
        totals.refused += 1
        return None
    totals.add(made)
    return made.body


async def streamed(
    answer: UpstreamAnswer, guarded: Guarded, door: Doorway, *, personal: bool
) -> Answer:
    """An answer that needs no cut, chunk by chunk.

    Args:
        answer: the CRM's.
        guarded: the client's request.
        door: how the gateway is set up.
        personal: it is for whoever asked; nobody may keep it for others.
    """
    headers = answer_headers(
        answer.headers,
        cut=False,
        allowed=frozenset(),
        pass_cookies=door.pass_cookies,
        personal=personal,
    )
    if answer.status in REDIRECTS:
        headers += _own_location(answer, guarded, door)
    if guarded.method == "HEAD" or answer.status in BODYLESS:
        await answer.close()
        return Answer(status=answer.status, headers=headers)
    body = answer.arrived()
    return Answer(
        status=answer.status, headers=headers, body=answer.stream() if body is None else body
    )


def _own_location(answer: UpstreamAnswer, guarded: Guarded, door: Doorway) -> Headers:
    """Where a redirect leads: a path on the CRM's own origin, or nowhere."""
    found = [value for name, value in answer.headers if name.lower() == "location"]
    origins = door.origins_of_crm(guarded)
    path = location(found[0], origins=origins) if len(found) == 1 else None
    if path is None:
        raise _elsewhere()
    return (("Location", path),)


class Readable:
    """An answer of the CRM whose body is read without its coding."""

    def __init__(self, answer: UpstreamAnswer) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        """See `ports.UpstreamAnswer`."""
        return self._answer.status

    @property
    def headers(self) -> Headers:
        """See `ports.UpstreamAnswer`; as the CRM sent them."""
        return self._answer.headers

    async def read(self, max_bytes: int) -> bytes:
        """See `ports.UpstreamAnswer`; decoded, and no larger than `max_bytes` then either.

        Raises:
            UpstreamError: also ANSWER_NOT_CUT: not what its `Content-Encoding` says.
        """
        body = await self._answer.read(max_bytes)
        if not body or not is_coded(self._answer.headers):
            return body
        return await taking_turns(decoded_steps(body, self._answer.headers, max_bytes=max_bytes))

    def arrived(self) -> bytes | None:
        """See `ports.UpstreamAnswer`; what is to be cut is read, not passed on."""
        return None

    def stream(self) -> AsyncIterator[bytes]:
        """See `ports.UpstreamAnswer`; still encoded as it came."""
        return self._answer.stream()

    async def close(self) -> None:
        """See `ports.UpstreamAnswer`."""
        await self._answer.close()


async def taking_turns(steps: Generator[None, None, ResultT]) -> ResultT:
    """Take all steps, letting others have their turn every TURN_SECONDS."""
    clock = asyncio.get_running_loop().time
    pause = clock() + TURN_SECONDS
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: ResultT = done.value
            return result
        if clock() >= pause:
            await asyncio.sleep(0)
            pause = clock() + TURN_SECONDS


def _no_such_record() -> RequestError:
    return RequestError(Reason.NO_SUCH_RECORD, NO_SUCH_RECORD_DETAIL, cause=Cause.RECORD_MISSING)


def _elsewhere() -> UpstreamError:
    return UpstreamError(Reason.UPSTREAM_REDIRECT, "The CRM sent the request elsewhere.")
