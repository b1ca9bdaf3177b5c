"""The schemas for editors: they accept whatever our reader accepts, and see common slips.

An editor sees YAML's own types where our reader sees text, so every value is spelled in many
ways here, put into every kind of place, and read by both.
"""

import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.domain.finding import PolicyError
from gateway.enforcer.assertions import AssertionsFile
from gateway.enforcer.calendar import HoursFile
from gateway.enforcer.hours import WEEKDAYS
from gateway.enforcer.observe import ObserveFile
from gateway.identity.staff_file import StaffFile
from gateway.mapping.shapes import AdapterFile
from gateway.settings import parse_settings
from gateway.texts.yamltext import parse_yaml, validate
from gateway.tools.case_file import CaseFile
from gateway.tools.schema import NAMES, schema

ROOT = Path(__file__).parents[3]
SHIPPED = [
    ("gateway", "gateway/cli/gateway.template.yaml"),
    ("hours", "policies/hours.yaml"),
    ("staff", "policies/staff.yaml"),
    ("assertions", "policies/assertions.yaml"),
    ("cases", "policies/cases/starter.yaml"),
    *(("adapter", f"adapters/{path.name}") for path in sorted((ROOT / "adapters").glob("*.yaml"))),
]
VALIDATORS = {name: Draft202012Validator(schema(name)) for name in NAMES}
MODELS = {
    "hours": HoursFile,
    "staff": StaffFile,
    "adapter": AdapterFile,
    "cases": CaseFile,
    "assertions": AssertionsFile,
    "observe": ObserveFile,
}
ENVIRONMENT = {"PORT": "80", "YES": "true", "URL": "http://crm.example", "LOG": "json"}


class Editor(yaml.SafeLoader):
    """YAML's own types; keys and dates are text, because JSON has no others for them."""

    def construct_mapping(self, node, deep=False):  # noqa: FBT002, ARG002  # PyYAML's hook
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


Editor.add_constructor("tag:yaml.org,2002:timestamp", Editor.construct_yaml_str)


def as_an_editor_sees_it(text):
    # Our reader gives every scalar as text, which is just what an editor does not see.
    return yaml.load(text, Loader=Editor)  # noqa: S506  # a SafeLoader


def complaints(name, text):
    return [error.message for error in VALIDATORS[name].iter_errors(as_an_editor_sees_it(text))]


def our_reader_accepts(name, text):
    """Its form alone for the owner's files: what the whole file shows refuses only more."""
    try:
        if name == "gateway":
            parse_settings(text, "gateway.yaml", ENVIRONMENT, lambda _: "")
        else:
            validate(parse_yaml(text, f"{name}.yaml"), MODELS[name])
    except PolicyError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one(name):
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert all(schema(name)[key] for key in ("title", "description"))


@pytest.mark.parametrize(("name", "file"), SHIPPED)
def test_a_shipped_file_is_good_and_names_its_schema(name, file):
    text = (ROOT / file).read_text("utf-8")
    assert complaints(name, text) == []
    first = text.splitlines()[0]
    assert re.fullmatch(rf"# yaml-language-server: \$schema=.*schemas/{name}\.schema\.json", first)


# --- what our reader accepts ----------------------------------------------------------

