"""How a refusal looks: problem+json for programs, a page for people, the same headers always."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from gateway.domain.decision import Refusal
from gateway.domain.http import Inbound
from gateway.domain.reason import STATUS, Cause, Reason
from gateway.domain.ruleref import RuleRef
from gateway.domain.time import instant
from gateway.proxy.negotiate import Language
from gateway.proxy.refusals import render

ID = "0b9e0c3a-1111-4222-8333-444455556666"
NOW = instant(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))  # Sunday, 21:00 in Tokyo
OPENS = instant(datetime(2026, 11, 24, 1, 0, tzinfo=UTC))  # Tuesday, 10:00 in Tokyo


def a_request(method="GET", accept="*/*", language="en"):
    headers = (("Host", "crm.example"), ("Accept", accept), ("Accept-Language", language))
    return Inbound(
        method=method,
        target="/api/clients",
        version="1.1",
        headers=headers,
        peer="192.0.2.1",
        secure=True,
    )


def a_refusal(reason=Reason.RULE_DENIES, **more):
    return Refusal(reason=reason, request_id=ID, **more)


def closed(**more):
    more = {"opens_at": OPENS, "timezone": "Asia/Tokyo"} | more
    return a_refusal(Reason.OUTSIDE_HOURS, **more)


def as_json(refusal, request=None, now=NOW):
    answer = render(refusal, request or a_request(), now=now)
    assert header(answer, "content-type") == "application/problem+json"
    return json.loads(answer.body), answer


def as_page(refusal, language="en", now=NOW):
    answer = render(refusal, a_request(accept="text/html", language=language), now=now)
    assert header(answer, "content-type") == "text/html; charset=utf-8"
    return answer.body.decode(), answer


def header(answer, name):
    values = [value for key, value in answer.headers if key.lower() == name.lower()]
    assert len(values) <= 1, name
    return values[0] if values else None


@pytest.mark.parametrize("reason", STATUS)
def test_a_problem_names_reason_status_and_request(reason):
    problem, answer = as_json(a_refusal(reason, detail="something" if reason != "x" else ""))
    assert problem["type"] == f"urn:salon-gateway:reason:{reason}"
    assert problem["reason"] == reason
    assert problem["status"] == answer.status == STATUS[reason]
    assert problem["instance"] == f"urn:uuid:{ID}"
    assert problem["title"]
    assert problem["detail"]


def test_the_detail_is_the_stage_s_own_sentence_or_the_reason_s():
    assert as_json(a_refusal(detail="say why"))[0]["detail"] == "say why"
    assert "rules" in as_json(a_refusal(detail=""))[0]["detail"]


def test_only_rule_denies_names_the_rules():
    rules = (RuleRef("salon_rules.csv", 12), RuleRef("hours.yaml", 3))
    assert as_json(a_refusal(by=rules))[0]["rules"] == ["salon_rules.csv:12", "hours.yaml:3"]
    for reason in set(STATUS) - {Reason.RULE_DENIES}:
        assert "rules" not in as_json(a_refusal(reason, by=rules))[0]


def test_opens_at_carries_the_salon_s_offset():
    assert as_json(closed())[0]["opens_at"] == "2026-11-24T10:00:00+09:00"
    kyiv = closed(timezone="Europe/Kyiv")
    assert as_json(kyiv)[0]["opens_at"] == "2026-11-24T03:00:00+02:00"


def test_opens_at_is_told_for_hours_only():
    assert "opens_at" not in as_json(closed(opens_at=None))[0]
    assert "opens_at" not in as_json(a_refusal(opens_at=OPENS))[0]


def test_an_unknown_zone_is_printed_as_utc():
    assert as_json(closed(timezone="Mars/Olympus"))[0]["opens_at"] == "2026-11-24T01:00:00+00:00"
    assert "UTC" in as_page(closed(timezone="../etc/passwd"))[0]


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_every_401_is_the_same_but_for_the_request_id(accept):
    answers = {
        render(
            Refusal(
                reason=Reason.UNAUTHENTICATED,
                request_id=ID,
                cause=cause,
                detail=f"because of {cause}",
                by=(RuleRef("x.csv", 1),),
                opens_at=OPENS,
                timezone="Asia/Tokyo",
            ),
            a_request(accept=accept),
            now=NOW,
        ).__repr__()
        + str(render(a_refusal(Reason.UNAUTHENTICATED, cause=cause), a_request(), now=NOW).body)
        for cause in Cause
    }
    bodies = {
        render(
            a_refusal(Reason.UNAUTHENTICATED, cause=cause, detail=f"because of {cause}"),
            a_request(accept=accept),
            now=NOW,
        ).body
        for cause in (*Cause, None)
    }
    assert len(answers) == 1
    assert len(bodies) == 1


def test_a_401_asks_for_a_bearer_token_and_says_no_more():
    _, answer = as_json(a_refusal(Reason.UNAUTHENTICATED))
    assert header(answer, "WWW-Authenticate") == 'Bearer realm="salon"'


def test_only_401s_ask_for_a_token():
    for reason in set(STATUS) - {Reason.UNAUTHENTICATED}:
        assert header(as_json(a_refusal(reason))[1], "WWW-Authenticate") is None


def test_a_spent_allowance_says_when_the_next_one_is_free():
    spent = a_refusal(Reason.BUDGET_SPENT, retry_seconds=61.2)
    assert header(as_json(spent)[1], "Retry-After") == "62"
    assert header(as_json(a_refusal(Reason.BUDGET_SPENT))[1], "Retry-After") is None


def test_retry_after_counts_the_seconds_until_it_opens():
    assert header(as_json(closed())[1], "Retry-After") == str(37 * 3600)
    soon = instant(OPENS - timedelta(seconds=1.5))
    assert header(as_json(closed(), now=soon)[1], "Retry-After") == "2"
    half = instant(OPENS - timedelta(seconds=0.5))
    assert header(as_json(closed(), now=half)[1], "Retry-After") == "1"
    assert (
        header(as_json(closed(), now=instant(OPENS + timedelta(hours=1)))[1], "Retry-After") == "1"
    )
    assert header(as_json(closed(opens_at=None))[1], "Retry-After") is None


def test_a_503_says_when_to_try_again():
    for reason in (Reason.STATE_UNAVAILABLE, Reason.AUDIT_UNAVAILABLE):
        assert int(header(as_json(a_refusal(reason))[1], "Retry-After")) >= 1


def test_a_405_names_what_is_allowed():
    allow = header(as_json(a_refusal(Reason.METHOD_REFUSED))[1], "Allow")
    assert allow == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
@pytest.mark.parametrize("reason", STATUS)
def test_no_refusal_is_kept_by_a_cache_or_a_sniffer(reason, accept):
    answer = render(a_refusal(reason), a_request(accept=accept), now=NOW)
    assert header(answer, "Cache-Control") == "no-store"
    assert header(answer, "Vary") == "Accept, Accept-Language, Authorization, Cookie"
    assert header(answer, "X-Content-Type-Options") == "nosniff"
    assert header(answer, "Referrer-Policy") == "no-referrer"
    assert header(answer, "Content-Language") == "en"
    assert header(answer, "Content-Security-Policy").startswith("default-src 'none'")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_page_is_for_get_and_head_only(method):
    answer = render(a_refusal(), a_request(method, accept="text/html"), now=NOW)
    assert header(answer, "content-type") == "application/problem+json"


def test_head_gets_the_head_of_the_page():
    answer = render(a_refusal(), a_request("HEAD", accept="text/html"), now=NOW)
    assert header(answer, "content-type").startswith("text/html")


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    VOID = frozenset({"meta", "!doctype"})

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open and data.strip():
            self.words.append(data.strip())

    def attributes(self, wanted):
        return [attrs for tag, attrs in self.tags if tag == wanted]


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("reason", STATUS)
def test_every_reason_makes_a_whole_page_in_every_language(reason, language):
    text, answer = as_page(a_refusal(reason, opens_at=OPENS), language)
    page = Page(text)
    assert header(answer, "Content-Language") == language
    assert page.attributes("html") == [{"lang": str(language)}]
    assert ID in page.words
    assert len(page.attributes("h1")) == 1
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in (
        page.attributes("meta")
    )


def test_a_page_has_no_script_and_fetches_nothing():
    page = Page(as_page(closed())[0])
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "p", "time"),
        *("footer", "code"),
    }
    names = {name for _, attributes in page.tags for name in attributes}
    assert not names & {"src", "href", "style", "action"}
    assert not any(name.startswith("on") for name in names)


def test_the_style_sheet_is_the_one_the_policy_names():
    text, answer = as_page(closed())
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in header(answer, "Content-Security-Policy")


def test_the_lock_screen_says_when_it_opens_by_the_salon_s_clock():
    page = Page(as_page(closed())[0])
    assert {"datetime": "2026-11-24T10:00:00+09:00"} in page.attributes("time")
    said = " ".join(page.words)
    assert "The salon is closed for this." in said
    assert "It opens again at 10:00 on Tuesday 24 November ." in said
    assert "Asia/Tokyo" in said
    assert "ask your manager" in said


def test_later_today_is_said_as_today_on_the_salon_s_calendar():
    late = instant(datetime(2026, 11, 23, 16, 0, tzinfo=UTC))  # already the 24th in Tokyo
    assert "at 10:00 today" in as_page(closed(), now=late)[0]


def test_an_unknown_opening_is_said_to_be_unknown():
    page = Page(as_page(closed(opens_at=None))[0])
    assert "We do not know yet when it opens again." in page.words
    assert page.attributes("time") == []


def test_whatever_stands_in_a_refusal_is_escaped():
    refusal = Refusal(
        reason=Reason.OUTSIDE_HOURS,
        request_id="<script>alert(1)</script>",
        opens_at=OPENS,
        timezone="UTC",
    )
    text, _ = as_page(refusal)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_rules_stay_out_of_the_page():
    text, _ = as_page(a_refusal(by=(RuleRef("salon_rules.csv", 12),), detail="client.contact"))
    assert "salon_rules" not in text
    assert "client.contact" not in text


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_all_text_has_the_contrast_of_wcag_aa_by_day_and_by_night():
    schemes = re.findall(r":root \{(.*?)\}", as_page(closed())[0])
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
        paper = luminance(colours["paper"])
        for name in ("ink", "soft"):
            low, high = sorted((paper, luminance(colours[name])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, name


def test_a_lockdown_shows_the_owner_s_line_as_text_to_people_and_programs():
    refusal = a_refusal(Reason.INCIDENT, detail="Call <Hana>, 00-0000-0000")
    page, answer = as_page(refusal)
    assert (answer.status, header(answer, "retry-after")) == (403, None)
    assert "Call &lt;Hana&gt;, 00-0000-0000" in page
    document, _ = as_json(refusal)
    assert document["contact"] == "Call <Hana>, 00-0000-0000"
    assert document["detail"] != document["contact"]


def test_a_lockdown_without_a_line_and_any_other_refusal_have_no_contact():
    assert "contact" not in as_json(a_refusal(Reason.INCIDENT))[0]
    other = a_refusal(Reason.LOCKED, detail="quite another sentence")
    assert "contact" not in as_json(other)[0]
    assert "quite another sentence" not in as_page(other)[0]
