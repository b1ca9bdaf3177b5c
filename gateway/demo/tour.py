"""The tour: what a newcomer sees in two minutes, each step with the line that repeats it.

A step says what it expects and is checked: the tour is a test of the running gateway.
"""

import http.client
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

CARD = "/api/clients/7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. `headers` by lower-case name."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def data(self) -> Any:
        """The body as JSON; None if it is not."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where the tour plays.

    Attributes:
        guarded, admin: URLs of the two ports.
        folder: with gateway.yaml, policies/ and tokens/.
    """

    guarded: str
    admin: str
    folder: Path

    def token_file(self, who: str) -> Path:
        """Where somebody's token lies."""
        return self.folder / "tokens" / f"{who}.token"

    def ask(self, who: str | None, target: str, **headers: str) -> tuple[str, Reply]:
        """GET from the guarded port. Returns the `curl` line that does the same, and the reply."""
        line = ["curl -s -i"]
        sent = {name.replace("_", "-").title(): value for name, value in headers.items()}
        for name, value in sent.items():
            line.append(f"-H {shlex.quote(f'{name}: {value}')}")
        if who is not None:
            file = self.token_file(who)
            line.append(f'-H "Authorization: Bearer $(cat {shlex.quote(str(file))})"')
            sent["Authorization"] = f"Bearer {file.read_text(encoding='ascii').strip()}"
        line.append(shlex.quote(self.guarded + target))
        return " ".join(line), fetch(self.guarded + target, sent)

    def run(self, *words: str) -> tuple[str, "subprocess.CompletedProcess[str]"]:
        """Run a verb. Returns the line that does the same, and how it ended."""
        rest = ["--config", str(self.folder / "gateway.yaml"), *words]
        done = subprocess.run(  # noqa: S603  # our own command
            [sys.executable, "-m", "gateway", *rest], capture_output=True, text=True, check=False
        )
        return f"salon-gateway {shlex.join(rest)}", done


def fetch(url: str, headers: dict[str, str]) -> Reply:
    """One GET, nothing followed, nothing added."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    try:
        connection.request("GET", target, headers={"Accept": "*/*", **headers})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
    lowered = {name.lower(): value for name, value in answer.getheaders()}
    return Reply(status=answer.status, headers=lowered, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One step that was played.

    Attributes:
        lines: what to show of the answer.
        missed: what did not come out as said; empty = all did.
    """

    title: str
    command: str
    lines: tuple[str, ...]
    missed: tuple[str, ...]


Step = Callable[[Scene], Told]


def check(expected: dict[str, bool]) -> tuple[str, ...]:
    """The expectations that did not hold."""
    return tuple(said for said, held in expected.items() if not held)


def the_whole_card(scene: Scene) -> Told:
    """A manager."""
    command, reply = scene.ask("ken", CARD)
    card = reply.data if isinstance(reply.data, dict) else {}
    return Told(
        title="A client card, as the manager Ken sees it",
        command=command,
        lines=(f"HTTP {reply.status}", *pretty(card)),
        missed=check({"the manager sees the phone number": "phone" in card}),
    )


def the_cut_card(scene: Scene) -> Told:
    """A stylist."""
    _, whole = scene.ask("ken", CARD)
    command, reply = scene.ask("mei", CARD)
    full = whole.data if isinstance(whole.data, dict) else {}
    card = reply.data if isinstance(reply.data, dict) else {}
    gone = [name for name in full if name not in card]
    hidden = {"phone", "email", "address", "birthday"}
    return Told(
        title="The same card, as the stylist Mei sees it",
        command=command,
        lines=(f"HTTP {reply.status}", *pretty(card), f"gone: {', '.join(gone)}"),
        missed=check(
            {
                "the stylist gets the card": card.get("id") == full.get("id") is not None,
                "phone, mail, address and birthday are gone": hidden <= set(gone),
                "no phone number is left anywhere": str(full.get("phone")) not in reply.text,
            }
        ),
    )


def the_question(scene: Scene) -> Told:
    """What is hidden cannot be asked about."""
    command, reply = scene.ask("mei", "/api/clients?email=client7@mail.example")
    return Told(
        title="Mei searches for a mail address she may not see",
        command=command,
        lines=problem(reply),
        missed=check(
            {
                "the question is refused": (reply.status, reason(reply))
                == (403, "hidden_field_asked")
            }
        ),
    )


def the_export(scene: Scene) -> Told:
    """The client base does not leave by the back door."""
    command, reply = scene.ask("mei", "/api/clients/export")
    rules = (reply.data or {}).get("rules", [])
    written = tuple(f"{rule}: {_line_of(scene, rule)}" for rule in rules)
    return Told(
        title="Mei exports the client list",
        command=command,
        lines=(*problem(reply), *written),
        missed=check(
            {
                "the export is refused": (reply.status, reason(reply)) == (403, "rule_denies"),
                "the rule's file and line are named": any("export" in line for line in written),
            }
        ),
    )


