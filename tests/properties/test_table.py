"""CSV against its slow reference: the same tables are read, nothing hidden stays, bytes stay."""

import os
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.decision import Permit
from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.http import Format
from gateway.domain.obligation import CLOSED, Conjunct, Grant, Residual
from gateway.domain.record import Asker, IsMe, RecordFact
from gateway.domain.resource import UNMAPPED, Field, Resource
from gateway.domain.ruleref import RuleRef
from gateway.masking.csvtext import cell_text, quoted
from gateway.masking.formats import cut_as_steps
from gateway.masking.judge import judge_of
from gateway.masking.plan import build_node, build_plan
from tests.oracles import slow_csv

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
ME = Asker(crm_id="me", today=date(2026, 11, 21))
RULE = RuleRef("salon_rules.csv", 3)
RESIDUALS = {
    "open": Residual(allows=(Conjunct(RULE),)),
    "mine": Residual(allows=(Conjunct(RULE, positive=1),)),
    "others": Residual(allows=(Conjunct(RULE, negative=1),)),
    "closed": CLOSED,
}
LIST = parse_field_path("[]")
# Two fields at one place, one over another, one with everything below it.
FIELDS = {
    "name": "name",
    "alias": "name",
    "phone": "contact.phone",
    "contact": "contact.**",
    "owner": "owner",
}
COLUMNS = {
    "ID": parse_field_path("id"),
    "Name": parse_field_path("name"),
    "Tel": parse_field_path("contact.phone"),
    "Line": parse_field_path("contact.line"),
    "Mine": parse_field_path("owner"),
}
HEADERS = [*COLUMNS, "name", "Note", ".Note", 'N"ote', "N,ote", "美"]
CLIENT = Resource(
    name="client",
    id=parse_field_path("id"),
    fields={n: Field(name=n, paths=(parse_field_path(p),)) for n, p in FIELDS.items()},
    facts=(RecordFact(name="own", field="owner", comparison=IsMe()),),
)

TEXTS = st.sampled_from(["", "me", "you"]) | st.text('a",;\t\\\r\nu0{é😀=', max_size=5)


@st.composite
def permits(draw):
    names = [*FIELDS, UNMAPPED]
    how = {name: RESIDUALS[draw(st.sampled_from(sorted(RESIDUALS)))] for name in names}
    test = RESIDUALS[draw(st.sampled_from(["open", "open", "mine", "others"]))]
    return Permit(
        by=(RULE,),
        depends=True,
        refuses=test is not RESIDUALS["open"],
        hidden=frozenset(name for name in names if how[name] is not RESIDUALS["open"]),
        grants={"aoyama": Grant(test=test, fields={n: (r, CLOSED) for n, r in how.items()})},
    )


@st.composite
def tables(draw):
    """Mostly tables; some of them broken by a few bytes."""
    separator = draw(st.sampled_from(",,;\t"))

    def cell(text):
        bare = not any(c in text for c in separator + '"\r\n') and draw(st.booleans())
        return text if bare else quoted(text).decode()

    names = draw(st.lists(st.sampled_from(HEADERS), min_size=1, max_size=5, unique=True))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    rows = draw(st.lists(st.lists(TEXTS, min_size=len(names), max_size=len(names)), max_size=4))
    text = "".join(separator.join(map(cell, row)) + end for row in [names, *rows])
    body = draw(st.sampled_from(["", "", "\ufeff"])).encode() + text.encode()
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(body)))
        wild = draw(st.sampled_from([b'"', b"\\", b",", b"\r", b"\n", b"\0", b"\xff", b";", b""]))
        body = body[:at] + wild + body[at + draw(st.integers(0, 2)) :]
    return body


def plan_of(permit):
    return build_plan(CLIENT, permit.hidden, records=LIST, depends=True, may_refuse=permit.refuses)


def fast(body, permit):
    judge = judge_of(permit, CLIENT, asker=ME, node_of=lambda h, p: build_node(CLIENT, h, p))
    steps = cut_as_steps(Format.CSV, body, plan_of(permit), judge=judge, columns=COLUMNS)
    try:
        while True:
            next(steps)
    except StopIteration as done:
        return done.value.body
    except UpstreamError:
        return None


def slowly(body, permit):
    try:
        rows = slow_csv.slow_rows(body.decode().removeprefix("\ufeff"))[1]
        # What shows whoever's the record is: a record full of text, its sight with all hidden
        # that is hidden in any.
        whole = Permit(by=(RULE,), hidden=permit.hidden)
        full, names = {}, [slow_csv.said(raw) for raw in rows[0]]
        paths = [COLUMNS[n].steps if n in COLUMNS else ("." + n,) for n in names]
        for path in paths:
            slow_csv.put(full, path, "x")
        shows = slow_csv.slow_record(full, CLIENT, whole, LIST, ME)
        always = {path for path in paths if slow_csv.has(shows, path)}
        return slow_csv.slow_table(body, COLUMNS, CLIENT, permit, LIST, ME, always)
    except (slow_csv.RefusedError, UnicodeDecodeError):
        return None


@settings(max_examples=150 * FUZZ, deadline=None)
@given(tables(), permits())
def test_a_table_is_cut_as_the_slow_reference_cuts_it(body, permit):
    assert fast(body, permit) == slowly(body, permit)


@settings(max_examples=80 * FUZZ, deadline=None)
@given(tables(), permits())
def test_a_cut_table_is_a_table_of_cells_that_were_there(body, permit):
    made = fast(body, permit)
    if made:
        separator, before = slow_csv.slow_rows(body.decode().removeprefix("\ufeff"))
        # Where one column is left, nothing in its header says any more which separator it was.
        header, *rows = slow_csv.slow_rows(made.decode().removeprefix("\ufeff"), separator)[1]
        assert set(header) <= set(before[0])
        cells = {raw for row in before for raw in row}
        assert all(raw in cells or raw == "" for row in rows for raw in row)


@settings(max_examples=300 * FUZZ, deadline=None)
@given(st.text(max_size=8))
def test_quotes_and_their_text_are_one_and_the_same(text):
    assert cell_text(quoted(text)) == text