SALON = "timezone: Asia/Tokyo, weekly: {mon: ['10:00-19:00']}"
PERSON = "name: Mei, salons: {aoyama: [role:stylist]}, joined: 2024-04-01"
CASE = "says: s, who: mei, what: GET /c, at: 2026-11-25"
# `@` is where a value goes.
PLACES = [
    *(
        ("hours", f"salons: {{aoyama: {{{inner}}}}}\nprotected: [client]\n")
        for inner in (
            "timezone: @, weekly: {}",
            "timezone: UTC, weekly: {mon: [@]}",
            "timezone: UTC, weekly: {mon: @}",
            "timezone: UTC, weekly: {@: []}",
            "timezone: UTC, weekly: @",
            SALON + ", regular_holidays: [@]",
            SALON + ", regular_holidays: @",
            SALON + ", public_holidays: [@]",
            SALON + ", closed_dates: [@]",
            SALON + ", special_openings: {@: ['10:00-12:00']}",
            SALON + ", grace: {before: @}",
            SALON + ", grace: {after: @}",
            SALON + ", grace: @",
        )
    ),
    ("hours", f"salons: {{@: {{{SALON}}}}}\nprotected: []\n"),
    ("hours", "salons: {}\nprotected: [@]\n"),
    ("hours", "salons: {}\nprotected: @\n"),
    ("hours", "salons: {}\nprotected: []\nexempt_roles: [@]\n"),
    ("hours", "salons: @\nprotected: []\n"),
    *(
        ("observe", text)
        for text in (
            "rules: @",
            "rules: [@]",
            "rules: [{rule: @, enforce_from: 2026-12-01}]",
            "rules: [{rule: p, enforce_from: @}]",
            "hours: {enforce_from: @}",
        )
    ),
    *(
        ("staff", f"staff: [{{{inner}}}]\n")
        for inner in (
            f"id: @, {PERSON}",
            "id: mei, name: @, salons: {aoyama: [role:stylist]}, joined: 2024-04-01",
            "id: mei, name: M, salons: {aoyama: [@]}, joined: 2024-04-01",
            "id: mei, name: M, salons: {aoyama: @}, joined: 2024-04-01",
            "id: mei, name: M, salons: {@: [role:stylist]}, joined: 2024-04-01",
            "id: mei, name: M, salons: {aoyama: []}, joined: @",
            f"id: mei, {PERSON}, on_notice_since: @",
            f"id: mei, {PERSON}, leaves_on: @",
            f"id: mei, {PERSON}, trained_until: @",
            f"id: mei, {PERSON}, nda_signed: @",
            f"id: mei, {PERSON}, approved_devices: [@]",
            f"id: mei, {PERSON}, approved_devices: @",
        )
    ),
    ("staff", "staff: @\n"),
    ("staff", "staff: []\nroles: @\n"),
    ("staff", "staff: []\nroles: [@]\n"),
    *(
        ("adapter", f"adapter: a\nresources: {{client: {{{inner}}}}}\nroutes: []\n")
        for inner in (
            "sensitive: @",
            "id: @",
            "fields: {x: @}",
            "fields: {@: x}",
            "fields: {x: [@]}",
            "classes: {x: [@]}",
            "classes: {x: @}",
            "facts: {x: @}",
            "facts: {@: x is me}",
            "salon: @",
            "salon: {field: @}",
            "salon: {field: x, names: {x: @}}",
            "salon: {field: x, names: {@: x}}",
            "embeds: {x: @}",
            "embeds: {@: client}",
            "embeds: {x: {at: @, resource: r}}",
            "embeds: {x: {at: x, resource: @}}",
            "lookup: @",
        )
    ),
    *(
        ("adapter", f"adapter: a\nresources: {{}}\nroutes: [{{{inner}}}]\n")
        for inner in (
            "match: @, resource: r, action: a",
            "match: m, resource: @, action: a",
            "match: m, resource: r, action: @",
            "match: m, resource: r, action: a, records: @",
            "match: m, resource: r, action: a, beside: [@]",
            "match: m, resource: r, action: a, totals: [@]",
            "match: m, resource: r, action: a, ids: [@]",
            "match: m, resource: r, action: a, query: {q: @}",
            "match: m, resource: r, action: a, query: {q: {max: @}}",
            "match: m, resource: r, action: a, query: {q: {searches: [@]}}",
            "match: m, resource: r, action: a, query: {q: {one_of: [@]}}",
            "match: m, resource: r, action: a, headers: [@]",
            "match: m, resource: r, action: a, pass: @",
            "match: m, resource: r, action: a, public: @",
        )
    ),
    *(
        ("cases", f"cases: [{{{inner}}}]\n")
        for inner in (
            "says: @, who: mei, what: GET /c, at: 2026-11-25, decision: allow",
            "says: s, who: @, what: GET /c, at: 2026-11-25, decision: allow",
            "says: s, who: mei, what: GET /@, at: 2026-11-25, decision: allow",
            "says: s, who: mei, what: GET /c, at: @, decision: allow",
            *(
                f"{CASE}, decision: allow, {key}"
                for key in ("app: @", "device: @", "roles: [@]", "peer: @", "rule: @")
            ),
            f"{CASE}, decision: allow, hidden: [@]",
            f"{CASE}, decision: allow, hidden: @",
            f"{CASE}, decision: allow, roles: @",
            f"{CASE}, decision: allow, shown: [@]",
            f"{CASE.replace('GET', 'PUT')}, decision: allow, sends: [@]",
        )
    ),
    ("cases", "cases: @\n"),
    ("assertions", "never: @\n"),
    ("assertions", "never: ['role:mei read @', role:mei read client]\n"),
    *(
        ("adapter", f"adapter: a\nresources: {{}}\nroutes: []\nlogin: {{{inner}}}\n")
        for inner in (
            "credential: @, sign_in: []",
            "credential: c, renews: @, sign_in: []",
            "credential: c, sign_in: [{match: @, staff: s}]",
            "credential: c, sign_in: [{match: m, staff: @}]",
            *(
                f"credential: c, sign_in: [{{match: m, staff: s, {key}}}]"
                for key in (
                    *("when: @", "issues: @", "issues_refresh: @", "expires: @"),
                    *("hours: @", "refresh_hours: @", "success: [@]", "who: @"),
                    *("unless: [@]", "device: @", "continues: @"),
                )
            ),
            "credential: c, sign_in: [], refresh: [{match: m, presents: @}]",
            "credential: c, sign_in: [], sign_out: [{match: m, presents: @}]",
        )
    ),
    ("adapter", "adapter: @\nresources: {}\nroutes: []\n"),
    ("adapter", "adapter: a\nactions: [@]\nresources: {}\nroutes: []\n"),
    *(
        ("gateway", f"upstream: {{url: 'http://crm.example', adapter: a{up}}}\n{tokens}{more}\n")
        for up, tokens, more in (
            *(
                (f", {up}", "tokens: {secret: s}\n", "")
                for up in (
                    "headers: {x: @}",
                    "pass_cookies: [@]",
                    "forward_token: @",
                    "preserve_host: @",
                    "ca_file: @",
                    "connect_timeout_seconds: @",
                )
            ),
            *(
                ("", f"tokens: {{secret: s, {tokens}}}\n", "")
                for tokens in (
                    "issuer: @",
                    "jwks: @",
                    "leeway_seconds: @",
                    "origins: [@]",
                    "claims: {roles: @}",
                )
            ),
            *(
                ("", "tokens: {secret: s}\n", more)
                for more in (
                    "listen: {host: @}",
                    "listen: {port: @}",
                    "listen: {certificate: @, key: k}",
                    "listen: {names: [@]}",
                    "policies: @",
                    "state: {url: @}",
                    "audit: {max_file_bytes: @}",
                    "audit: {retention_days: @}",
                    "limits: {connections: @}",
                    "apps: [@]",
                    "networks: {@: ['192.0.2.0/24']}",
                    "networks: {salon: [@]}",
                    "log: @",
                )
            ),
        )
    ),
    ("gateway", "upstream: {url: @, adapter: a}\ntokens: {secret: s}\n"),
]
SPELLINGS = """
"" ~ null 0 1 5 007 07777 0x1f 8_080 8080 8080.0 1.5 1e3 .5 3600 +8 400 9999999 "8080" ' 8 '
true True TRUE false no yes on off y t 'true' "no" 2026 2026-04-01 '2026-04-01' 2026-04-01T10:00
10:00-19:00 '10:00 - 19:00' 20:00-02:00 9:00-24:00 12:30 mon tue '3rd mon' 'last sun'
Asia/Tokyo UTC mei role:mei role:1 r-1 a_b Phone.7 http://crm.example HTTPS://crm.example:8443/
"${PORT}" "${YES}" "${URL}" "${LOG}" "${URL}:${PORT}" "${PORT}0" sqlite:a.db redis://r.example rediss://r.example
192.0.2.0/24 2001:db8::/32 ::1 1:2:3:4:5:6:7:8 json text forever [] {} [a] [role:mei] [1,true]
{a:b} !!str!8080 client contact.** data[] 'GET!/clients' 結城 -1 .inf .nan
"""
SPELLED = [
    "",
    *(
        word.replace("!8", " 8").replace("!/", " /").replace("a:b", "a: b")
        for word in re.findall(r"'[^']*'|\"[^\"]*\"|\S+", SPELLINGS)
    ),
]


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_every_spelling_that_our_reader_accepts_is_good(name, place):
    accepted = [
        text
        for text in (place.replace("@", spelled) for spelled in SPELLED)
        if our_reader_accepts(name, text)
    ]
    assert accepted
    assert {text: found for text in accepted if (found := complaints(name, text))} == {}


