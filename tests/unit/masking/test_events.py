"""A stream of events: what goes out is what was understood."""

import pytest

from gateway.domain.errors import UpstreamError
from gateway.domain.reason import Reason
from gateway.masking.events import MAX_EVENT_BYTES, EventCut


def shout(document):
    """Stands for a cut that can be seen."""
    return None if document == b'"gone"' else document.upper()


def cut_stream(*chunks):
    stream = EventCut(shout)
    made = [event for chunk in chunks for event in stream.feed(chunk)]
    stream.finish()
    return b"".join(made)


def refused(*chunks):
    with pytest.raises(UpstreamError) as caught:
        cut_stream(*chunks)
    return caught.value.reason is Reason.ANSWER_NOT_CUT


def test_an_event_goes_out_with_its_data_cut():
    made = cut_stream(b'event: client.updated\nid: 7-a\nretry: 300\ndata: {"a":1}\n\n')
    assert made == b'event: client.updated\nid: 7-a\nretry: 300\ndata: {"A":1}\n\n'


def test_lines_end_in_any_of_three_ways():
    assert (
        cut_stream(b"data:1\r\rdata:2\n\ndata:3\r\n\r\n") == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"
    )


def test_an_event_is_out_as_soon_as_its_empty_line_has_come():
    stream = EventCut(shout)
    assert stream.feed(b"data:1\r") == []
    assert stream.feed(b"\r") == [b"data: 1\n\n"]
    assert stream.feed(b"") == []
    assert stream.feed(b"\ndata:2\r\n\r") == [b"data: 2\n\n"]
    assert stream.feed(b"\ndata:3\n\n") == [b"data: 3\n\n"]


def test_lines_of_data_are_one_document():
    assert cut_stream(b"data: [1,\ndata: 2]\n\n") == b"data: [1,\ndata: 2]\n\n"


def test_an_event_whose_record_may_not_be_seen_leaves_with_its_id():
    assert cut_stream(b'id: 3\ndata: "gone"\n\ndata: 1\n\n') == b"data: 1\n\n"


def test_what_stands_after_the_last_empty_line_is_no_event():
    assert cut_stream(b"data: 1\n\ndata: 2\n") == b"data: 1\n\n"


def test_comments_lose_their_text_and_unknown_fields_leave():
    assert cut_stream(b": client 7 called\n\n") == b":\n\n"
    assert cut_stream(b": text\nphone: 090\ndata: 1\n\n") == b"data: 1\n\n"
    assert cut_stream(b"phone: 090\n\n") == b""
    assert cut_stream(b"\n\n\r\r") == b""


def test_one_blank_after_the_colon_belongs_to_it():
    assert cut_stream(b"data:  1\n\n") == b"data:  1\n\n"
    assert refused(b"event:  x\ndata: 1\n\n")


def test_a_field_without_a_colon_is_an_empty_one():
    assert cut_stream(b"event\ndata\n\n") == b"event: \ndata: \n\n"


def test_empty_data_has_nothing_to_cut_but_empty_lines_are_no_document_either():
    assert cut_stream(b"event: ping\ndata:\n\n") == b"event: ping\ndata: \n\n"


def test_of_fields_that_stand_twice_the_last_one_counts():
    assert cut_stream(b"event: a\nevent: b\nid: 1\nid: 2\ndata: 1\n\n") == (
        b"event: b\nid: 2\ndata: 1\n\n"
    )


def test_an_id_without_data_still_moves_the_browsers_place_in_the_stream():
    assert cut_stream(b"id: 9\n\n") == b"id: 9\n\n"


def test_a_retry_that_is_no_number_has_no_effect():
    assert cut_stream(b"retry: 1x\nretry: \nretry: -1\ndata: 1\n\n") == b"data: 1\n\n"


@pytest.mark.parametrize(
    "line",
    [b"event: a b", b"event: \xe7\xbe\x8e", b"event: a@b", b"event: " + b"a" * 65, b"id: a b",
     b"id: a.b", b"id: \x00", b"id: a@b", b"id: " + b"1" * 65],
)  # fmt: skip
def test_an_event_or_id_that_is_no_plain_word_ends_the_stream(line):
    assert refused(line + b"\ndata: 1\n\n")
    assert refused(line + b"\n")


def test_a_byte_order_mark_may_stand_first_and_only_there():
    assert cut_stream(b"\xef", b"\xbb\xbfdata: 1\n\n") == b"data: 1\n\n"
    assert cut_stream(b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n") == b"data: 1\n\n"


def test_an_event_is_bounded_however_it_comes():
    assert cut_stream(b"data: " + b"1" * (MAX_EVENT_BYTES - 8) + b"\n", b"\n")
    assert refused(b"data: " + b"1" * MAX_EVENT_BYTES)
    assert refused(*[b"data: " + b"1" * 1_000 + b"\n"] * 1_100)
    assert refused(*[b":\n"] * 600_000)


def test_one_that_has_refused_refuses_what_follows_and_so_does_one_that_has_finished():
    stream = EventCut(shout)
    with pytest.raises(UpstreamError):
        stream.feed(b"id: a b\n\n")
    with pytest.raises(UpstreamError):
        stream.feed(b"data: 1\n\n")
    ended = EventCut(shout)
    ended.finish()
    with pytest.raises(UpstreamError):
        ended.feed(b"data: 1\n\n")


def test_what_the_cut_raises_ends_the_stream():
    def breaks(_):
        raise UpstreamError(Reason.ANSWER_NOT_CUT)

    stream = EventCut(breaks)
    for _ in range(2):
        with pytest.raises(UpstreamError):
            stream.feed(b"data: 1\n\n")
