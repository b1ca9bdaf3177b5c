"""Tokens whose signature was checked before: a phone shows the same one all day.

INVARIANT: `verify` here says what `claims.verify` says. A signature and the form of the claims
stay right as long as the keys do; what changes with time is looked at each time: the end of a
token here, its epoch where it always is. Only good tokens are kept, each under its whole text:
another spelling of one is another token.

Two generations: the older one is thrown away when the younger is full, so that a flood of
tokens never makes the cache start from nothing.
"""

from datetime import timedelta

from gateway.domain.reason import Cause
from gateway.domain.time import Instant
from gateway.identity.claims import Claims, TokenPolicy, verify
from gateway.identity.compact import refuse

MAX_KEPT = 4096  # of each generation; a token has a few hundred bytes, 8 KB at most

Kept = tuple[Claims, Instant, Instant]  # the claims, when they were checked, when they end


class VerifiedTokens:
    """`claims.verify` under one token policy, with a memory.

    Args:
        policy: of every token that is asked about; another one needs another memory.
    """

    def __init__(self, policy: TokenPolicy) -> None:
        self._policy = policy
        self._leeway = timedelta(seconds=policy.leeway_seconds)
        self._young: dict[str, Kept] = {}
        self._old: dict[str, Kept] = {}

    def verify(self, token: str, now: Instant) -> Claims:
        """Check a token and read its claims.

        Raises:
            RequestError: UNAUTHENTICATED, as `claims.verify`.
        """
        kept = self._young.get(token) or self._old.get(token)
        # A clock that was set back may stand before the token's beginning: look again.
        if kept is None or now < kept[1]:
            claims = verify(token, self._policy, now)
            kept = (claims, now, Instant(claims.expires_at + self._leeway))
            self._keep(token, kept)
        if now >= kept[2]:
            refuse(Cause.EXPIRED)
        return kept[0]

    def _keep(self, token: str, kept: Kept) -> None:
        if len(self._young) >= MAX_KEPT:
            self._old, self._young = self._young, {}
        self._young[token] = kept
