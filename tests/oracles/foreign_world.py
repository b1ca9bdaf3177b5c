"""Another issuer of tokens, the gateway's service for it, and a clock that only tests move."""

import base64
import json
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWS

from gateway.domain.errors import RequestError
from gateway.domain.subject import staff_id
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.foreign import Foreign, ForeignIssuer
from gateway.identity.claims import ClaimNames
from gateway.identity.keys import parse_published
from tests.contract.memory_documents import MemoryDocuments
from tests.oracles.memory_epochs import MemoryEpochs

START = from_milliseconds(1_795_000_000_000)
SECRET = b"the-secret-of-the-salon-aoyama-0"
AUDIENCE = "salon-crm"
ALL = frozenset({"RS256", "ES256", "EdDSA"})
NAMES = ClaimNames(device=None, epoch=None, app=None)
ROSTER = frozenset({staff_id("mei"), staff_id("ken")})


class HandClock:
    """Moves when it is told to."""

    def __init__(self, at=START):
        self.at = at
        self.seconds = 1000.0

    def now(self):
        return self.at

    def monotonic(self):
        return self.seconds

    def later(self, **delta):
        step = timedelta(**delta)
        self.at = Instant(self.at + step)
        self.seconds += step.total_seconds()
        return self.at


class HandKeys:
    """A key set that tests hold in their hand."""

    def __init__(self, *keys):
        self.asked = 0
        self.publish(*keys)
        self.table = self.next

    def publish(self, *keys):
        """What the next look will find."""
        self.next = table_of(*keys)

    def current(self):
        return self.table

    async def renewed(self):
        self.asked += 1
        self.table = self.next
        return self.table


class SigningKey:
    """A pair of keys of an issuer."""

    def __init__(self, kid):
        self.kid = kid
        self.private = Ed25519PrivateKey.generate()

    @property
    def public(self):
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        text = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {"kid": self.kid, "kty": "OKP", "crv": "Ed25519", "x": text, "use": "sig"}

    def sign(self, payload, **header):
        head = {"typ": "JWT", "kid": self.kid} | header
        return PyJWS().encode(json.dumps(payload).encode(), self.private, "EdDSA", headers=head)


def key_set(*keys):
    return json.dumps({"keys": [key.public for key in keys]})


def table_of(*keys):
    return parse_published(key_set(*keys), ALL)


def seconds(moment):
    return to_milliseconds(moment) // 1000


def a_payload(at, *, issuer, staff="mei", life=600, **claims):
    whole = {"iss": issuer, "aud": AUDIENCE, "sub": staff, "iat": seconds(at)}
    whole["exp"] = seconds(at) + life
    return {name: value for name, value in (whole | claims).items() if value is not None}


class World:
    """Two issuers, A and B, with a key each and the same key id."""

    def __init__(self):
        self.clock = HandClock()
        self.keys = {name: SigningKey("one") for name in ("a", "b")}
        self.sets = {name: HandKeys(key) for name, key in self.keys.items()}
        self.documents = MemoryDocuments()
        self.epochs = MemoryEpochs()
        self.service = self.worker()

    def worker(self, leeway=0):
        """One more process on the same state; it has nothing at hand yet."""
        issuers = [
            ForeignIssuer(
                issuer=f"https://{name}.example",
                audience=AUDIENCE,
                keys=keys,
                names=NAMES,
                leeway_seconds=leeway,
            )
            for name, keys in self.sets.items()
        ]
        return Foreign(issuers, documents=self.documents, epochs=self.epochs, secret=SECRET)

    def token(self, name="a", *, at=None, signed_by=None, **claims):
        payload = a_payload(at or self.clock.now(), issuer=f"https://{name}.example", **claims)
        return (signed_by or self.keys[name]).sign(payload)

    async def welcome(self):
        """Everybody on the roster is known; a second later, so that `iat` may be told apart."""
        await self.service.welcome(ROSTER, self.clock.now())
        self.clock.later(seconds=1)

    async def who(self, token, service=None):
        """The claims, or the cause of the refusal."""
        try:
            found = await (service or self.service).identify(token, ROSTER, self.clock.now())
        except RequestError as error:
            return error.cause
        return None if found is None else found.claims

    async def is_in(self, token, service=None):
        """As the pipeline asks: by a floor of just now."""
        claims = await self.who(token, service)
        if not hasattr(claims, "epoch"):
            return False
        floor = await self.epochs.floor(claims.staff, claims.device)
        return floor is not None and claims.epoch >= floor

    async def log_out(self, staff="mei", device=None):
        await self.epochs.revoke(staff_id(staff), device, self.clock.now())
