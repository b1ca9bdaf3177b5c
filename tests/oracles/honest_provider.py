"""An identity provider that does what OpenID Connect asks of it, plainly.

`authorize` is its page after the password was right; `exchange` its token endpoint. Whatever
a test puts into `spoil` changes the next ID tokens.
"""

import base64
import hashlib
import secrets
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from tests.oracles.foreign_world import SigningKey, key_set, seconds

CLIENT, CLIENT_SECRET = "salon-gateway", "s3cret with:signs%"
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


class HonestProvider:
    def __init__(self, issuer, now, *, key=None, secret=CLIENT_SECRET):
        self.issuer = issuer
        self.now = now
        self.key = key or SigningKey("one")
        self.secret = secret
        self.codes = {}
        self.asked = []
        self.spoil = {}
        self.names_itself = True
        self.sessions = 0
        self.made = 0

    def metadata(self):
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?salon=aoyama",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
            "authorization_response_iss_parameter_supported": self.names_itself,
        }

    def authorize(self, location, sub="mei", sid=None):
        """The address that the browser is sent back to."""
        address = urlsplit(location)
        assert f"{address.scheme}://{address.netloc}{address.path}" == f"{self.issuer}/authorize"
        asked = {name: value for name, (value,) in parse_qs(address.query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        self.sessions += 1
        code = secrets.token_urlsafe(16) + "/+=%"
        self.codes[code] = (asked, sub, sid or f"session-{self.sessions}", seconds(self.now()))
        told = {"code": code, "state": asked["state"], "session_state": "of no meaning here"}
        if self.names_itself:
            told["iss"] = self.issuer
        return f"{asked['redirect_uri']}?{urlencode(told)}"

    def exchange(self, form, authorization):
        """Status and JSON."""
        self.asked.append(form)
        told = {name: value for name, (value,) in parse_qs(form.decode()).items()}
        if not self._is_client(told, authorization):
            return 401, {"error": "invalid_client"}
        found = self.codes.pop(told.get("code"), None)
        if found is None:
            return 400, {"error": "invalid_grant"}
        asked, sub, sid, at = found
        digest = hashlib.sha256(told["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (asked["code_challenge"], asked["redirect_uri"]) != (challenge, told["redirect_uri"]):
            return 400, {"error": "invalid_grant"}
        token = self.id_token(sub, sid, asked["nonce"], auth_time=at)
        return 200, {"access_token": "not used", "token_type": "Bearer", "id_token": token}

    def _is_client(self, told, authorization):
        if self.secret is None:
            return authorization is None and told.get("client_id") == CLIENT
        if not (authorization or "").startswith("Basic "):
            return False
        name, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
        return (unquote_plus(name), unquote_plus(secret)) == (CLIENT, self.secret)

    def id_token(self, sub, sid, nonce, **more):
        at = seconds(self.now())
        whole = {"iss": self.issuer, "aud": CLIENT, "sub": sub, "sid": sid, "nonce": nonce}
        whole |= {"iat": at, "exp": at + 300} | more | self.spoil
        return self.key.sign({name: value for name, value in whole.items() if value is not None})

    def logout_token(self, *, typ="logout+jwt", **claims):
        at = seconds(self.now())
        self.made += 1
        whole = {"iss": self.issuer, "aud": CLIENT, "iat": at, "exp": at + 120}
        whole |= {"jti": f"jti-{self.made}", "events": {LOGOUT: {}}} | claims
        payload = {name: value for name, value in whole.items() if value is not None}
        return self.key.sign(payload, typ=typ)

    @property
    def keys(self):
        return key_set(self.key)