def the_lock(scene: Scene) -> Told:
    """After hours, for programs."""
    command, reply = scene.ask("yuki", "/api/clients")
    data = reply.data or {}
    return Told(
        title="Yuki opens the client list after hours",
        command=command,
        lines=(*problem(reply), f"Retry-After: {reply.headers.get('retry-after')} seconds"),
        missed=check(
            {
                "the list is closed": (reply.status, reason(reply)) == (403, "outside_hours"),
                "it says when it opens": bool(data.get("opens_at")),
                "Retry-After is a number": reply.headers.get("retry-after", "").isdigit(),
            }
        ),
    )


def the_lock_screen(scene: Scene) -> Told:
    """After hours, for people."""
    command, reply = scene.ask("yuki", "/api/clients", accept="text/html", accept_language="ja")
    heading = headings(reply.text)
    return Told(
        title="The same in a Japanese browser: the lock screen",
        command=command,
        lines=(f"HTTP {reply.status}", *heading),
        missed=check(
            {
                "a page in Japanese": reply.headers.get("content-language") == "ja",
                "with a heading": bool(heading),
            }
        ),
    )


def the_logout(scene: Scene) -> Told:
    """A phone is lost."""
    _, before = scene.ask("mei", CARD)
    command, done = scene.run("session", "revoke", "mei")
    again, after = scene.ask("mei", CARD)
    return Told(
        title="Mei loses her phone: forced logout, and the next request",
        command=f"{command}\n  {again}",
        lines=(*spoken(done), *problem(after)),
        missed=check(
            {
                "the session worked before": before.status == 200,
                "the command succeeds": done.returncode == 0,
                "the next request is 401": after.status == 401,
            }
        ),
    )


COUNTERS = (
    "salon_gateway_requests_total",
    "salon_gateway_denied_total",
    "salon_gateway_afterhours_attempts_total",
    "salon_gateway_fields_dropped_total",
    "salon_gateway_unauthenticated_total",
)


def the_counters(scene: Scene) -> Told:
    """What ops see."""
    url = f"{scene.admin}/metrics"
    reply = fetch(url, {})
    named = [line for line in reply.text.splitlines() if line.startswith(COUNTERS)]
    lines = [line for line in named if float(line.rpartition(" ")[2]) > 0]
    positive = {line.partition("{")[0] for line in lines}
    return Told(
        title="What was refused, hidden and tried, in /metrics",
        command=f"curl -s {shlex.quote(url)}",
        lines=tuple(lines),
        missed=check({f"{name} counts": name in positive for name in COUNTERS}),
    )


def the_trail(scene: Scene) -> Told:
    """What the owner can prove."""
    command, done = scene.run("audit", "verify")
    _, tail = scene.run("audit", "tail", "-n", "3")
    return Told(
        title="Every access stands in the audit trail, and the trail verifies",
        command=command,
        lines=(*spoken(done), *spoken(tail)),
        missed=check(
            {"the trail verifies": done.returncode == 0, "it has lines": bool(tail.stdout)}
        ),
    )


STEPS: tuple[Step, ...] = (
    the_whole_card,
    the_cut_card,
    the_question,
    the_export,
    the_lock,
    the_lock_screen,
    the_logout,
    the_counters,
    the_trail,
)


def play(scene: Scene, to: TextIO, steps: tuple[Step, ...] = STEPS) -> bool:
    """Play the steps. Returns whether every one came out as said."""
    good = True
    for number, step in enumerate(steps, start=1):
        told = step(scene)
        print(f"\n{number}. {told.title}\n  {told.command}", file=to)
        for line in told.lines:
            print(f"    {line}", file=to)
        for said in told.missed:
            good = False
            print(f"  NOT AS SAID: {said}", file=to)
        if not told.missed:
            print("  as said", file=to, flush=True)
    return good


def pretty(data: Any) -> Iterator[str]:
    """A card, one member a line."""
    yield from json.dumps(data, ensure_ascii=False, indent=2).splitlines()


def spoken(done: "subprocess.CompletedProcess[str]") -> tuple[str, ...]:
    """What a verb said; also on standard error, which is silent when all is well."""
    return tuple(f"{done.stdout}{done.stderr}".strip().splitlines())


def problem(reply: Reply) -> tuple[str, ...]:
    """The members of a problem document that say something."""
    data = reply.data if isinstance(reply.data, dict) else {}
    shown = {k: data[k] for k in ("title", "reason", "detail", "rules", "opens_at") if k in data}
    return (f"HTTP {reply.status}", *(f"{name}: {value}" for name, value in shown.items()))


def reason(reply: Reply) -> str | None:
    """The reason code of a refusal."""
    data = reply.data
    return data.get("reason") if isinstance(data, dict) else None


def _line_of(scene: Scene, rule: str) -> str:
    """The line of the policy that a rule's place names."""
    file, _, number = rule.rpartition(":")
    lines = (scene.folder / "policies" / Path(file).name).read_text(encoding="utf-8").splitlines()
    return " ".join(lines[int(number) - 1].split())


class _Headings(HTMLParser):
    """Collects the text of the first-level headings and the first paragraphs."""

    def __init__(self) -> None:
        super().__init__()
        self.open = ""
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in {"h1", "p"}:
            self.open = tag
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.open:
            self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open:
            self.found[-1] += data


def headings(page: str) -> tuple[str, ...]:
    """The sentences of a lock screen."""
    parser = _Headings()
    parser.feed(page)
    return tuple(" ".join(text.split()) for text in parser.found if text.strip())
