"""The cut where it depends on the record, against its slow reference, and its theorems."""

import json
import os
import re
from dataclasses import dataclass
from datetime import date

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.decision import Permit
from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.fieldpath import FieldPath
from gateway.domain.reason import Cause, Reason
from gateway.domain.record import Asker
from gateway.domain.resource import Resource
from gateway.masking.cut import cut, cut_error
from gateway.masking.envelope import RecordRefusedError, answer_steps
from gateway.masking.facts import FactReader
from gateway.masking.judge import judge_of
from gateway.masking.plan import build_node, build_plan
from gateway.masking.walk import Walk
from tests.oracles.slow_cut import (
    NoSuchRecordError,
    RefusedError,
    parse,
    slow_cut,
    slow_cut_error,
)
from tests.oracles.slow_records import plain, slow_hidden, slow_state
from tests.properties.documents import KINDS, WIRE, Writer, agree

EXAMPLES = 60 * int(os.environ.get("SALON_FUZZ", "1"))
ASKER = Asker(crm_id="me", today=date(2026, 11, 21))
# The one part of a scalar that no other scalar of the document has.
MARKER = re.compile(rb"<\d{4,}>|-0\.\d{5,}|9\d{22}|1\.0\d{5,}e400")


@dataclass
class Case:
    resource: Resource
    permit: Permit
    world: dict
    records: FieldPath
    beside: frozenset
    totals: frozenset
    body: bytes

    def plan(self):
        return build_plan(
            self.resource,
            self.permit.hidden,
            records=self.records,
            beside=self.beside,
            page_totals=self.totals,
            depends=self.permit.depends,
            may_refuse=self.permit.refuses,
        )

    def judges(self):
        inside = {name: a_judge(*known) for name, known in self.world.items()}
        return {"judge": a_judge(self.resource, self.permit), "judges": inside}

    def cut(self, body=None):
        return cut(self.body if body is None else body, self.plan(), **self.judges())

    def slowly(self, body=None):
        return slow_cut(
            self.body if body is None else body,
            self.resource,
            self.permit,
            self.records,
            self.beside,
            self.totals,
            self.world,
            ASKER,
        )


def a_judge(resource, permit):
    def node_of(hidden, prefix):
        return built.setdefault((hidden, prefix), None) or build_node(resource, hidden, prefix)

    built = {}
    return judge_of(permit, resource, asker=ASKER, node_of=node_of)


def a_case(seed):
    writer = Writer(seed, telling=(seed % 5) / 10)
    known = {name: writer.told(writer.resource(name)) for name in KINDS}
    world = {
        name: (resource, writer.permit(resource))
        for name, resource in known.items()
        if writer.dice.random() < 0.7
    }
    where = writer.dice.choice(WIRE)
    body = writer.space() + writer.answer(where) + writer.space()
    return Case(
        resource=known["client"],
        permit=writer.permit(known["client"]),
        world=world,
        records=FieldPath(where),
        beside=writer.some(("total", "next")),
        totals=writer.some(("total", "next")),
        body=body.encode(),
    )


cases = st.integers(0, 2**64).map(a_case)


def compare(case, body):
    try:
        wanted, slow = case.slowly(body)
    except RefusedError:
        with pytest.raises(UpstreamError, match=Reason.ANSWER_NOT_CUT):
            case.cut(body)
    except NoSuchRecordError:
        with pytest.raises(RequestError, match=Reason.NO_SUCH_RECORD) as caught:
            case.cut(body)
        assert caught.value.cause is Cause.RECORD_REFUSED
    else:
        agree(case.cut(body), wanted, slow)


@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(cases)
def test_the_judged_cut_and_its_reference_agree(case):
    compare(case, case.body)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases)
def test_error_bodies_and_their_reference_agree(case):
    wanted, slow = slow_cut_error(case.body, case.resource, case.permit, case.world)
    made = cut_error(case.body, case.plan(), judges=case.judges()["judges"])
    if wanted is None:
        assert made.body == b""
    else:
        agree(made, wanted, slow)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases)
