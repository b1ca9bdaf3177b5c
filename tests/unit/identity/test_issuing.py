from datetime import timedelta

import pytest

from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import from_milliseconds, instant
from gateway.identity.claims import ClaimNames, Claims, TokenPolicy, verify
from gateway.identity.issuing import Issuer
from gateway.identity.keys import parse_jwks, secret_table

NOON = from_milliseconds(1_795_000_000_000)
MEI, PHONE = StaffId("staff:mei"), DeviceId("phone-1")
HOUR = 3600
JWKS = (
    '{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a",'
    '"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
)


def a_policy(**names):
    return TokenPolicy(
        issuer="salon-gateway",
        audience="salon-crm",
        keys=secret_table(b"0123456789abcdef0123456789abcdef"),
        names=ClaimNames(**names),
    )


def later(hours):
    return instant(NOON + timedelta(hours=hours))


def test_a_first_token_says_who_on_which_device_and_nothing_of_roles():
    policy = a_policy()
    issuer = Issuer.of(policy, lifetime_seconds=12 * HOUR)
    claims = verify(issuer.first(MEI, PHONE, 7, NOON), policy, NOON)
    assert claims == Claims(
        staff=MEI, device=PHONE, epoch=7, app=None, roles=None, expires_at=later(12)
    )


def test_the_next_token_says_the_same_for_another_life_and_not_a_role_more():
    policy = a_policy(roles="roles")
    issuer = Issuer.of(policy, lifetime_seconds=12 * HOUR)
    roles = frozenset({Role("role:stylist")})
    before = Claims(
        staff=MEI, device=PHONE, epoch=7, app="phone", roles=roles, expires_at=later(6)
    )
    after = verify(issuer.next(before, NOON), policy, NOON)
    assert (after.epoch, after.app, after.roles) == (7, "phone", roles)
    assert after.expires_at == later(12)


def test_a_token_is_due_from_the_half_of_its_life():
    issuer = Issuer.of(a_policy(), lifetime_seconds=12 * HOUR)
    claims = verify(issuer.first(MEI, PHONE, 7, NOON), a_policy(), NOON)
    assert not issuer.is_due(claims, instant(later(6) - timedelta(milliseconds=1)))
    assert issuer.is_due(claims, later(6))


def test_without_a_shared_secret_nothing_is_signed():
    policy = TokenPolicy(issuer="a", audience="b", keys=parse_jwks(JWKS, "jwks.json"))
    with pytest.raises(ValueError, match="secret"):
        Issuer.of(policy, lifetime_seconds=HOUR)
