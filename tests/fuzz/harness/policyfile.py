"""The owner's and the operator's other files become values or findings, and nothing else.

The first byte says which: model.conf, observe.yaml, assertions.yaml, gateway.yaml, a key set.
"""

import json

from gateway.domain.finding import PolicyError
from gateway.enforcer.assertions import parse_assertions
from gateway.enforcer.model import check_model
from gateway.enforcer.observe import parse_observe
from gateway.enforcer.rules import parse_rules
from gateway.identity.keys import ALGORITHMS, parse_jwks
from gateway.settings import parse_settings
from gateway.texts.encoding import decode
from gateway.texts.yamltext import Document, parse_yaml
from tests.fuzz.harness import rules
from tests.fuzz.harnesses import HERE
from tests.fuzz.refusals import require_findings

_ROWS = parse_rules(rules.GOOD.decode(), "r.csv", rules.WORDS_KNOWN).rules
_ROOT = HERE.parent.parent
MAX_BYTES = 1500
SEEDS = (
    b"\x00" + (_ROOT / "policies" / "model.conf").read_bytes(),
    b"\x01everything: {enforce_from: 2026-12-31}\n",
    b'\x01rules:\n  - {rule: "p, role:stylist, client, read, , deny", enforce_from: 2026-12-31}\n',
    b"\x02never:\n  - role:anyone read client.contact when app:phone & !own_client\n",
    b"\x02never: [role:stylist export client, staff:mei read client.contact]\n",
    (
        b"\x03upstream: {url: http://127.0.0.1:3000, adapter: a.yaml}\npolicies: p\n"
        b"tokens: {issuer: a, audience: b, secret_file: s}\nlimits: {max_body_bytes: 5}\n"
    ),
    b"\x03listen: {host: 127.0.0.1, port: 8080}\nnetworks: {salon: [192.0.2.0/24]}\n",
    b'\x04{"keys":[{"kty":"oct","k":"c2Fsb24tYW95YW1hLXNhbG9uLXNoaWJ1eWEtc2Fsb24","kid":"a"}]}',
    b'\x04{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}',
    b'\x04{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","n":"AQ","e":"AQAB"}]}',
)
# fmt: off
WORDS = (
    b"r.sub", b"p.eft", b" && ", b" || ", b"g(r.sub, p.sub)", b"[matchers]", b"\\\n", b"m = ",
    b"enforce_from: ", b"rules:", b"hours:", b"never:", b" when ", b"${HOME}", b"${", b"http://",
    b'"kty":"', b'"use":"enc"', b'"key_ops":["verify"]', b'"d":"AA"', b'"alg":"RS256"',
)
# fmt: on


def check(data: bytes) -> None:
    kind, rest = (data[0] % 5, data[1:]) if data else (0, b"")
    try:
        _READERS[kind](decode(rest, "f"))
    except PolicyError as error:
        require_findings(error, "f")


def _yaml(text: str) -> Document:
    return parse_yaml(text, "f")


def _settings(text: str) -> None:
    parse_settings(text, "f", {"HOME": "/home/salon"}, _no_file)


def _no_file(path: str) -> str:
    raise FileNotFoundError(path)


def _keys(text: str) -> None:
    table = parse_jwks(text, "f")
    kids = [key.kid for key in table.keys]
    assert kids
    assert len(kids) == len(set(kids)) <= len(json.loads(text)["keys"])
    assert all(key.algorithm in ALGORITHMS for key in table.keys)


_READERS = (
    lambda text: check_model(text, "f"),
    lambda text: parse_observe(_yaml(text), _ROWS),
    lambda text: parse_assertions(_yaml(text), rules.WORDS_KNOWN),
    _settings,
    _keys,
)