@given(
    st.sampled_from(PLACES),
    st.one_of(
        st.text("0123456789+-_.eE:", min_size=1, max_size=8),
        st.text("truefalsynoN", min_size=1, max_size=5),
        st.text("0123456789abz-_:/.$ ", max_size=8).map("'{}'".format),
        st.dates().map(str),
        st.integers().map(str),
        st.floats().map(repr),
    ),
)
@settings(max_examples=300 * int(os.environ.get("SALON_FUZZ", "1")), deadline=None)
def test_any_scalar_that_our_reader_accepts_is_good(kind, spelled):
    name, place = kind
    text = place.replace("@", spelled)
    if our_reader_accepts(name, text):
        try:
            found = complaints(name, text)
        except ValueError:  # PyYAML cannot give `0b_` the type that it sees in it
            reject()
        assert found == [], text


@pytest.mark.parametrize("text", ["", "listen: {port: 9}\n"])
def test_what_the_environment_gives_may_be_left_out_of_gateway_yaml(text):
    given_outside = {
        "SALON_GATEWAY_UPSTREAM__URL": "http://crm.example",
        "SALON_GATEWAY_UPSTREAM__ADAPTER": "a.yaml",
        "SALON_GATEWAY_TOKENS__SECRET": "s",
    }
    parse_settings(text, "gateway.yaml", given_outside, lambda _: "")
    assert complaints("gateway", text) == []


