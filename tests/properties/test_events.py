"""Server-sent events against their slow reference, in whatever pieces they come."""

import os
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.errors import UpstreamError
from gateway.domain.reason import Reason
from gateway.masking.events import EventCut
from tests.oracles import slow_events

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
PARTS = [b"data", b"event", b"id", b"retry", b":", b": ", b"\n", b"\r", b"\r\n", b"\n\n", b"x",
         b"7", b"{", b"}", b" ", b"data: {}\n\n", b"\xef\xbb\xbf", b"id: 7\n", b": note\n",
         b"data: no\n", b"data: gone\n\n", b"secret: 1\n", b"\xff", b"event: a.b\r"]  # fmt: skip


class NotCutError(UpstreamError):
    def __init__(self):
        super().__init__(Reason.ANSWER_NOT_CUT)


def cut_one(document):
    """Stands for a cut: refuses one document, drops another, changes the rest."""
    if document == b"no":
        raise NotCutError
    return None if document == b"gone" else b"[" + document + b"]"


def read_again(events):
    """What a browser would make of them."""
    return slow_events.slow_events(b"".join(events), lambda document: document)


def fast(chunks):
    stream = EventCut(cut_one)
    try:
        made = [event for chunk in chunks for event in stream.feed(chunk)]
    except UpstreamError:
        return None
    stream.finish()
    return made


def slowly(text):
    try:
        return slow_events.slow_events(text, cut_one)
    except (slow_events.RefusedError, UpstreamError):
        return None


def chunks_of(text, cuts):
    marks = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(marks)]


@settings(max_examples=800 * FUZZ, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=14).map(b"".join), st.lists(st.integers(0, 200)))
@example(b"data: 1\r", [])
def test_a_stream_is_cut_as_the_standard_reads_it_however_it_is_split(text, cuts):
    made = fast(chunks_of(text, cuts))
    wanted = slowly(text)
    assert (made is None) == (wanted is None)
    if made is not None:
        assert read_again(made) == wanted
        assert len(made) == len(wanted)
        assert all(event.endswith(b"\n\n") for event in made)
