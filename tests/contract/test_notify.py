"""Telling managers, against a real HTTP server and a real SMTP server on loopback, with TLS."""

import asyncio
import email
import email.policy
import hashlib
import hmac
import json
import ssl
from contextlib import asynccontextmanager

import pytest
import trustme
from aiohttp import web

from gateway.backends.notify import DELIVERY, MAX_ANSWER_BYTES, SIGNATURE, Mail, Webhook
from gateway.domain.subject import StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.device_notice import DeviceNotice
from gateway.identity.grant import Notice
from gateway.telling import NotToldError

KEN, HANA = StaffId("staff:ken"), StaffId("staff:hana")
SECRET = b"a secret that both sides know, 32"
NOON = 1_795_000_000_000


def now():
    return from_milliseconds(NOON)


def a_notice(**changes):
    whole = {
        "grant": "g-1", "to": "webhook", "staff": "staff:mei", "salon": "aoyama",
        "resource": "client", "record": "7", "asked": NOON, "until": NOON + 20 * 60_000,
        "told": (KEN, HANA), "tries": 1, "due": NOON, "given_up": False,
    }  # fmt: skip
    return Notice(**(whole | changes))


def a_new_device(to="webhook"):
    return DeviceNotice(
        to=to, staff="staff:mei", device="phone-1", app="phone", asked=NOON, told=(KEN, HANA),
        tries=1, due=NOON, given_up=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


# -- the webhook --------------------------------------------------------------------------


@asynccontextmanager
async def a_chat(tls, answer=None):
    """Gives (port, what it was sent)."""
    got = []

    async def handle(request):
        got.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        return web.Response(status=204) if answer is None else answer(request)

    server = web.Server(handle)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1], got
    finally:
        await runner.cleanup()


def webhook(port, tls, path="/hook?room=1"):
    return Webhook(url=f"https://127.0.0.1:{port}{path}", secret=SECRET, now=now, tls=tls)


async def test_what_is_told_is_signed_with_its_time_and_says_no_reason(server_tls, trusting):
    async with a_chat(server_tls) as (port, got):
        await webhook(port, trusting).tell(a_notice())
    ((method, path, headers, body),) = got
    assert (method, path) == ("POST", "/hook?room=1")
    stamp, mark = (part.partition("=")[2] for part in headers[SIGNATURE].split(","))
    assert int(stamp) == NOON // 1000
    wanted = hmac.new(SECRET, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(mark, wanted)
    assert headers[DELIVERY] == "g-1.webhook"
    assert b'"record": "7"' in body
    assert b"reason" not in body
    assert SECRET.decode() not in repr(webhook(1, trusting))


async def test_of_a_new_device_it_is_told_whose_it_is_and_in_which_app(server_tls, trusting):
    async with a_chat(server_tls) as (port, got):
        await webhook(port, trusting).tell(a_new_device())
    ((_, _, headers, body),) = got
    assert headers[DELIVERY] == a_new_device().key
    assert json.loads(body) == {
        "event": "new_device",
        "staff": "staff:mei",
        "device": "phone-1",
        "app": "phone",
        "seen_at": now().isoformat(),
        "managers": [KEN, HANA],
    }


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 500])
async def test_a_redirect_or_an_error_is_not_followed_and_not_told(server_tls, trusting, status):
    elsewhere = {"Location": "/elsewhere"}
    async with a_chat(server_tls, lambda _: web.Response(status=status, headers=elsewhere)) as (
        port,
        got,
    ):
        with pytest.raises(NotToldError):
            await webhook(port, trusting).tell(a_notice())
    assert len(got) == 1


async def test_a_server_that_nobody_vouches_for_hears_nothing(server_tls):
    async with a_chat(server_tls) as (port, got):
        with pytest.raises(NotToldError):
            await webhook(port, ssl.create_default_context()).tell(a_notice())
    assert got == []


async def test_an_answer_without_end_is_not_read(server_tls, trusting):
    def endless(_):
        async def chunks():
            while True:
                yield b"x" * MAX_ANSWER_BYTES
                await asyncio.sleep(0)

        return web.Response(body=chunks())

    async with a_chat(server_tls, endless) as (port, _):
        await webhook(port, trusting).tell(a_notice())


async def test_nobody_there_is_not_told(trusting):
    async with a_chat(None) as (port, _):
        pass
    with pytest.raises(NotToldError):
        await webhook(port, trusting).tell(a_notice())


# -- mail ---------------------------------------------------------------------------------