# --- what it is for -------------------------------------------------------------------


def mappings(value, path=()):
    """Every mapping of a file, with its path."""
    if isinstance(value, dict):
        yield path, value
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, found in inner:
        yield from mappings(found, (*path, key))


# Where an owner's own names are keys, any name is good.
FREE = {
    *("resources", "fields", "classes", "facts", "embeds", "names", "query"),
    *("headers", "networks", "salons"),
}


@pytest.mark.parametrize(("name", "file"), SHIPPED)
def test_an_unknown_key_is_refused_wherever_keys_are_known(name, file):
    data = as_an_editor_sees_it((ROOT / file).read_text("utf-8"))
    closed = [found for path, found in mappings(data) if not path or path[-1] not in FREE]
    assert closed
    for found in closed:
        found["tpyo"] = "x"
        assert not VALIDATORS[name].is_valid(data), found
        del found["tpyo"]
    assert VALIDATORS[name].is_valid(data)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hours", f"salons: {{a: {{{SALON}}}}}\n"),  # no `protected`
        ("hours", "salons: {a: {timezone: UTC, weekly: {monday: []}}}\nprotected: []\n"),
        ("hours", "salons: {a: {timezone: UTC, weekly: {mon: [10-19]}}}\nprotected: []\n"),
        ("hours", "salons: {a: {timezone: UTC, weekly: {mon: 10:00-19:00}}}\nprotected: []\n"),
        ("hours", f"salons: {{a: {{{SALON}, closed_dates: [2026/12/31]}}}}\nprotected: []\n"),
        ("hours", f"salons: {{a: {{{SALON}, regular_holidays: [2th mon]}}}}\nprotected: []\n"),
        ("hours", f"salons: {{a: {{{SALON}, grace: {{before: 1441}}}}}}\nprotected: []\n"),
        ("hours", "salons: {}\nprotected: []\nexempt_roles: [manager]\n"),
        ("staff", "staff: [{id: mei}]\n"),
        ("staff", f"staff: [{{id: Mei, {PERSON}}}]\n"),
        ("staff", f"staff: [{{id: mei, {PERSON}, leaves_on: soon}}]\n"),
        ("staff", f"staff: [{{id: mei, {PERSON}, nda_signed: maybe}}]\n"),
        ("staff", f"staff: [{{id: mei, {PERSON}, approved_devices: phone}}]\n"),
        ("staff", "staff: [{id: m, name: M, salons: {}, joined: 2026-01-01}]\n"),
        ("staff", "staff: [{id: m, name: M, salons: {a: [], B: []}, joined: 2026-01-01}]\n"),
        ("staff", "staff: [{id: m, name: M, salons: {a: [stylist]}, joined: 2026-01-01}]\n"),
        ("cases", f"cases: [{{{CASE}}}]\n"),  # no `decision`
        ("cases", f"cases: [{{{CASE}, decision: refuse}}]\n"),
        ("cases", f"cases: [{{{CASE}, decision: deny, reason: closed}}]\n"),
        ("cases", f"cases: [{{{CASE}, decision: allow, hidden: phone}}]\n"),
        ("cases", f"cases: [{{{CASE}, decision: allow, hidden: }}]\n"),
        ("cases", f"cases: [{{{CASE}, decision: allow, record: {{stylist_id: mei}}}}]\n"),
        ("cases", f"cases: [{{{CASE}, decision: allow, roles: [stylist]}}]\n"),
        ("cases", f"cases: [{{{CASE}, decision: allow, app: ''}}]\n"),
        ("cases", "cases: [{says: s, who: mei, what: /c, at: 2026-11-25, decision: deny}]\n"),
        ("cases", "cases: [{says: s, who: mei, what: GET /c, at: noon, decision: deny}]\n"),
        ("gateway", "listen: {port: 65536}\n"),
        ("gateway", "listen: {port: high}\n"),
        ("gateway", "upstream: {url: crm.example}\n"),
        ("gateway", "state: {url: postgres://db.example}\n"),
        ("gateway", "log: yaml\n"),
        ("gateway", "apps: phone\n"),
        ("adapter", "adapter: a\nresources: {}\nroutes: [{match: m, resource: r}]\n"),
        ("adapter", "adapter: a\nresources: {r: {sensitive: maybe}}\nroutes: []\n"),
        ("adapter", "adapter: a\nresources: {r: {facts: [own]}}\nroutes: []\n"),
        ("adapter", "adapter: a\nresources: {r: {salon: {names: {a: b}}}}\nroutes: []\n"),
        ("adapter", "adapter: a\nresources: {r: {salon: {feild: x}}}\nroutes: []\n"),
        ("adapter", "adapter: a\nresources: {r: {embeds: {c: {at: c}}}}\nroutes: []\n"),
        ("adapter", "adapter: a\nresources: {r: {lookup: [GET /c]}}\nroutes: []\n"),
    ],
)
def test_a_slip_is_seen_while_typing(name, text):
    assert complaints(name, text)
    assert not our_reader_accepts(name, text)