def test_a_quick_cut_is_what_a_careful_one_would_be(case):
    careful = Walk(case.plan(), careful=True, **case.judges())
    try:
        made = case.cut()
    except RequestError:
        with pytest.raises(RecordRefusedError):
            finish(answer_steps(careful, case.body))
    except UpstreamError:
        pass
    else:
        assert made.body == finish(answer_steps(careful, case.body))
        total = careful.counts.total()
        assert (made.dropped, made.hidden_fields, made.shown_fields) == total


def finish(steps):
    """What a generator returns in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def records_of(value, steps):
    """Every record of an answer, as parsed."""
    if not steps:
        return [value]
    if steps[0] == "[]":
        return [record for item in value for record in records_of(item, steps[1:])]
    return records_of(value[steps[0]], steps[1:])


def scalars(value):
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return {scalar for inner in inside for scalar in scalars(inner)}
    return set(MARKER.findall(value.encode())) if isinstance(value, str) else set()


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases)
def test_nothing_of_a_refused_record_remains(case):
    """Without the slow cut: find the refused records, look for their values in what is out."""
    try:
        made = case.cut()
    except (RequestError, UpstreamError):
        return
    kept, gone = set(), set()
    lost = 0
    for record in records_of(parse(case.body), case.records.steps):
        state = slow_state(plain(record), case.resource, ASKER)
        refused = slow_hidden(case.permit, state) is None
        lost += refused
        (gone if refused else kept).update(scalars(record))
    assert made.refused == lost
    assert not (gone - kept) & set(MARKER.findall(made.body))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases)
def test_the_numbers_beside_do_not_tell_whether_a_record_was_lost(case):
    """Take the refused records out beforehand: the answer is byte for byte the same."""
    try:
        made = case.cut()
        document = json.loads(case.body)
    except (RequestError, UpstreamError, ValueError):
        return
    if not case.records.steps or case.records.steps[-1] != "[]" or not case.permit.depends:
        return
    spelled = parse(case.body)
    _without_refused(document, spelled, case.records.steps, case)
    fewer = json.dumps(_spelled(spelled)).encode()
    again = case.cut(_unquote(fewer))
    assert again.refused == 0
    assert (again.records, again.dropped) == (made.records, made.dropped)
    assert again.shown_fields == made.shown_fields
    assert _spelled(parse(again.body)) == _spelled(parse(made.body))


def _without_refused(document, spelled, steps, case):
    if steps == ("[]",):
        spelled[:] = [
            record
            for record in spelled
            if slow_hidden(case.permit, slow_state(plain(record), case.resource, ASKER))
            is not None
        ]
    elif steps[0] == "[]":
        for item, text in zip(document, spelled, strict=True):
            _without_refused(item, text, steps[1:], case)
    else:
        _without_refused(document[steps[0]], spelled[steps[0]], steps[1:], case)


def _spelled(value):
    """The document with every scalar's text wrapped, so that `json.dumps` keeps it."""
    if isinstance(value, dict):
        return {name: _spelled(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_spelled(inner) for inner in value]
    return f"\u0001{value}\u0002" if isinstance(value, str) else value


def _unquote(text):
    found = re.compile(r'"\\u0001((?:[^"\\]|\\.)*?)\\u0002"')
    return found.sub(lambda hit: json.loads(f'"{hit[1]}"'), text.decode()).encode()


# -- facts -----------------------------------------------------------------------------------

_split = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@st.composite
def told_records(draw):
    seed = draw(st.integers(0, 2**64))
    writer = Writer(seed, telling=0.7)
    resource = writer.told(writer.resource())
    records = [writer.object(3) for _ in range(4)]
    asks = draw(st.integers(0, 7))
    return resource, records, asks, draw(st.booleans())


@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(told_records())
def test_facts_are_read_alike_by_reference_and_from_bytes_and_from_parsed_json(told):
    resource, records, asks, salon = told
    reader = FactReader(resource, ASKER, asks=asks, salon=salon)
    for text in records * 2:  # the second time from memory
        state = reader.state(_split(text.encode()))
        where, facts = slow_state(plain(parse(text.encode())), resource, ASKER)
        assert state.salon == (where if salon else None)
        for number, known in facts.items():
            asked = asks >> number & 1
            assert bool(state.true >> number & 1) == bool(asked and known is True)
            assert bool(state.false >> number & 1) == bool(asked and known is False)
        if "e400" not in text:  # such a number is no JSON for a reader of values
            assert reader.read_state(json.loads(text)) == state
