"""Tokens whose signature was checked before: a phone shows the same one all day.

INVARIANT: `verify` here says what `claims.verify` says, and `VerifiedForeign.verify` what
`claims.verify_foreign` says. A signature and the form of the claims stay right as long as the
keys do; what changes with time is looked at each time: the end of a token here, its epoch where
it always is. Only good tokens are kept, each under its whole text: another spelling of one is
another token. Where keys change, there is another policy, and a memory that is new.

Two generations: the older one is thrown away when the younger is full, so that a flood of
tokens never makes the cache start from nothing.
"""

from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from gateway.domain.reason import Cause
from gateway.domain.time import Instant
from gateway.identity.claims import Claims, ForeignClaims, TokenPolicy, verify, verify_foreign
from gateway.identity.compact import refuse

MAX_KEPT = 4096  # of each generation; a token has a few hundred bytes, 8 KB at most


class Ending(Protocol):
    """What a token says, whatever else it says."""

    @property
    def expires_at(self) -> Instant:
        """Without leeway."""
        ...


T = TypeVar("T", bound=Ending)


class _Memory(Generic[T]):
    """Good tokens of one policy. Another policy needs another memory."""

    def __init__(self, policy: TokenPolicy) -> None:
        self._policy = policy
        self._leeway = timedelta(seconds=policy.leeway_seconds)
        # token → what it says, when it was checked, when it ends
        self._young: dict[str, tuple[T, Instant, Instant]] = {}
        self._old: dict[str, tuple[T, Instant, Instant]] = {}

    def verify(self, token: str, now: Instant) -> T:
        """Check a token and read its claims.

        Raises:
            RequestError: UNAUTHENTICATED, as a fresh look at it.
        """
        kept = self._young.get(token) or self._old.get(token)
        # A clock that was set back may stand before the token's beginning: look again.
        if kept is None or now < kept[1]:
            said = self._look(token, now)
            kept = (said, now, Instant(said.expires_at + self._leeway))
            self._keep(token, kept)
        if now >= kept[2]:
            refuse(Cause.EXPIRED)
        return kept[0]

    def _look(self, token: str, now: Instant) -> T:
        raise NotImplementedError

    def _keep(self, token: str, kept: tuple[T, Instant, Instant]) -> None:
        if len(self._young) >= MAX_KEPT:
            self._old, self._young = self._young, {}
        self._young[token] = kept


class VerifiedTokens(_Memory[Claims]):
    """`claims.verify` under one token policy, with a memory."""

    def _look(self, token: str, now: Instant) -> Claims:
        return verify(token, self._policy, now)


class VerifiedForeign(_Memory[ForeignClaims]):
    """`claims.verify_foreign` under one token policy, with a memory."""

    def _look(self, token: str, now: Instant) -> ForeignClaims:
        return verify_foreign(token, self._policy, now)
