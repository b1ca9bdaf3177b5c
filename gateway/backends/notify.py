"""Two ways to tell managers: a signed POST to one address, and mail. Both over TLS.

True here:
* where it goes stands in gateway.yaml; nothing that anybody asked for decides it. A redirect is
  not followed: it is a failure;
* without TLS nothing leaves this machine: `http:` and plain SMTP are for loopback alone;
* it takes a bounded time, and of an answer a bounded number of bytes is read;
* what is told of a grant is who, where, which record and until when; never why: a reason may
  name a client. Of a new device: whose, its name, in which app; no address.
"""

import asyncio
import hashlib
import hmac
import json
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Final, assert_never

import aiohttp

from gateway.domain.subject import StaffId
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.identity.device_notice import DeviceNotice
from gateway.identity.grant import Notice
from gateway.telling import NotToldError, Told

SECONDS: Final = 10.0  # of a whole POST, and of each step of a mail
MAX_MAIL_SECONDS: Final = 25.0  # of a whole mail; less than FIRST_PAUSE_SECONDS
MAX_ANSWER_BYTES: Final = 4096  # of the webhook's answer, which nobody looks at
SIGNATURE = "Salon-Gateway-Signature"
DELIVERY = "Salon-Gateway-Delivery"


def told(notice: Told) -> Mapping[str, object]:
    """What is told, as JSON has it."""
    match notice:
        case Notice():
            return _of_grant(notice)
        case DeviceNotice():
            return _of_device(notice)
        case _:
            assert_never(notice)


def _of_device(notice: DeviceNotice) -> Mapping[str, object]:
    return {
        "event": "new_device",
        "staff": notice.staff,
        "device": notice.device,
        "app": notice.app,
        "seen_at": from_milliseconds(notice.asked).isoformat(),
        "managers": list(notice.told),
    }


def _of_grant(notice: Notice) -> Mapping[str, object]:
    return {
        "event": "break_glass",
        "grant": notice.grant,
        "staff": notice.staff,
        "salon": notice.salon,
        "resource": notice.resource,
        "record": notice.record,
        "asked_at": from_milliseconds(notice.asked).isoformat(),
        "until": from_milliseconds(notice.until).isoformat(),
        "managers": list(notice.told),
    }


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """`t=<seconds since 1970>,v1=<hex of HMAC-SHA256 over "t.body">`.

    With the time in it, what was overheard once cannot be sent again for long.
    """
    mark = hmac.new(secret, b"%d.%b" % (timestamp, body), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={mark}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Tells it to one address.

    Attributes:
        url: `https:`, or `http:` on loopback; gateway.yaml was checked for it.
        secret: both sides know it.
        tls: whose certificates count.
    """

    url: str
    secret: bytes = field(repr=False)
    now: Callable[[], Instant]
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)

    async def tell(self, notice: Told) -> None:
        """POST it; any 2xx means that it was taken. Raises NotToldError."""
        body = json.dumps(told(notice), ensure_ascii=False).encode()
        seconds = to_milliseconds(self.now()) // 1000
        headers = {
            "Content-Type": "application/json",
            SIGNATURE: signature(self.secret, seconds, body),
            DELIVERY: notice.key,
            "Accept-Encoding": "identity",
            "User-Agent": "salon-gateway",
        }
        try:
            status = await self._post(body, headers)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NotToldError(type(error).__qualname__) from error
        if not 200 <= status <= 299:
            raise NotToldError(f"the webhook answered {status}")

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> int:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with (
            aiohttp.ClientSession(
                timeout=timeout,
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(ssl=self.tls, force_close=True),
            ) as session,
            session.post(
                self.url, data=body, headers=headers, allow_redirects=False, read_bufsize=1024
            ) as answer,
        ):
            await answer.content.read(MAX_ANSWER_BYTES)
            return answer.status


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Tells it by mail, to those of the managers who have an address here.

    Attributes:
        security: `starttls`, `tls`, or `none` (on loopback alone; gateway.yaml was checked).
        addresses: whose mail goes where.
    """

    host: str
    port: int
    security: str
    sender: str
    addresses: Mapping[StaffId, str]
    now: Callable[[], Instant]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)

    async def tell(self, notice: Told) -> None:
        """Hand it to the mail server; every address must be taken. Raises NotToldError."""
        to = sorted({self.addresses[StaffId(s)] for s in notice.told if s in self.addresses})
        if not to:
            raise NotToldError("none of them has an address")
        try:
            message = self._message(notice, to)  # ValueError: what cannot stand in a header
            async with asyncio.timeout(MAX_MAIL_SECONDS):
                await asyncio.to_thread(self._send, message, to)
        except (smtplib.SMTPException, OSError, ValueError) as error:  # TimeoutError is one
            raise NotToldError(type(error).__qualname__) from error

    def _message(self, notice: Told, to: list[str]) -> EmailMessage:
        message = EmailMessage()
        subject, text = _words(notice)
        message["From"] = self.sender
        message["To"] = ", ".join(to)
        message["Subject"] = subject
        message["Date"] = format_datetime(self.now())
        message["Message-ID"] = make_msgid(idstring=notice.key, domain="salon-gateway.invalid")
        message.set_content(text)
        return message

    def _send(self, message: EmailMessage, to: list[str]) -> None:
        """In a thread of its own: smtplib waits."""
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=SECONDS, context=self.tls
            )
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        with server:
            if self.security == "starttls":
                server.starttls(context=self.tls)  # raises where the server does not offer it
            if self.user is not None and self.password is not None:
                server.login(self.user, self.password)
            refused = server.send_message(message, from_addr=self.sender, to_addrs=to)
            if refused:
                raise smtplib.SMTPRecipientsRefused(refused)


def _words(notice: Told) -> tuple[str, str]:
    """Subject and text of a mail. Of what is in them nothing was typed by whoever it is about.

    But for a device's name, which an app may have chosen: 64 letters, digits, `.`, `_` and `-`.
    """
    who = notice.staff.removeprefix("staff:")
    match notice:
        case Notice():
            until = from_milliseconds(notice.until)
            return (
                f"{notice.salon}: {who} opened a card outside the hours",
                (
                    f"{who} asked for one card outside the opening hours of {notice.salon}.\n\n"
                    f"What:    {notice.resource} {notice.record}\n"
                    f"Until:   {until:%Y-%m-%d %H:%M} UTC\n"
                    f"Number:  {notice.grant}\n\n"
                    "Why they asked stands in the console, under Requests. Please look at it\n"
                    "there: until somebody has, they cannot ask again.\n"
                ),
            )
        case DeviceNotice():
            return (
                f"{who} came with a new device",
                (
                    f"{who} signed in with a device that they never came with.\n\n"
                    f"Device:  {notice.device}\n"
                    f"App:     {notice.app or '-'}\n"
                    f"When:    {from_milliseconds(notice.asked):%Y-%m-%d %H:%M} UTC\n\n"
                    "If it is not theirs, refuse it in the console, under Devices, and give them\n"
                    "a new password: somebody else has the old one.\n"
                ),
            )
        case _:
            assert_never(notice)
