"""Names, keys and ends of sessions of other issuers."""

import pytest

from gateway.domain.errors import StateUnavailableError
from gateway.identity.claims import ClaimNames, SessionName, issue
from gateway.identity.foreign import Seen, decode, encode, issuer_named, session_key
from tests.oracles.foreign_world import START, SigningKey

SECRET = b"the-secret-of-the-salon-aoyama-0"


def test_no_two_sessions_have_one_key():
    parts = [
        ("ab", SessionName.SID, "c"),
        ("a", SessionName.SID, "bc"),
        ("ab", SessionName.JTI, "c"),
        ("ab", SessionName.PAYLOAD, "c"),
        ("a", SessionName.SID, "sidbc"),
    ]
    assert len({session_key(SECRET, *one) for one in parts}) == len(parts)
    assert session_key(SECRET, *parts[0]) != session_key(SECRET[::-1], *parts[0])


def test_a_short_secret_is_none():
    with pytest.raises(ValueError, match="32 bytes"):
        session_key(SECRET[1:], "a", SessionName.SID, "s")


def test_a_document_reads_back_as_itself():
    seen = Seen(staff="staff:mei", epoch=7, seen_at=1, expires_at=2)
    assert decode(encode(seen)) == seen


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b'{"staff":"mei","epoch":7,"seen_at":1,"expires_at":2}',
        b'{"staff":"staff:Mei","epoch":7,"seen_at":1,"expires_at":2}',
        b'{"staff":"staff:mei","epoch":-1,"seen_at":1,"expires_at":2}',
        b'{"staff":"staff:mei","epoch":"7","seen_at":1,"expires_at":2}',
        b'{"staff":"staff:mei","epoch":7,"seen_at":-1,"expires_at":2}',
        b'{"staff":"staff:mei","epoch":7,"seen_at":1,"expires_at":99999999999999}',
        b'{"staff":"staff:mei","epoch":7,"seen_at":1,"expires_at":2,"more":1}',
        b'{"staff":"staff:mei", "epoch":7,"seen_at":1,"expires_at":2}',
        b'{"staff":"staff:mei","epoch":9223372036854775808,"seen_at":1,"expires_at":2}',
    ],
)
def test_what_cannot_be_read_is_never_unseen(document):
    with pytest.raises(StateUnavailableError):
        decode(document)


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "....", "x" * 9000, "a.b.c.d"])
def test_what_is_no_token_names_nobody(token):
    assert issuer_named(token) is None


def test_a_token_names_its_issuer_before_anything_is_verified():
    assert issuer_named(SigningKey("k").sign({"iss": "https://a.example"})) == "https://a.example"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (ClaimNames(epoch=None), {}),
        (ClaimNames(device=None), {"device": "ipad"}),
        (ClaimNames(app=None), {"app": "phone"}),
    ],
)
def test_what_has_no_claim_cannot_be_issued(names, told):
    with pytest.raises(ValueError, match="claim"):
        issue(
            key=SECRET, algorithm="HS256", kid=None, issuer="i", audience="a", names=names,
            staff="staff:mei", epoch=1, now=START, lifetime_seconds=60, **told,
        )  # fmt: skip
