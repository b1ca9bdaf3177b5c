"""A memory of good tokens says what a fresh look says."""

from datetime import timedelta

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.reason import Cause
from gateway.domain.subject import StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity import verified
from gateway.identity.claims import TokenPolicy, issue, verify
from gateway.identity.keys import secret_table
from gateway.identity.verified import VerifiedTokens

NOW = from_milliseconds(1_795_000_000_000)
SECRET = bytes(range(32))
POLICY = TokenPolicy(
    issuer="https://id.salon.example",
    audience="salon-gateway",
    keys=secret_table(SECRET, "one"),
    leeway_seconds=10,
)


def a_token(staff="mei", seconds=60, at=NOW):
    return issue(
        key=SECRET, algorithm="HS256", kid="one", issuer=POLICY.issuer, audience=POLICY.audience,
        staff=StaffId(f"staff:{staff}"), epoch=7, now=at, lifetime_seconds=seconds,
    )  # fmt: skip


def said(ask, token, now):
    try:
        return ask(token, now)
    except RequestError as error:
        return error.cause


@pytest.fixture
def checks(monkeypatch):
    """Every token whose signature was looked at."""
    seen = []
    monkeypatch.setattr(verified, "verify", lambda *asked: seen.append(asked[0]) or verify(*asked))
    return seen


def test_a_token_is_looked_at_once(checks):
    tokens, token = VerifiedTokens(POLICY), a_token()
    assert tokens.verify(token, NOW) == tokens.verify(token, NOW) == verify(token, POLICY, NOW)
    assert checks == [token]


@pytest.mark.parametrize("later", [-70, -11, -10, -1, 0, 1, 59, 60, 69, 70, 71, 10_000])
def test_at_every_moment_it_says_what_a_fresh_look_says(later):
    """Also when the clock was set back before the token's beginning, leeway included."""
    tokens, token = VerifiedTokens(POLICY), a_token()
    tokens.verify(token, NOW)
    at = NOW + timedelta(seconds=later)
    assert said(tokens.verify, token, at) == said(lambda t, n: verify(t, POLICY, n), token, at)
    assert said(tokens.verify, token, NOW) == verify(token, POLICY, NOW)


def test_a_bad_token_is_never_kept(checks):
    tokens = VerifiedTokens(POLICY)
    forged = a_token()[:-2] + "AA"
    for _ in range(3):
        assert said(tokens.verify, forged, NOW) is Cause.BAD_SIGNATURE
    assert checks == [forged] * 3


def test_one_more_character_is_another_token():
    tokens, token = VerifiedTokens(POLICY), a_token()
    tokens.verify(token, NOW)
    assert said(tokens.verify, token + "=", NOW) is Cause.TOKEN_MALFORMED


def test_a_flood_of_tokens_never_empties_the_memory(checks, monkeypatch):
    monkeypatch.setattr(verified, "MAX_KEPT", 4)
    tokens, mine = VerifiedTokens(POLICY), a_token()
    for number in range(4):
        tokens.verify(a_token(f"s{number}"), NOW)
    tokens.verify(mine, NOW)
    for number in range(4, 7):
        tokens.verify(a_token(f"s{number}"), NOW)
    tokens.verify(mine, NOW)
    assert checks.count(mine) == 1
    assert len(tokens._young) + len(tokens._old) <= 8
