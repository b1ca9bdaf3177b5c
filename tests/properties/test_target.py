"""The target reader against a slow one, and what is true of everything it accepts."""

import os
import unicodedata
from urllib.parse import unquote, unquote_plus

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import RequestError
from gateway.domain.http import METHOD_OVERRIDES, CanonicalTarget, Inbound
from gateway.domain.reason import Reason
from gateway.mapping.guard import WireLimits, guard
from gateway.mapping.target import (
    canonical,
    is_parameter_name,
    is_segment,
    linked_target,
    wire_of,
)
from tests.oracles.slow_target import read

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))

# Pieces in which decoders are known to differ, and enough ordinary ones between them.
# fmt: off
PIECES = [
    "a", "7", "B", "-", "_", ".", "..", "~", "/", "/", "//", "?", "&", "=", "#", ";", ":", "@",
    "!", "$", "'", "(", ")", "*", ",", "+", "[", "]", "{", "|", "\\", '"', "<", ">", "^", "`",
    " ", "\t", "\n", "\x00", "\x7f", "é", "．", "\u2028", "\ud800", "%", "%%", "%4", "%zz",
    "%u0041",
    "%2e", "%2E", "%2f", "%5C", "%25", "%252e", "%41", "%7a", "%30", "%2D", "%5f", "%7E", "%20",
    "%2B", "%2b", "%26", "%3D", "%3b", "%3F", "%23", "%40", "%21", "%27", "%2A", "%5B", "%5d",
    "%22", "%3C", "%60", "%7B", "%7C", "%00", "%0A", "%0d", "%09", "%1f", "%7F", "%C2%85",
    "%E2%80%A8", "%E2%80%AE", "%EF%BB%BF", "%C2%A0", "%C3%A9", "%c3%a9", "e%CC%81", "%CC%81",
    "%C0%AE", "%E0%80%AF", "%ED%A0%80", "%F4%90%80%80", "%FF", "%C3", "%EF%BC%8E", "%EF%BC%8F",
    "%E2%84%80", "%E2%88%95", "%C2%A5", "%E2%82%A9", "%E3%83%BB", "%E1%85%9F", "%EF%B8%8F", "~1",
    ":$", "[]", "_method", "X-HTTP-Method-Override",
    "%E7%BE%8E%E5%92%B2", "%EB%AF%BC%EC%A7%80", "%D0%9E%D0%BA%D1%81",
]
# fmt: on
ORDINARY = st.sampled_from(["a", "7", "Z", "-", "%C3%A9", "%20", "%2B", "~", ".", "@", "%40"])
NOISE = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
NEARLY = st.builds(
    lambda before, piece, after, end: f"/api/{before}{piece}{after}{end}",
    st.lists(ORDINARY, max_size=3).map("".join),
    st.sampled_from(PIECES),
    st.lists(ORDINARY, max_size=3).map("".join),
    st.sampled_from(["", "", "/", "//", "/?a", "?a"]),
)
ASKING = st.builds(
    lambda name, value, more: f"/x?{name}={value}{more}",
    st.lists(st.one_of(ORDINARY, st.sampled_from(PIECES)), max_size=3).map("".join),
    st.lists(st.one_of(ORDINARY, st.sampled_from(PIECES)), max_size=3).map("".join),
    st.sampled_from(
        [
            "",
            "&",
            "&b[]=1",
            "&b=[1]",
            "&_Method=PUT",
            "/",
            "&b=1",
            "&b",
            "&=1",
            "&a=1&a=2",
            "&b=%41",
            "&%62=1",
        ]
    ),
)
TARGETS = st.one_of(NOISE.map(lambda text: f"/{text}"), NEARLY, ASKING, st.text(max_size=12))
# Most characters are ASCII, or few examples would be accepted.
PLAIN = st.text(st.sampled_from("aZ09-_~ .+&=:@[](é美민Ж!"), min_size=1, max_size=6)


def accept(target: str) -> CanonicalTarget | None:
    inbound = Inbound(
        method="GET",
        target=target,
        version="1.1",
        headers=(("Host", "salon.example"),),
        peer="192.0.2.7",
        secure=True,
    )
    guarded = guard(inbound, WireLimits())
    try:
        return canonical(guarded)
    except RequestError as error:
        if error.reason is Reason.AMBIGUOUS_TARGET:
            return None
        raise


@settings(max_examples=800 * FUZZ, deadline=None)
@given(TARGETS)
def test_it_accepts_and_decodes_as_the_slow_reading_of_the_rule_does(target: str):
    expected = read(target)
    found = accept(target)
    assert (found and (found.segments, found.query, found.slash)) == expected


@settings(max_examples=800 * FUZZ, deadline=None)
@given(TARGETS)
def test_what_is_accepted_stays_harmless_under_more_decoding(target: str):
    found = accept(target)
    if found is None:
        return
    assert found.wire == target
    assert found.path == target.partition("?")[0]
    for segment in found.segments:
        for reading in (
            segment,
            unquote(segment),
            unquote(unquote(segment)),
            unquote_plus(segment),
            unicodedata.normalize("NFKC", segment),
        ):
            assert reading.rstrip(". ") not in {"", ".", ".."}
            assert not set(reading) & set("/\\%;?#&")
            assert all(unicodedata.category(char) != "Cc" for char in reading)
    for name, value in found.query:
        assert name
        assert not set(name) & set("/\\%;?#&=+ ")
        assert name.lower() not in METHOD_OVERRIDES
        assert all(unicodedata.category(char) != "Cc" for char in name + value)


@settings(max_examples=800 * FUZZ, deadline=None)
@given(TARGETS)
def test_encoding_undoes_decoding(target: str):
    found = accept(target)
    if found is None:
        return
    rebuilt = wire_of(found.segments, found.query, slash=found.slash)
    again = accept(rebuilt)
    assert again is not None
    assert (again.segments, again.query, again.slash) == (
        found.segments,
        found.query,
        found.slash,
    )
    assert wire_of(again.segments, again.query, slash=again.slash) == rebuilt
    assert linked_target(f"{target}#part") == found


@settings(max_examples=400 * FUZZ, deadline=None)
@given(st.lists(PLAIN, max_size=4), st.lists(st.tuples(PLAIN, PLAIN), max_size=3))
def test_what_could_arrive_arrives_and_the_rest_is_refused(
    segments: list[str], pairs: list[tuple[str, str]]
):
    deliverable = all(map(is_segment, segments)) and all(is_parameter_name(n) for n, _ in pairs)
    found = accept(wire_of(tuple(segments), tuple(pairs)))
    assert (found is not None) == deliverable
    if found is not None:
        assert (list(found.segments), list(found.query)) == (segments, pairs)
