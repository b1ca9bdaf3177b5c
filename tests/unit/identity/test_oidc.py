"""What is asked of a provider, and what of its answers counts."""

import base64
import hashlib
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.reason import Cause
from gateway.domain.time import Instant, to_milliseconds
from gateway.identity.oidc import (
    LASTS,
    MAX_TICKET,
    Begun,
    Client,
    asking_address,
    exchange_form,
    read_exchanged,
    read_metadata,
    read_return,
    read_ticket,
    ticket_key,
    write_ticket,
)
from tests.oracles.foreign_world import START
from tests.oracles.honest_provider import HonestProvider

A = "https://a.example"
KEY = ticket_key(b"the-secret-of-the-salon-aoyama-0")


def begun(**more):
    whole = {"issuer": A, "state": "s", "nonce": "n", "verifier": "v" * 43, "next": "/"}
    whole |= {"redirect_uri": "https://crm.example/cb", "at": to_milliseconds(START)}
    return Begun(**(whole | more))


def metadata(**more):
    told = HonestProvider(A, lambda: START).metadata() | more
    return {name: value for name, value in told.items() if value is not None}


def read(told):
    return read_metadata(json.dumps(told).encode(), A)


def test_a_ticket_is_read_back_as_it_was_written_for_its_ten_minutes():
    text = write_ticket(begun(), KEY)
    assert read_ticket(text, KEY, START) == begun()
    assert read_ticket(text, KEY, Instant(START + LASTS)) is None
    assert read_ticket(text, KEY, Instant(START - LASTS)) is None
    assert read_ticket(text, ticket_key(b"x"), START) is None


def test_a_ticket_that_no_cookie_would_hold_is_not_written():
    with pytest.raises(ValueError, match="too long"):
        write_ticket(begun(next="/" + "a" * MAX_TICKET), KEY)


def test_a_ticket_tells_nothing_where_it_is_printed():
    assert "v" * 43 not in repr(begun())


def test_the_browser_is_sent_with_everything_that_binds_the_answer():
    address = asking_address(read(metadata()), begun(), Client(id="us", secret=None))
    assert address.startswith(f"{A}/authorize?salon=aoyama&response_type=code&")
    asked = {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}
    digest = hashlib.sha256(b"v" * 43).digest()
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert (asked["state"], asked["nonce"], asked["scope"]) == ("s", "n", "openid")
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert "v" * 43 not in address


def test_a_secret_goes_in_a_header_and_never_in_the_form():
    form, header = exchange_form(begun(), "c", Client(id="a b", secret="p:%\u007e"))
    assert base64.b64decode(header.removeprefix("Basic ")) == b"a+b:p%3A%25~"
    assert set(parse_qs(form.decode())) == {
        "grant_type",
        "code",
        "redirect_uri",
        "code_verifier",
    }
    form, header = exchange_form(begun(), "c", Client(id="a b", secret=None))
    assert (header, parse_qs(form.decode())["client_id"]) == (None, ["a b"])


def test_what_a_provider_leaves_out_has_its_default():
    found = read(
        metadata(
            code_challenge_methods_supported=None,
            token_endpoint_auth_methods_supported=None,
            authorization_response_iss_parameter_supported=None,
        )
    )
    assert (found.names_itself, found.takes_basic) == (False, True)


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": A + "/"},
        {"issuer": None},
        {"response_types_supported": ["token"]},
        {"response_types_supported": "code"},
        {"response_types_supported": None},
        {"code_challenge_methods_supported": ["plain"]},
        {"authorization_response_iss_parameter_supported": "yes"},
        {"token_endpoint": None},
        {"token_endpoint": "http://a.example/token"},
        {"token_endpoint": "https://me@a.example/token"},
        {"token_endpoint": "https:///token"},
        {"token_endpoint": "https://a.example:0/token"},
        {"token_endpoint": "https://a.example/#x"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://a.example/\r\nSet-Cookie: x=y"},
        {"authorization_endpoint": "https://a.example/?state=theirs"},
        {"authorization_endpoint": "https://a.example/?request_uri="},
        {"authorization_endpoint": f"https://a.example/{'a' * 1024}"},
    ],
)
def test_a_description_that_is_not_this_providers_or_of_no_use_is_none(change):
    with pytest.raises(ValueError):  # each in its own words
        read(metadata(**change))


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"issuer":"a","issuer":"b"}', b"\xff"])
def test_what_is_no_strict_json_describes_nobody(data):
    with pytest.raises(ValueError):  # the reader's own words
        read_metadata(data, A)


def test_what_has_no_meaning_in_a_way_back_is_passed_over():
    query = (("state", "s"), ("code", "c"), ("scope", "openid"), ("scope", "x"))
    assert read_return(query, begun(), must_name=False) == "c"
    with pytest.raises(RequestError) as caught:
        read_return(query, begun(), must_name=True)
    assert caught.value.cause is Cause.WRONG_ISSUER


def test_who_has_begun_nothing_is_told_nothing():
    with pytest.raises(RequestError) as caught:
        read_return((("state", ""), ("error", "x")), None, must_name=False)
    assert caught.value.cause is Cause.NO_CREDENTIAL


@pytest.mark.parametrize(
    "told",
    [
        {"token_type": "Bearer"},
        {"id_token": "x"},
        {"token_type": "DPoP", "id_token": "x"},
        {"token_type": "Bearer", "id_token": 7},
        {"token_type": "Bearer", "id_token": "x" * 9000},
        [],
    ],
)
def test_an_answer_without_a_token_is_none(told):
    with pytest.raises(RequestError) as caught:
        read_exchanged(json.dumps(told).encode())
    assert caught.value.cause is Cause.PROVIDER_REFUSED