EVERY_KEY = """adapter: a
resources:
  client:
    fields: {stylist: stylist_id, shop: shop}
    facts: {own_client: stylist is me}
    salon: {field: shop, names: {12: aoyama}}
    embeds: {parent: client, last: {at: data.last, resource: client}}
    lookup: GET /c/{id}
routes:
  - match: POST /c
    resource: client
    action: merge
    records: data[]
    beside: [count]
    totals: [count]
    ids: ["body:ids[]"]
login:
  credential: cookie:sessionid
  renews: true
  sign_in:
    - {match: POST /login, issues: cookie:sessionid, staff: body:id, by: id, success: [200],
       unless: [error], expires: body:ttl, hours: 12, device: header:X-Device, continues: true,
       who: GET /me}
  refresh:
    - {match: POST /refresh, presents: body:token, issues_refresh: body:token, refresh_hours: 9}
  sign_out:
    - {match: POST /logout, when: form:all is no}
"""


def test_an_adapter_that_uses_every_key_is_good_and_a_slip_in_any_of_them_is_seen():
    assert complaints("adapter", EVERY_KEY) == []
    assert our_reader_accepts("adapter", EVERY_KEY)
    login = (
        *("credential", "renews", "success", "unless", "expires", "hours", "device", "continues"),
        *("presents", "issues_refresh", "refresh_hours", "when", "by", "issues"),
    )
    for key in ("facts", "salon", "names", "embeds", "at", "lookup", "totals", "ids", *login):
        text = EVERY_KEY.replace(f"{key}: ", f"{key}s: ", 1)
        assert complaints("adapter", text), key
        assert not our_reader_accepts("adapter", text), key


def test_weekdays_are_offered_as_keys_and_holidays_as_words():
    salon = schema("hours")["$defs"]["_Salon"]["properties"]
    assert list(salon["weekly"]["properties"]) == list(WEEKDAYS)
    assert {"tue", "3rd mon", "last sun"} <= set(salon["regular_holidays"]["items"]["enum"])


@pytest.mark.parametrize("name", NAMES)
def test_no_default_is_null_which_our_reader_would_take_for_a_text(name):
    assert all(found.get("default", "") is not None for _, found in mappings(schema(name)))