class Post:
    """An SMTP server as RFC 5321 has it, of few words; offers STARTTLS if it has a certificate."""

    def __init__(self, tls=None, refuses=()):
        self.tls, self.refuses = tls, refuses
        self.commands, self.mails, self.secure = [], [], []

    async def serve(self, reader, writer):
        secure = writer.get_extra_info("ssl_object") is not None
        writer.write(b"220 post.example\r\n")
        to = []
        while line := (await reader.readline()).decode().strip():
            verb = line.partition(" ")[0].upper()
            self.commands.append(line)
            if verb == "EHLO":
                offers = b"250-STARTTLS\r\n" if self.tls and not secure else b""
                writer.write(b"250-post.example\r\n" + offers + b"250 AUTH PLAIN\r\n")
            elif verb == "STARTTLS":
                writer.write(b"220 go\r\n")
                await writer.drain()
                await writer.start_tls(self.tls)
                secure = True
            elif verb == "RCPT":
                bad = any(address in line for address in self.refuses)
                to += [] if bad else [line]
                writer.write(b"550 nobody\r\n" if bad else b"250 ok\r\n")
            elif verb == "DATA":
                writer.write(b"354 go\r\n")
                data = b""
                while not data.endswith(b"\r\n.\r\n"):
                    data += await reader.readline()
                self.mails.append((to, data))
                self.secure.append(secure)
                writer.write(b"250 taken\r\n")
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"235 ok\r\n" if verb == "AUTH" else b"250 ok\r\n")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def a_post(post, *, tls=None):
    server = await asyncio.start_server(post.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def mail(port, tls, security="starttls", **changes):
    whole = {
        "host": "127.0.0.1", "port": port, "security": security, "tls": tls, "now": now,
        "sender": "gateway@salon.example",
        "addresses": {KEN: "ken@salon.example", HANA: "hana@salon.example"},
    }  # fmt: skip
    return Mail(**(whole | changes))


async def test_a_mail_goes_to_each_of_them_after_starttls(server_tls, trusting):
    post = Post(server_tls)
    async with a_post(post) as port:
        await mail(port, trusting, user="gateway", password="pa ss").tell(a_notice())
    ((to, data),) = post.mails
    assert post.secure == [True]
    assert [line.split("<")[1].split(">")[0] for line in to] == [
        "hana@salon.example", "ken@salon.example",
    ]  # fmt: skip
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert message["Subject"] == "aoyama: mei opened a card outside the hours"
    assert "client 7" in message.get_content()
    assert "pa ss" not in repr(mail(1, trusting, password="pa ss"))


async def test_a_mail_of_a_new_device_says_what_to_do(server_tls, trusting):
    post = Post(server_tls)
    async with a_post(post) as port:
        await mail(port, trusting).tell(a_new_device("smtp"))
    message = email.message_from_bytes(post.mails[0][1], policy=email.policy.default)
    assert message["Subject"] == "mei came with a new device"
    assert "phone-1" in message.get_content()


async def test_a_server_without_starttls_gets_no_mail_and_no_password(trusting):
    post = Post()
    async with a_post(post) as port:
        with pytest.raises(NotToldError):
            await mail(port, trusting, user="gateway", password="pa ss").tell(a_notice())
    assert post.mails == []
    assert not any(line.startswith("AUTH") for line in post.commands)


async def test_a_mail_over_tls_from_the_first_byte(server_tls, trusting):
    post = Post()
    async with a_post(post, tls=server_tls) as port:
        await mail(port, trusting, "tls").tell(a_notice())
    assert post.secure == [True]


async def test_a_server_that_nobody_vouches_for_gets_no_mail(server_tls):
    post = Post(server_tls)
    async with a_post(post) as port:
        with pytest.raises(NotToldError):
            await mail(port, ssl.create_default_context()).tell(a_notice())
    assert post.mails == []


async def test_one_address_that_is_refused_is_not_told(server_tls, trusting):
    post = Post(server_tls, refuses=("ken@",))
    async with a_post(post) as port:
        with pytest.raises(NotToldError):
            await mail(port, trusting).tell(a_notice())


async def test_without_an_address_of_any_of_them_it_is_not_told(trusting):
    with pytest.raises(NotToldError):
        await mail(1, trusting).tell(a_notice(told=("staff:dai",)))


async def test_nothing_in_a_mail_begins_another_header(server_tls, trusting):
    post = Post(server_tls)
    async with a_post(post) as port:
        with pytest.raises(NotToldError):
            await mail(port, trusting).tell(a_notice(salon="aoyama\r\nBcc: evil@attacker.example"))
    assert post.mails == []
