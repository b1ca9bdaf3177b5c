"""What breaks around the gateway while it runs: it refuses in words, and comes back by itself.

The CRM, the state store, the audit directory, the policy files and the tokens are broken one
after the other under one running gateway, and each is mended again by the test that broke it.
"""

import base64
import hashlib
import hmac
import http.client
import json
import re
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.e2e.gateway_process import (
    SECONDS,
    Reply,
    Salon,
    fetch,
    is_listening,
    salon,
    send,
    started,
    write_folder,
)
from tests.e2e.raw_crm import RawCrm, Say, json_answer, raw_crm
from tests.oracles.redis_process import RedisProcess

SECRET_PHONE = b"+1-207-555-0107"
CARD = b'{"id": 7, "name": "Aoi", "phone": "+1-207-555-0107", "visits": 3}'
FAST = {
    "connect_timeout_seconds": 1,
    "answer_timeout_seconds": 0.5,
    "total_timeout_seconds": 1,
}


@pytest.fixture(scope="module")
def behind() -> Iterator[RawCrm]:
    with raw_crm() as crm:
        yield crm


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, behind) -> Iterator[Salon]:
    folder = tmp_path_factory.mktemp("salon")
    with salon(folder, behind.url, upstream=FAST) as running:
        yield running


@pytest.fixture(autouse=True)
def good_crm(behind):
    """Every test begins with a CRM that answers, and leaves whatever it liked."""
    behind.answers = {
        "/api/clients/7": json_answer(CARD),
        "/api/clients": json_answer(b"[" + CARD + b"]"),
        "/assets/staff.js": json_answer(b"let salon;", kind="text/javascript"),
        "/health": json_answer(b"ok", kind="text/plain"),
    }


def works(gateway: Salon) -> bool:
    return gateway.ask("GET", "/api/clients/7", "mei").data == {
        "id": 7,
        "name": "Aoi",
        "visits": 3,
    }


