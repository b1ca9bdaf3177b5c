"""Records that stay only if they are what was asked for, against the slow reference.

And the cut of large answers: small ones, with every bound set so low that they are large.
"""

import json
import os
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.question import ExactMatch, Recheck
from gateway.domain.reason import Reason
from gateway.masking import cut as cut_module
from gateway.masking import cutter, envelope, leaves, pieces, walk
from gateway.masking.cut import cut, cut_error, cut_steps
from tests.oracles.slow_cut import (
    NoSuchRecordError,
    RefusedError,
    folded,
    parse,
    slow_cut,
    slow_cut_error,
    text_of,
)
from tests.properties.documents import agree
from tests.properties.test_cut_records import ASKER, a_case, cases, finish, records_of

EXAMPLES = 40 * int(os.environ.get("SALON_FUZZ", "1"))
WORDS = ("me", "a", "7", "shi", "AOYAMA", "é", "佐", "<0", "2015-01-31", "e400", "-0", "0", "true")


@contextmanager
def everything_is_large(dice):
    """Bounds that small documents reach."""
    with pytest.MonkeyPatch.context() as patch:
        small = {
            "PIECE": dice.choice((4, 16, 64)),
            "FEW": dice.choice((1, 2, 3)),
            "MAX_MISSES": dice.choice((0, 1, 4)),
            "STRIDE": dice.choice((4, 32)),
            "NEAR": 3,
            "BATCH": 2,
            "SMALL": dice.choice((0, 8)),
            "MANY": dice.choice((1, 3)),
            "EFFORT": dice.choice((0, 3, 1024)),
            "SHORT_BODY": 0,
        }
        for module in (pieces, leaves, cutter, walk, envelope, cut_module):
            for name, value in small.items():
                if hasattr(module, name):
                    patch.setattr(module, name, value)
        yield


def conditions_of(case, dice):
    """One or two conditions, about something that the document holds if possible."""
    names = [*case.resource.fields]
    inside = [
        f"{embed}.{field}"
        for embed, declared in case.resource.embeds.items()
        if declared.resource in case.world
        for field in case.world[declared.resource][0].fields
    ]
    try:
        texts = sorted(texts_in(parse(case.body))) or ["x"]
    except RefusedError:
        texts = ["x"]
    made = []
    for _ in range(dice.choice((1, 1, 2))):
        if dice.random() < 0.3:
            digits = "".join(c for c in folded(dice.choice(texts)) if c in "0123456789")
            made.append(ExactMatch(field=dice.choice(names), digits=digits or "7"))
        else:
            words = []
            for _ in range(dice.choice((0, 1, 1, 2))):
                text = folded(dice.choice((*WORDS, dice.choice(texts))))
                start = dice.randrange(len(text)) if text else 0
                words.append(text[start : start + dice.randrange(1, 6)] or "a")
            made.append(
                Recheck(
                    words=tuple(words),
                    fields=frozenset(n for n in (*names, *inside) if dice.random() < 0.6),
                    everything=dice.random() < 0.4,
                )
            )
    return tuple(made)


def texts_in(value):
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return {text for inner in inside for text in texts_in(inner)}
    return set(text_of(value))


def in_a_list(case):
    return "[]" in case.records.steps


def ask(case, conditions):
    return cut(case.body, case.plan(), **case.judges(), conditions=conditions)


def compare(case, conditions):
    try:
        wanted, slow = slow_cut(
            case.body,
            case.resource,
            case.permit,
            case.records,
            case.beside,
            case.totals,
            case.world,
            ASKER,
            conditions,
        )
    except RefusedError:
        with pytest.raises(UpstreamError, match=Reason.ANSWER_NOT_CUT):
            ask(case, conditions)
    except NoSuchRecordError:
        with pytest.raises(RequestError, match=Reason.NO_SUCH_RECORD):
            ask(case, conditions)
    else:
        agree(ask(case, conditions), wanted, slow)


def asked(seed):
    case = a_case(seed)
    while not in_a_list(case):
        seed += 1
        case = a_case(seed)
    return case


questions = st.integers(0, 2**64).map(asked)
dices = st.randoms(use_true_random=False)


@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(questions, dices)
def test_conditions_and_their_reference_agree(case, dice):
    compare(case, conditions_of(case, dice))


@settings(max_examples=EXAMPLES, deadline=None)
@given(questions, dices)
def test_conditions_and_their_reference_agree_where_everything_is_large(case, dice):
    with everything_is_large(dice):
        compare(case, conditions_of(case, dice))


@settings(max_examples=EXAMPLES, deadline=None)
@given(questions, dices)
def test_every_record_that_stays_shows_each_word(case, dice):
    """Without any reference: look for the words in what is out."""
    asked_for = [c for c in conditions_of(case, dice) if isinstance(c, Recheck)]
    if not asked_for:
        return
    try:
        made = ask(case, tuple(asked_for))
    except (RequestError, UpstreamError):
        return
    for record in records_of(parse(made.body), case.records.steps):
        shown = [folded(text) for text in texts_in(record)]
        for condition in asked_for:
            assert all(any(word in text for text in shown) for word in condition.words)


@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(cases, dices)
def test_a_large_answer_is_cut_like_a_small_one(case, dice):
    with everything_is_large(dice):
        compare(case, ())


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases, dices, st.data())
def test_a_large_damaged_answer_is_refused_like_a_small_one(case, dice, data):
    at = data.draw(st.integers(0, len(case.body)))
    junk = data.draw(st.sampled_from((b"", b",", b"}", b"]", b"{", b'"', b" ", b"},{", b"],[")))
    broken = case.body[:at] + junk + case.body[at + data.draw(st.integers(0, 2)) :]
    with everything_is_large(dice):
        compare(replace(case, body=broken), ())


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases, dices)
def test_a_large_error_body_is_cut_like_a_small_one(case, dice):
    wanted, slow = slow_cut_error(case.body, case.resource, case.permit, case.world)
    with everything_is_large(dice):
        made = cut_error(case.body, case.plan(), judges=case.judges()["judges"])
    if wanted is None:
        assert made.body == b""
    else:
        agree(made, wanted, slow)


def outcome(make):
    """A cut, or why there is none."""
    try:
        made = make()
    except (RequestError, UpstreamError) as error:
        return type(error), error.reason, error.cause, error.note
    assert json.loads(made.body) is not None
    return made


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(cases, dices)
def test_the_steps_end_in_the_same_cut(case, dice):
    how = case.judges() | {"conditions": conditions_of(case, dice) if in_a_list(case) else ()}
    at_once = outcome(lambda: cut(case.body, case.plan(), **how))
    assert outcome(lambda: finish(cut_steps(case.body, case.plan(), **how))) == at_once
