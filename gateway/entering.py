"""A request to the CRM's own login: forwarded whole, its answer read before it goes out.

What the answer hands out is bound to a person first (`learning.py`); whom nobody stands behind
gets no answer at all. Nothing here decides what anybody may see: a login shows a person to
themselves.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from gateway.bundle import Bundle
from gateway.domain.act import Act
from gateway.domain.decision import Passage
from gateway.domain.errors import UpstreamError
from gateway.domain.http import Answer, BodySource, CanonicalTarget, Headers
from gateway.domain.login import Login, SignIn, SignOut, Who
from gateway.domain.reason import Reason
from gateway.domain.time import Instant
from gateway.doorway import Doorway
from gateway.identity.claims import Claims
from gateway.identity.said import MAX_LOGIN_ANSWER, MAX_LOGIN_BODY, Answered
from gateway.learning import Learning
from gateway.mapping.guard import Guarded
from gateway.mapping.routes import RouteMatch
from gateway.ports import Upstream
from gateway.showing import streamed

_ASKED_WITH = b"{}"  # by POST, some CRMs tell who asks (Odoo): they want a body


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What came of it.

    Attributes:
        act: what somebody did by it; None = nobody did anything that is entered.
        claims: of that person.
    """

    answer: Answer
    act: Act | None = None
    claims: Claims | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """The service, over the CRM and what was learned.

    Attributes:
        require_in: raises unless the person of these claims may still come in: on the roster,
            not logged out, not locked, not gone.
    """

    doorway: Doorway
    upstream: Upstream
    learning: Learning
    require_in: Callable[[Bundle, Claims, Instant], Awaitable[None]]

    async def exchange(
        self,
        bundle: Bundle,
        login: Login,
        match: RouteMatch,
        guarded: Guarded,
        target: CanonicalTarget,
        body: BodySource | None,
        request_id: str,
        now: Instant,
    ) -> Entered:
        """Forward one request to the login, and learn from its answer.

        Args:
            bundle: the policy in force.
            login: its adapter's.
            match: one of the login's addresses.
            guarded: the request.
            target: of it.
            body: None = it has none.
            request_id: ours.
            now: when it came.

        Raises:
            GatewayError: it is not admitted, or what it hands out is nobody's.
        """
        passage = Passage(reason=Reason.PUBLIC)
        sent = None if body is None else await body.read(MAX_LOGIN_BODY)
        template = match.route.template

        async def ask(who: Who, fresh: Headers) -> Answered:
            own = {name.lower() for name, _ in fresh}
            kept = tuple((n, v) for n, v in self.doorway.inject if n.lower() not in own)
            asked_with = _ASKED_WITH if who.method == "POST" else None
            typed = (("Content-Type", "application/json"),) if asked_with else ()
            whole = (*fresh, *kept, *typed)
            return await self._ask(passage, who.method, who.target, whole, asked_with)

        admission = await self.learning.admit(login, template, guarded, sent or b"", ask, now)
        if admission.claims is not None:
            await self.require_in(bundle, admission.claims, now)
        headers = self.doorway.outgoing(guarded, request_id, cut=None, passing=admission.passing)
        answered = await self._ask(passage, guarded.method, target, headers, sent)
        members = bundle.roster.members
        claims = await self.learning.learn(login, admission, answered, members, ask, now)
        if claims is not None:
            await self.require_in(bundle, claims, now)
        door = self.doorway.letting_back(admission.back)
        answer = await streamed(_Whole(answered), guarded, door, personal=True)
        match admission.step:
            case SignIn() if claims is not None:
                return Entered(answer=answer, act=Act.SIGN_IN, claims=claims)
            case SignOut() if admission.left is not None:
                return Entered(answer=answer, act=Act.SIGN_OUT, claims=admission.left)
            case _:  # a refresh goes on with what was entered when it began
                return Entered(answer=answer)

    async def _ask(
        self,
        passage: Passage,
        method: str,
        target: CanonicalTarget,
        headers: Headers,
        body: bytes | None,
    ) -> Answered:
        answer = await self.upstream.send(
            passage, method=method, target=target, headers=headers, body=body
        )
        try:
            whole = b"" if method == "HEAD" else await answer.read(MAX_LOGIN_ANSWER)
            return Answered(status=answer.status, headers=answer.headers, body=whole)
        finally:
            await answer.close()


class _Whole:
    """An answer that has been read, as one that is still to be: `ports.UpstreamAnswer`."""

    def __init__(self, answered: Answered) -> None:
        self.status, self.headers = answered.status, answered.headers
        self._body = answered.body

    async def read(self, max_bytes: int) -> bytes:
        if len(self._body) > max_bytes:
            raise UpstreamError(Reason.ANSWER_TOO_LARGE, "The answer to a login is too large.")
        return self._body

    def arrived(self) -> bytes | None:
        return self._body

    async def stream(self) -> AsyncIterator[bytes]:
        if self._body:
            yield self._body

    async def close(self) -> None:
        """Nothing is held."""
