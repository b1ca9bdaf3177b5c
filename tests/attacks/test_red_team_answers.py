"""The CRM lies: no answer of it, whatever its frame, brings a hidden value to a stylist.

Each answer goes through real sockets and the real hop. It is refused as a whole or arrives
without any of the secrets; whatever happens, there is exactly one entry.
"""

import gzip
import json

import pytest

from gateway.domain.reason import Reason
from tests.attacks.red_team_world import CARD, SECRETS, card_answer, open_salon

BODY = json.dumps(CARD).encode()
SHOWN = {"id": 7, "name": "Aoi", "contact": {"preferred": "line"}}
EXTRA = b"SECRET-EXTRA"


def head(*lines, status="200 OK"):
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def chunk(data, size=None):
    return b"%x\r\n%s\r\n" % (len(data) if size is None else size, data)


JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"

REFUSED = {
    "it ends too early": card_answer(length=len(BODY) + 50),
    "it goes on after its end": card_answer(body=b'{"id":7}' + BODY, length=8),
    "it is longer than it says": card_answer(length=len(BODY) - 5),
    "two lengths": card_answer("Content-Length: 5"),
    "a storm of interim answers": head("Link: <SECRET-PHONE>", status="102 P") * 500
    + card_answer(),
    "a line break that some read in a header": card_answer("X-A: b\nSet-Cookie: x=SECRET-PHONE"),
    "no length and no word about the end": card_answer(length=False),
    "no length and half a body": card_answer("Connection: close", length=False, body=BODY[:-20]),
    "no length, cut after a member": card_answer("Connection: close", length=False, body=BODY[:9]),
    "a page": card_answer(kind="text/html"),
    "a page that calls itself JSON too": card_answer(kind="text/html+json"),
    "no type": card_answer(kind=None),
    "two types": card_answer("Content-Type: text/html"),
    "the same type twice": card_answer(JSON),
    "two types in one": card_answer(kind="application/json, text/html"),
    "text that is JSON": card_answer(kind="text/json"),
    "UTF-16 by its name": card_answer(kind="application/json; charset=utf-16"),
    "UTF-16 by its bytes": card_answer(body=json.dumps(CARD).encode("utf-16")),
    "packed, and the half of it": card_answer(
        "Content-Encoding: gzip", body=gzip.compress(BODY)[:-9]
    ),
    "packed and silent": card_answer(body=gzip.compress(BODY)),
    "packed by its name only": card_answer("Content-Encoding: br"),
    "packed on the way": head(JSON, "Transfer-Encoding: gzip, chunked")
    + chunk(gzip.compress(BODY))
    + b"0\r\n\r\n",
    "a part": card_answer("Content-Range: bytes 0-9/99", status="206 Partial Content"),
    "304 with a body": card_answer(status="304 Not Modified"),
    "204 with a body": card_answer(status="204 No Content"),
    "101": head("Upgrade: x", "Connection: upgrade", status="101 Switching") + card_answer(),
    "600": card_answer(status="600 What"),
    "099": card_answer(status="099 What"),
    "no status": card_answer(status="OK"),
    "a chunk that is longer than it says": head(JSON, CHUNKED) + chunk(BODY, 5) + b"0\r\n\r\n",
    "a chunk that is shorter than it says": head(JSON, CHUNKED) + chunk(BODY, 9999),
    "chunks without a last one": head(JSON, CHUNKED) + chunk(BODY),
    "chunks and a length": head(JSON, CHUNKED, "Content-Length: 5") + chunk(BODY) + b"0\r\n\r\n",
    "a return in a header": card_answer("X-A: b\rSet-Cookie: a=SECRET-PHONE"),
    "a NUL in a header": card_answer("X-A: b\0c"),
    "a space in a name": card_answer("X A: SECRET-PHONE"),
    "only a body": BODY,
    "HTTP/2.0": card_answer().replace(b"HTTP/1.1", b"HTTP/2.0"),
    "a redirect": card_answer("Location: /api/clients/7?SECRET-PHONE", status="302 Found"),
    "a list": card_answer(body=b"[" + BODY + b"]"),
    "two documents": card_answer(body=b'{"id":7}' + BODY),
    "a byte-order mark": card_answer(body=b"\xef\xbb\xbf" + BODY),
    "JSONP": card_answer(body=b"cb(" + BODY + b")"),
    "a guard against inclusion": card_answer(body=b")]}',\n" + BODY),
    "bytes that are not UTF-8": card_answer(body=BODY[:-1] + b',"name":"\xff"}'),
    "nothing at all": b"",
}
CUT = {
    "as it should be": card_answer(),
    "no length": card_answer("Connection: close", length=False),
    "chunks with a trailer": head(JSON, CHUNKED)
    + chunk(BODY[:10])
    + chunk(BODY[10:])
    + b"0\r\nX-Phone: SECRET-PHONE\r\n\r\n",
    "another JSON": card_answer(kind='application/hal+json; x="text/html"; charset=UTF-8'),
    "early hints": head("Link: </SECRET-PHONE>", status="103 Early Hints") + card_answer(),
    "headers that tell": card_answer(
        "Set-Cookie: p=SECRET-PHONE",
        "Location: /SECRET-PHONE",
        "Content-Location: /SECRET-PHONE",
        "Link: </SECRET-PHONE>; rel=next",
        "Refresh: 0; url=/SECRET-PHONE",
        "Content-Disposition: attachment; filename=SECRET-PHONE",
        'ETag: "SECRET-PHONE"',
        "Last-Modified: SECRET-PHONE",
        "Digest: SECRET-PHONE",
        "Server: SECRET-PHONE",
        "Warning: 199 SECRET-PHONE",
        "X-Phone: SECRET-PHONE",
        "X-Total-Count: SECRET-PHONE",  # this route does not let it through
        "Trailer: SECRET-PHONE",
    ),
    "another 2xx": card_answer(status="299 SECRET-PHONE"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_not_one_whole_answer_is_refused_as_a_whole(name):
    async with open_salon() as salon:
        salon.says = REFUSED[name]
        status, top, body = await salon.ask("GET", "/api/clients/7", "mei")
        assert status in {502, 504}
        assert not any(secret in top + body for secret in SECRETS)
        assert b"Aoi" not in body
        (entry,) = salon.trail.entries
        assert entry.reason in {
            Reason.UPSTREAM_INVALID,
            Reason.ANSWER_NOT_CUT,
            Reason.UPSTREAM_REDIRECT,
        }


@pytest.mark.parametrize("name", CUT)
async def test_what_is_an_answer_is_cut_with_its_head(name):
    async with open_salon() as salon:
        salon.says = CUT[name]
        _, top, body = await salon.ask("GET", "/api/clients/7", "mei")
        assert json.loads(body) == SHOWN
        assert not any(secret in top for secret in SECRETS)
        (entry,) = salon.trail.entries
        assert entry.reason is Reason.RULE_ALLOWS


@pytest.mark.parametrize("status", ["400 B", "401 U", "404 N", "409 C", "422 U", "500 I", "503 S"])
@pytest.mark.parametrize(
    "body",
    [
        BODY,
        b"[" + BODY + b"]",
        b'{"data":' + BODY + b"}",
        b'{"errors":[{"phone":"SECRET-PHONE exists"}],"message":"SECRET-MAIL"}',
        b'"SECRET-PHONE"',
        b"<h1>SECRET-PHONE</h1>",
        BODY[:-4],
        gzip.compress(BODY),
    ],
    ids=range(8),
)
async def test_an_error_keeps_its_status_and_no_secret(status, body):
    async with open_salon() as salon:
        salon.says = card_answer('WWW-Authenticate: x="SECRET-PHONE"', status=status, body=body)
        code, top, text = await salon.ask("GET", "/api/clients/7", "mei")
        assert code == int(status[:3])
        assert not any(secret in top + text for secret in SECRETS)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_length_of_what_is_hidden_is_not_told(method):
    lengths = set()
    async with open_salon() as salon:
        for phone in ("1", "1" * 1000):
            card = json.dumps(CARD | {"phone": phone}).encode()
            salon.says = card_answer('ETag: "x"', body=card)
            if method == "HEAD":
                salon.says = salon.says.removesuffix(card)
            status, top, _ = await salon.ask(method, "/api/clients/7", "mei")
            assert status == 200
            assert b"etag" not in top.lower()
            lengths |= {line for line in top.split(b"\r\n") if line.startswith(b"Content-Length")}
    assert len(lengths) <= 1


async def test_a_crm_that_drips_for_ever_is_cut_off_and_entered_once():
    async with open_salon() as salon:
        salon.says = head(JSON, "Content-Length: 9999") + b'{"id":7'
        salon.hangs = True
        status, _, body = await salon.ask("GET", "/api/clients/7", "mei")
        assert status == 504
        assert b"Aoi" not in body
        assert [entry.reason for entry in salon.trail.entries] == [Reason.UPSTREAM_TIMEOUT]


async def test_on_a_phone_mail_is_hidden_also_where_a_message_embeds_its_client():
    told = {"data": [{"id": 1, "client": {"id": 7, "email": "SECRET-MAIL"}}], "total": 1}
    async with open_salon() as salon:
        salon.says = card_answer(body=json.dumps(told).encode())
        for who in ("ken", "rei", "hana"):
            for app in ("phone", None, "undeclared"):
                _, _, body = await salon.ask("GET", "/api/messages", who, app=app)
                assert json.loads(body)["total"] == 1
                assert b"SECRET-MAIL" not in body
            _, _, body = await salon.ask("GET", "/api/messages", who, app="backoffice")
            assert b"SECRET-MAIL" in body


async def test_an_app_that_nobody_declared_may_be_the_phone():
    async with open_salon() as salon:
        for app, shown in (("backoffice", True), ("phone", False), ("phone2", False)):
            _, _, body = await salon.ask("GET", "/api/clients/7", "ken", app=app)
            assert (b"SECRET-MAIL" in body) is shown


def made_of_shapes(count):
    return b"[%s]" % b",".join(b'{"name":"Aoi","x%d":1}' % number for number in range(count))


async def test_an_answer_in_which_no_two_records_are_alike_is_refused_not_worked_on_for_seconds():
    async with open_salon() as salon:
        salon.says = card_answer(body=made_of_shapes(200_000))
        assert (await salon.ask("GET", "/api/clients", "mei"))[0] == 502
        assert [entry.reason for entry in salon.trail.entries] == [Reason.ANSWER_NOT_CUT]
        salon.says = card_answer(body=made_of_shapes(4096))
        status, _, body = await salon.ask("GET", "/api/clients", "mei")
        assert (status, body) == (200, b"[" + b",".join([b'{"name":"Aoi"}'] * 4096) + b"]")