# -- the CRM ------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
FAULTS = {
    "hangs before the head": (Say(data=b"", end="hang"), (504, "upstream_timeout")),
    "hangs inside the head": (
        Say(data=b"HTTP/1.1 200 OK\r\n", end="hang"),
        (504, "upstream_timeout"),
    ),
    "hangs inside the body": (
        Say(data=HEAD + b"Content-Length: 500\r\n\r\n" + CARD, end="hang"),
        (504, "upstream_timeout"),
    ),
    "closes without a word": (Say(data=b""), (502, "upstream_invalid")),
    "resets": (Say(data=b"", end="reset"), (502, "upstream_invalid")),
    "speaks another protocol": (Say(data=b"SSH-2.0-OpenSSH_9.9\r\n"), (502, "upstream_invalid")),
    "breaks off": (
        Say(data=HEAD + b"Content-Length: 500\r\n\r\n" + CARD),
        (502, "upstream_invalid"),
    ),
    "breaks off a chunk": (
        Say(data=HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n" + CARD),
        (502, "upstream_invalid"),
    ),
    "ends without its last chunk": (
        Say(data=HEAD + b"Transfer-Encoding: chunked\r\n\r\n41\r\n" + CARD + b"\r\n"),
        (502, "upstream_invalid"),
    ),
    "announces two lengths": (
        Say(data=HEAD + b"Content-Length: 5\r\nContent-Length: 65\r\n\r\n" + CARD),
        (502, "upstream_invalid"),
    ),
    "sends half a document": (json_answer(CARD[:45]), (502, "answer_not_cut")),
    "sends two documents": (json_answer(CARD + CARD), (502, "answer_not_cut")),
    "sends a page": (json_answer(CARD, kind="text/html"), (502, "answer_not_cut")),
    "sends a list": (json_answer(b"[" + CARD + b"]"), (502, "answer_not_cut")),
    "sends it packed": (
        Say(data=HEAD + b"Content-Encoding: gzip\r\nContent-Length: 65\r\n\r\n" + CARD),
        (502, "answer_not_cut"),
    ),
    "sends a part": (json_answer(CARD, "206 Partial Content"), (502, "answer_not_cut")),
    "sends us elsewhere": (
        Say(data=b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 65\r\n\r\n" + CARD),
        (502, "upstream_redirect"),
    ),
    "sends nine megabytes": (
        json_answer(b'{"id": 7, "notes": "' + b"x" * 9 * 2**20 + b'"}'),
        (502, "answer_too_large"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("who", ["mei", "ken"])
def test_a_faulty_answer_becomes_a_refusal_and_never_half_a_card(gateway, behind, fault, who):
    behind.answers["/api/clients/7"], verdict = FAULTS[fault]
    refused = gateway.ask("GET", "/api/clients/7", who)
    assert refused.verdict == verdict
    assert SECRET_PHONE not in refused.body
    assert b"Aoi" not in refused.body
    assert gateway.entries()[-1]["reason"] == verdict[1]


def test_an_error_page_of_the_crm_gives_nothing_away(gateway, behind):
    trace = b"<pre>IntegrityError: phone +1-207-555-0107</pre>"
    behind.answers["/api/clients/7"] = json_answer(trace, "500 Oh", kind="text/html")
    for who in ("mei", "ken"):
        shown = gateway.ask("GET", "/api/clients/7", who)
        assert (shown.status, shown.body) == (500, b"")
    told = b'{"name": "is too long", "phone": "+1-207-555-0107 is taken"}'
    behind.answers["/api/clients/7"] = json_answer(told, "422 No")
    assert gateway.ask("GET", "/api/clients/7", "mei").data == {"name": "is too long"}


def test_a_streamed_answer_that_breaks_off_never_looks_whole(gateway, behind):
    javascript = b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\n"
    for framing in (
        b"Content-Length: 99\r\n\r\nlet",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nlet\r\n",
    ):
        behind.answers["/assets/staff.js"] = Say(data=javascript + framing)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            gateway.ask("GET", "/assets/staff.js", "mei")
    assert works(gateway)


def test_a_write_whose_answer_is_lost_is_told_as_applied_and_never_as_refused(gateway, behind):
    lost = ("hangs before the head", "closes without a word", "breaks off", "sends a page")
    for fault in lost:
        behind.answers["/api/clients/7"], _ = FAULTS[fault]
        behind.requests.clear()
        answer = gateway.ask("PATCH", "/api/clients/7", "rei", body={"visits": 4})
        assert answer.verdict == (502, "applied_not_shown")
        assert SECRET_PHONE not in answer.body
        assert behind.paths() == ["PATCH /api/clients/7"]  # once, not again
        intent, outcome = gateway.entries()[-2:]
        assert (intent["phase"], outcome["phase"]) == ("intent", "answer")
        assert intent["request_id"] == outcome["request_id"]
        assert outcome["reason"] == "applied_not_shown"


def test_a_crm_that_is_away_is_said_so_for_reads_writes_and_pages_and_comes_back(gateway, behind):
    assert gateway.ready()["upstream"]
    behind.stop()
    try:
        for method, target, body in (
            ("GET", "/api/clients/7", None),
            ("PATCH", "/api/clients/7", {"visits": 4}),
            ("GET", "/assets/staff.js", None),
        ):
            refused = gateway.ask(method, target, "rei", body=body)
            assert refused.verdict == (502, "upstream_unreachable")
        assert gateway.ask("GET", "/health").verdict == (502, "upstream_unreachable")
        assert gateway.ask("DELETE", "/api/clients/7", "mei").verdict == (403, "rule_denies")
        assert not gateway.ready()["upstream"]
    finally:
        behind.start()
    assert works(gateway)
    assert gateway.ready()["upstream"]


def test_the_crm_gets_what_was_decided_and_no_token_cookie_or_claim_of_the_client(gateway, behind):
    behind.requests.clear()
    lies = {
        "Host": "crm.salon.example",
        "Cookie": "session=abc",
        "X-Forwarded-For": "192.0.2.99",
        "X-Remote-User": "hana",
        "X-HTTP-Method-Override": "DELETE",
        "Connection": "X-Secret, keep-alive",
        "X-Secret": "1",
    }
    assert gateway.ask("GET", "/api/clients?page=1", "mei", headers=lies).status == 200
    (request,) = behind.requests
    assert request.startswith(b"GET /api/clients?page=1 HTTP/1.1\r\n")
    sent = request.lower()
    assert f"\r\nhost: 127.0.0.1:{behind.port}\r\n".encode() in sent
    for word in (b"authorization", b"cookie", b"192.0.2.99", b"hana", b"delete", b"x-secret"):
        assert word not in sent


# -- tokens -------------------------------------------------------------------------------


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Forger:
    """Makes tokens by hand, as no library would let us."""

    def __init__(self, gateway: Salon) -> None:
        good = gateway.token("mei")
        head, payload, _ = good.split(".")
        self.good = good
        self.head = json.loads(base64.urlsafe_b64decode(head + "==="))
        self.claims = json.loads(base64.urlsafe_b64decode(payload + "==="))
        file = gateway.folder / "secrets" / "token-secret"
        self.secret = file.read_text(encoding="ascii").strip().encode()

    def sign(self, payload: object, head: object = None, secret: bytes | None = None) -> str:
        text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        parts = f"{b64(json.dumps(head or self.head).encode())}.{b64(text)}"
        signature = hmac.new(secret or self.secret, parts.encode(), hashlib.sha256).digest()
        return f"{parts}.{b64(signature)}"

    def tokens(self) -> dict[str, str]:
        claims, past = self.claims, int(time.time()) - 10
        text = json.dumps(claims).encode()
        head, payload, signature = self.good.split(".")
        none = b64(json.dumps(self.head | {"alg": "none"}).encode())
        unsigned = f"{none}.{payload}."
        return {
            "garbage": "x",
            "unsigned": unsigned,
            "unsigned with a signature": unsigned + signature,
            "another signature": f"{head}.{payload}.{signature[::-1]}",
            "another payload": f"{head}.{b64(text.replace(b'mei', b'ken'))}.{signature}",
            "another secret": self.sign(claims, secret=b"0" * 32),
            "another key": self.sign(claims, self.head | {"kid": "other"}),
            "another algorithm": self.sign(claims, self.head | {"alg": "HS512"}),
            "expired": self.sign(claims | {"exp": past}),
            "not yet valid": self.sign(claims | {"nbf": past + 3600}),
            "a text for a time": self.sign(claims | {"exp": str(claims["exp"])}),
            "without an end": self.sign({k: v for k, v in claims.items() if k != "exp"}),
            "another issuer": self.sign(claims | {"iss": "https://id.example"}),
            "another audience": self.sign(claims | {"aud": "another-crm"}),
            "a member twice": self.sign(text[:-1] + b', "sub": "ken"}'),
            "an old epoch": self.sign(claims | {"epoch": claims["epoch"] - 1}),
            "a truth for an epoch": self.sign(claims | {"epoch": True}),
            "never enrolled": self.sign(claims | {"sub": "oksana"}),
        }


def without_id(reply: Reply) -> tuple[int, bytes, list[tuple[str, str]]]:
    body = re.sub(rb"urn:uuid:[0-9a-f-]{36}", b"ID", reply.body)
    return reply.status, body, [pair for pair in reply.headers if pair[0] != "Date"]


def test_every_wrong_token_gets_the_same_401_to_the_byte(gateway, behind):
    forger = Forger(gateway)
    assert gateway.ask("GET", "/api/clients/7", token=forger.sign(forger.claims)).status == 200
    behind.requests.clear()
    expected = without_id(gateway.ask("GET", "/api/clients/7"))
    assert expected[0] == 401
    for name, token in forger.tokens().items():
        refused = without_id(gateway.ask("GET", "/api/clients/7", token=token))
        assert refused == expected, name
        assert without_id(gateway.ask("GET", "/nowhere", token=token)) == expected, name
    for scheme in (
        "Basic bWVpOm1laQ==",
        f"Bearer  {forger.good}",
        f"Token {forger.good}",
        "Bearer",
    ):
        sent = {"Authorization": scheme}
        assert without_id(gateway.ask("GET", "/api/clients/7", headers=sent)) == expected, scheme
    assert behind.requests == []


def test_a_token_from_before_the_logout_is_replayed_in_vain(gateway, behind):
    token = gateway.token("hana")
    assert gateway.ask("GET", "/api/clients/7", token=token).status == 200
    nobody = without_id(gateway.ask("GET", "/api/clients/7"))
    assert gateway.cli("session", "revoke", "hana").returncode == 0
    behind.requests.clear()
    for _ in range(2):
        assert without_id(gateway.ask("GET", "/api/clients/7", token=token)) == nobody
    assert behind.requests == []


def test_why_a_token_was_refused_stands_in_the_metrics_and_nowhere_else(gateway):
    forger = Forger(gateway)
    name = "salon_gateway_unauthenticated_total"
    causes = {
        "expired": "expired",
        "another secret": "bad_signature",
        "an old epoch": "epoch_stale",
        "another issuer": "wrong_issuer",
        "unsigned": "algorithm_refused",
    }
    tokens = forger.tokens()
    for token, cause in causes.items():
        before = gateway.metric(name, cause=cause)
        refused = gateway.ask("GET", "/api/clients/7", token=tokens[token])
        assert gateway.metric(name, cause=cause) == before + 1
        assert cause not in refused.text


# -- the state store ----------------------------------------------------------------------


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Somebody puts a copy in place of the state file and holds it for themselves."""
    file, copy = folder / "state" / "epochs.sqlite3", folder / "state" / "copy.sqlite3"
    with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
    with closing(sqlite3.connect(copy, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("UPDATE person SET changed_at = changed_at")
        copy.rename(file)
        yield
        holder.execute("ROLLBACK")


def assert_state_is_missed(gateway: Salon, behind: RawCrm) -> None:
    """Known people are refused, whatever they ask; strangers and the public as ever.

    What was known of them a moment ago counts for 0.1 s more (`backends/epoch_map.py`).
    """
    deadline = time.monotonic() + 10
    for who in ("mei", "ken"):
        while gateway.ask("GET", "/assets/staff.js", who).status != 503:
            assert time.monotonic() < deadline, "a store that is away was never missed"
    behind.requests.clear()
    for who, method, target in (
        ("mei", "GET", "/api/clients/7"),
        ("ken", "DELETE", "/api/clients/7"),
        ("ken", "GET", "/assets/staff.js"),
        ("ken", "GET", "/nowhere"),
    ):
        refused = gateway.ask(method, target, who)
        assert refused.verdict == (503, "state_unavailable")
        assert refused.header("retry-after") is not None
    assert gateway.ask("GET", "/api/clients/7").verdict == (401, "unauthenticated")
    assert behind.requests == []
    assert gateway.ask("GET", "/health").body == b"ok"
    assert not gateway.ready()["state"]


def test_a_locked_state_file_refuses_everyone_and_is_back_when_it_is_let_go(gateway, behind):
    for who in ("mei", "ken"):
        gateway.bearer(who)  # enrolled while that is possible
    with locked(gateway.folder):
        assert_state_is_missed(gateway, behind)
    assert works(gateway)
    assert gateway.ready()["state"]


def test_redis_keeps_the_sessions_and_may_go_and_come_back(tmp_path, behind):
    (tmp_path / "redis").mkdir()
    with (
        RedisProcess(
            tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always"
        ) as redis,
        salon(
            tmp_path / "salon", behind.url, state={"url": redis.url()}, upstream=FAST
        ) as gateway,
    ):
        old = gateway.token("yuki")
        for who in ("mei", "ken"):
            gateway.bearer(who)
        assert works(gateway)
        assert gateway.ask("GET", "/assets/staff.js", token=old).status == 200
        assert gateway.cli("session", "revoke", "yuki").returncode == 0
        assert gateway.ask("GET", "/assets/staff.js", token=old).status == 401
        redis.kill()
        assert_state_is_missed(gateway, behind)
        redis.start()
        assert works(gateway)
        assert gateway.ready()["state"]
        assert gateway.ask("GET", "/assets/staff.js", token=old).status == 401


# -- the audit trail ----------------------------------------------------------------------


@contextmanager
def full_disk(gateway: Salon) -> Iterator[None]:
    """The gateway may make no file longer than its trail is now: a write ends in its middle."""
    (trail,) = (gateway.folder / "audit").glob("trail-0-*.jsonl")
    soft, hard = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
    limit = trail.stat().st_size + 100
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def directory_gone(gateway: Salon) -> Iterator[None]:
    """The disk with the trail is not mounted any more; an empty folder stands in its place."""
    directory, away = gateway.folder / "audit", gateway.folder / "away"
    directory.rename(away)
    try:
        yield
    finally:
        away.rename(directory)


@pytest.mark.parametrize(
    ("broken", "ready"),
    [(full_disk, True), (directory_gone, False)],  # what /readyz writes as a probe still fits
)
def test_without_a_trail_there_is_no_answer_and_no_write_is_forwarded(
    gateway, behind, broken, ready
):
    assert works(gateway)
    count = len(gateway.entries())
    with broken(gateway):
        behind.requests.clear()
        for who, method, target, body in (
            ("rei", "PATCH", "/api/clients/7", {"visits": 4}),
            ("ken", "DELETE", "/api/clients/7", None),
            ("mei", "DELETE", "/api/clients/7", None),
        ):
            refused = gateway.ask(method, target, who, body=body)
            assert refused.verdict == (503, "audit_unavailable")
        assert behind.requests == []
        read = gateway.ask("GET", "/api/clients/7", "ken")
        assert read.verdict == (503, "audit_unavailable")
        assert b"Aoi" not in read.body
        assert gateway.ask("GET", "/api/clients/7").verdict == (503, "audit_unavailable")
        assert gateway.ready()["audit"] is ready
    assert works(gateway)
    assert gateway.ready()["audit"]
    assert [entry["reason"] for entry in gateway.entries()[count:]] == ["rule_allows"]
    verified = gateway.cli("audit", "verify")
    assert verified.returncode == 0, verified.stdout


# -- the policy ---------------------------------------------------------------------------


@contextmanager
def changed(file: Path, text: str) -> Iterator[None]:
    """Other content, for a while."""
    before = file.read_bytes()
    file.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        file.write_bytes(before)


def test_a_broken_rule_changes_nothing_and_a_good_one_takes_effect(gateway):
    file = gateway.folder / "policies" / "salon_rules.csv"
    rules = file.read_text(encoding="utf-8")
    wish = "p, role:stylist, client.contact.phone, read, , allow\n"
    failures = "salon_gateway_policy_load_failures_total"
    digest, before = gateway.status()["policy"], gateway.metric(failures)

    for broken in (rules + wish.replace("allow", "Allow"), ""):
        with changed(file, broken):
            gateway.reload()
            assert works(gateway)
            assert gateway.status()["policy"] == digest
            assert gateway.status()["load_failure"]
    assert gateway.metric(failures) >= before + 2  # the watcher may have come in between
    before = gateway.metric(failures)

    never = gateway.folder / "policies" / "assertions.yaml"
    kept = never.read_text(encoding="utf-8").replace("  - role:stylist read client.contact\n", "")
    with changed(file, rules + wish):
        gateway.reload()  # what must never be so keeps it out, until that line goes too
        assert "assertions.yaml" in str(gateway.status()["load_failure"]["findings"])
    before = gateway.metric(failures)
    with changed(never, kept), changed(file, rules + wish):
        gateway.reload()
        shown = gateway.ask("GET", "/api/clients/7", "mei").data
        assert shown["phone"] == SECRET_PHONE.decode()
        assert gateway.status()["policy"] != digest
        assert gateway.status()["load_failure"] is None
    gateway.reload()
    assert works(gateway)
    assert gateway.status()["policy"] == digest
    assert gateway.metric(failures) <= before + 1  # the watcher may have seen one file without


def test_who_leaves_the_roster_is_out_with_the_next_reload(gateway):
    file = gateway.folder / "policies" / "staff.yaml"
    text = file.read_text(encoding="utf-8")
    token = gateway.token("oksana")
    assert gateway.ask("GET", "/assets/staff.js", token=token).status == 200
    start = text.index("  - id: oksana")
    with changed(file, text[:start]):
        gateway.reload()
        refused = gateway.ask("GET", "/assets/staff.js", token=token)
        assert refused.verdict == (403, "not_on_roster")
    gateway.reload()
    assert gateway.ask("GET", "/assets/staff.js", token=token).status == 200


# One wrong line in each of the owner's files: where it stands, what it becomes, where it is found.
WRONG = {
    "policies/salon_rules.csv": (
        "p, role:stylist,   message,               list|read,",
        "p, role:stylst,    message,               list|read,",
        "did you mean `role:stylist`?",
    ),
    "policies/hours.yaml": ('wed: ["00:00-24:00"]', 'wed: ["0-24"]', "`0-24`"),
    "policies/staff.yaml": ("{aoyama: [role:manager]}", "{aoyama: [role:manger]}", "role:manager"),
    "policies/model.conf": (
        "e = some(where (p.eft == allow)) && ",
        "e = ",
        "write `e = some(where (p.eft == allow)) && !some(where (p.eft == deny))`",
    ),
    "adapters/salon-demo.yaml": ("personal: [birthday]", "personal: [birthdy]", "birthday"),
    "gateway.yaml": ("issuer: salon-gateway", "isuer: salon-gateway", "issuer"),
}


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path)
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "listen: {port: 0}\nadmin_listen: {port: 0}\n"
        "upstream: {url: http://127.0.0.1:9, adapter: adapters/salon-demo.yaml}\n"
        "tokens: {secret_file: secrets/token-secret, issuer: salon-gateway}\n"
        "apps: [phone, backoffice]\n",
        encoding="utf-8",
    )
    return tmp_path


def break_line(folder: Path, name: str) -> str:
    """Put the wrong line in; returns `file:line` of it."""
    good, bad, _ = WRONG[name]
    file = folder / name
    before, found, after = file.read_text(encoding="utf-8").partition(good)
    assert found, f"{name} has changed: write down another line of it"
    file.write_text(before + bad + after, encoding="utf-8")
    return f"{file.name}:{before.count(chr(10)) + 1}:"


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_line_is_named_with_its_file_and_line(folder, capsys, name):
    place = break_line(folder, name)
    assert main(["--config", str(folder / "gateway.yaml"), "check"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    (finding,) = [line for line in said.err.splitlines() if line.startswith(place)]
    assert WRONG[name][2] in finding


@pytest.mark.parametrize(
    "names",
    [
        ("gateway.yaml",),
        ("policies/salon_rules.csv",),
        (
            "policies/hours.yaml",
            "policies/staff.yaml",
            "policies/model.conf",
            "adapters/salon-demo.yaml",
        ),
    ],
)
def test_a_gateway_without_a_good_policy_does_not_start_and_says_everything(folder, names):
    places = [break_line(folder, name) for name in names]
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--config", str(folder / "gateway.yaml"), "serve"],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stdout) == (3, "")
    for place in places:
        assert place in done.stderr
    assert not (folder / "audit").exists()


@pytest.mark.parametrize("rules", ["", "\n\n", "# all of them are comments\n"])
def test_no_rules_at_all_is_an_error(folder, capsys, rules):
    (folder / "policies" / "salon_rules.csv").write_text(rules, encoding="utf-8")
    assert main(["--config", str(folder / "gateway.yaml"), "check"]) == 3
    assert "salon_rules.csv:1:1: " in capsys.readouterr().err


def test_a_missing_file_is_an_error_that_names_it(folder, capsys):
    (folder / "policies" / "hours.yaml").unlink()
    assert main(["--config", str(folder / "gateway.yaml"), "check"]) == 3
    assert "hours.yaml:1:1: cannot be read" in capsys.readouterr().err


# -- while a request is under way ----------------------------------------------------------


@pytest.fixture
def patient(tmp_path, behind) -> Iterator[Salon]:
    """A gateway that waits for the CRM for as long as a test may need."""
    slow = {"answer_timeout_seconds": SECONDS, "total_timeout_seconds": SECONDS}
    write_folder(tmp_path, behind.url, upstream=slow)
    with started(tmp_path) as running:
        yield running


@contextmanager
def under_way(
    gateway: Salon, behind: RawCrm, method: str, body: bytes | None = None
) -> Iterator[tuple[http.client.HTTPConnection, threading.Event]]:
    """A request that the CRM has, and answers when the event is set."""
    behind.requests.clear()
    answer_now = threading.Event()
    behind.answers["/api/clients/7"] = replace(json_answer(CARD), after=answer_now)
    headers = gateway.bearer("ken") | {"Content-Type": "application/json"}
    with closing(gateway.connect()) as connection:
        connection.request(method, "/api/clients/7", body=body, headers=headers)
        while not behind.requests:
            fetch(gateway.admin, "/healthz")
        try:
            yield connection, answer_now
        finally:
            answer_now.set()


def verdict_of(connection: http.client.HTTPConnection) -> tuple[int, str]:
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())["reason"]


def test_who_is_logged_out_while_the_crm_answers_does_not_see_the_answer(patient, behind):
    for method, body, verdict in (
        ("GET", None, (401, "unauthenticated")),
        ("PATCH", b'{"visits": 4}', (502, "applied_not_shown")),
    ):
        patient.forget_tokens()
        with under_way(patient, behind, method, body) as (connection, answer_now):
            assert patient.cli("session", "revoke", "ken").returncode == 0
            answer_now.set()
            assert verdict_of(connection) == verdict


def test_a_request_that_is_under_way_at_sigterm_is_answered(patient, behind):
    with under_way(patient, behind, "GET") as (connection, answer_now):
        patient.process.child.terminate()
        while is_listening(patient.port):
            pass  # nobody new is let in
        answer_now.set()
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, json.loads(CARD))
    assert patient.process.child.wait(SECONDS) == 0


def test_one_trail_has_one_writer_so_a_second_gateway_on_it_does_not_start(gateway):
    with closing(gateway.connect()) as connection:
        second = gateway.cli("serve")
        assert second.returncode == 1
        assert "another process writes the audit trail" in second.stderr
        assert send(connection, "GET", "/api/clients/7", gateway.bearer("mei")).status == 200
