from urllib.parse import quote

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.http import CanonicalTarget, Inbound
from gateway.domain.reason import Reason
from gateway.mapping.guard import WireLimits, guard
from gateway.mapping.target import (
    canonical,
    is_parameter_name,
    is_segment,
    linked_target,
    own_target,
    wire_of,
)


def read(target: str) -> CanonicalTarget:
    inbound = Inbound(
        method="GET",
        target=target,
        version="1.1",
        headers=(("Host", "salon.example"),),
        peer="192.0.2.7",
        secure=True,
    )
    return canonical(guard(inbound, WireLimits()))


def refused(target: str) -> bool:
    with pytest.raises(RequestError) as caught:
        read(target)
    assert caught.value.reason is Reason.AMBIGUOUS_TARGET
    return True


def test_the_root_has_no_segments():
    target = read("/")
    assert (target.path, target.segments, target.query, target.wire) == ("/", (), (), "/")


def test_a_path_is_decoded_once_and_kept_as_it_came():
    target = read("/assets/my%20logo%e7%be%8e.png?v=1")
    assert target.segments == ("assets", "my logo美.png")
    assert target.path == "/assets/my%20logo%e7%be%8e.png"
    assert target.wire == "/assets/my%20logo%e7%be%8e.png?v=1"


def test_hex_digits_count_in_either_case():
    assert read("/%C3%A9").segments == read("/%c3%a9").segments == ("é",)


def test_reserved_characters_stand_raw_or_encoded_as_browsers_send_them():
    assert read("/a:b@c,d=e").segments == read("/a%3Ab%40c%2Cd%3De").segments == ("a:b@c,d=e",)


def test_a_query_is_pairs_in_order():
    assert read("/x?b=2&a=1&b=3").query == (("b", "2"), ("a", "1"), ("b", "3"))


def test_a_plus_is_a_space_in_a_value_and_an_encoded_plus_is_a_plus():
    assert read("/x?q=a+b%2Bc%20d").query == (("q", "a+b+c d".replace("+", " ", 1)),)


def test_a_value_is_text_in_any_script_with_any_printable_mark():
    wire = "/x?q=%E7%BE%8E%E5%92%B2%26%3D%23%3B%25%2F%5B%22%7E&c=abc=="
    assert read(wire).query == (("q", '美咲&=#;%/["~'), ("c", "abc=="))


def test_an_empty_value_is_a_value():
    assert read("/x?q=").query == (("q", ""),)


def test_brackets_stand_raw_or_encoded_as_programs_send_them():
    query = (("filter[name]", "a"), ("ids[]", "[1]"))
    assert read("/x?filter%5Bname%5D=a&ids%5B%5D=%5B1%5D").query == query
    assert read("/x?filter[name]=a&ids[]=[1]").query == query
    assert refused("/a[0]")


def test_a_name_without_a_value_has_an_empty_one():
    assert read("/x?v").query == (("v", ""),)
    target = read("/x?a=1&v")
    assert target.query == (("a", "1"), ("v", ""))
    assert target.wire == "/x?a=1&v"


def test_one_trailing_slash_is_told_apart_and_never_that_of_the_root():
    assert (read("/a/").segments, read("/a/").slash, read("/a/").wire) == (("a",), True, "/a/")
    assert not read("/a").slash
    assert not read("/").slash
    assert read("/a/?b=1").slash
    assert refused("//")
    assert refused("/a//")


def test_what_else_a_segment_might_be_to_somebody_is_refused():
    assert refused("/a&b=c")  # a second parameter, once it is rewritten into a query
    assert refused("/a%26b")
    assert refused("/private::$DATA")
    assert refused("/private:$I30:$INDEX_ALLOCATION")
    assert refused("/PRIVAT~1")
    assert read("/~ann").segments == ("~ann",)


@pytest.mark.parametrize("symbol", ["∕", "¥", "₩", "∖", "‘", "。", "\u115f", "\ufe0f", "\u034f"])
def test_beyond_ascii_a_segment_and_a_name_hold_letters_marks_and_numbers(symbol):
    assert refused(f"/a{quote(symbol)}b")
    assert refused(f"/x?a{quote(symbol)}b=1")
    assert read(f"/x?q={quote(symbol)}").query == (("q", symbol),)


def test_names_are_written_in_any_script():
    for name in ("メニュー・料金", "손님", "клієнти", "नमस्ते", "café"):
        assert read(f"/{quote(name)}?{quote(name)}=1").segments == (name,)


@pytest.mark.parametrize("name", ["_method", "_Method", "X-HTTP-Method-Override", "_HttpMethod"])
def test_a_parameter_that_replaces_the_method_is_refused(name):
    assert refused(f"/x?a=1&{name}=DELETE")
    assert refused(f"/x?{name}")
    assert not is_parameter_name(name)


def test_a_link_is_read_like_a_request_or_leads_nowhere():
    found = linked_target("/api/clients/?page=2#top")
    assert found is not None
    assert (found.segments, found.query, found.slash) == (
        ("api", "clients"),
        (("page", "2"),),
        True,
    )
    for text in ("", "x", "//evil.example/", "/../a", "http://crm.example/", "/a" * 4000, "/%"):
        assert linked_target(text) is None


def test_the_gateway_s_own_target_may_end_with_a_slash():
    target = own_target(("api", "客"), slash=True)
    assert (target.wire, target.slash) == ("/api/%E5%AE%A2/", True)
    assert own_target((), slash=True).wire == "/"


def test_a_letter_has_one_spelling_everywhere():
    assert refused("/%61pi")
    assert refused("/x?em%61il=a")
    assert refused("/x?sort=em%61il")


def test_a_tilde_is_encoded_by_forms_in_values_only():
    assert read("/x?q=%7Ea").query == (("q", "~a"),)
    assert refused("/x?%7Ea=1")
    assert refused("/%7Ea")


def test_a_raw_plus_in_a_path_is_ambiguous_and_an_encoded_one_is_not():
    assert refused("/a+b")
    assert read("/a%2Bb").segments == ("a+b",)


@pytest.mark.parametrize("query", ["", "&a=1", "a=1&", "a=1&&b=2", "=1", "=", "%20a=1"])
def test_every_parameter_has_a_name(query):
    assert refused(f"/x?{query}")


@pytest.mark.parametrize("code", ["0A", "7F", "C2%85", "E2%80%A8", "E2%80%A9"])
def test_a_value_has_no_line_breaks_or_controls(code):
    assert refused(f"/x?q=a%{code}b")


def test_the_plainest_spelling_is_its_own_rebuilding():
    for wire in ("/", "/api/clients/7", "/assets/a%20b?q=a%20b%2B%25&sort=-name"):
        target = read(wire)
        assert wire_of(target.segments, target.query) == wire


def test_it_says_which_segments_and_names_can_arrive():
    assert is_segment("clients")
    assert is_segment("顧客")
    assert not any(
        map(is_segment, ("", ".", "..", "a/b", "a%20", "a;b", "a?", "．", "\ud800", "a\n"))
    )
    assert is_parameter_name("filter[name]")
    assert not any(map(is_parameter_name, ("", "a b", "a=b", "a&b", "a%5B", "\ud800")))
