"""The gateway's own tokens, for people who sign in here: signed with the shared secret."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Self

from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant
from gateway.identity.claims import Claims, TokenPolicy, issue


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Signs tokens that `claims.verify` accepts under the same policy.

    Attributes:
        lifetime_seconds: of each token.
    """

    policy: TokenPolicy
    lifetime_seconds: int
    secret: bytes = field(repr=False)
    algorithm: str
    kid: str | None

    @classmethod
    def of(cls, policy: TokenPolicy, *, lifetime_seconds: int) -> Self:
        """The one for this policy.

        Raises:
            ValueError: there is no shared secret among its keys.
        """
        for key in policy.keys.keys:
            if isinstance(key.material, bytes):
                return cls(
                    policy=policy,
                    lifetime_seconds=lifetime_seconds,
                    secret=key.material,
                    algorithm=key.algorithm,
                    kid=key.kid,
                )
        raise ValueError("no shared secret to sign with; set `tokens.secret_file`")

    def first(self, staff: StaffId, device: DeviceId, epoch: int, now: Instant) -> str:
        """The token of somebody who has just signed in."""
        return self._issue(
            Claims(staff=staff, device=device, epoch=epoch, app=None, roles=None, expires_at=now),
            now,
        )

    def on_behalf(self, claims: Claims, device: DeviceId, epoch: int, now: Instant) -> str:
        """The token of somebody whom another issuer's token names: not a role more than that.

        Raises:
            ValueError: it narrows their roles, and ours have no claim that could.
        """
        return self._issue(replace(claims, device=device, epoch=epoch), now)

    def next(self, claims: Claims, now: Instant) -> str:
        """The same once more, for another life: same epoch, and not a role more."""
        return self._issue(claims, now)

    def is_due(self, claims: Claims, now: Instant) -> bool:
        """Is a token past half of its life?"""
        return claims.expires_at - now <= timedelta(seconds=self.lifetime_seconds) / 2

    def _issue(self, claims: Claims, now: Instant) -> str:
        return issue(
            key=self.secret,
            algorithm=self.algorithm,
            kid=self.kid,
            issuer=self.policy.issuer,
            audience=self.policy.audience,
            names=self.policy.names,
            staff=claims.staff,
            device=claims.device,
            app=claims.app,
            roles=claims.roles,
            epoch=claims.epoch,
            now=now,
            lifetime_seconds=self.lifetime_seconds,
        )
