import pytest

from gateway.domain.errors import RequestError
from gateway.domain.http import CanonicalTarget, Inbound
from gateway.domain.reason import Reason
from gateway.mapping.guard import WireLimits, guard
from gateway.mapping.target import canonical, is_parameter_name, is_segment, wire_of


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


def test_a_name_with_brackets_must_be_encoded():
    assert read("/x?filter%5Bname%5D=a").query == (("filter[name]", "a"),)
    assert refused("/x?filter[name]=a")


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


@pytest.mark.parametrize("query", ["", "a", "&a=1", "a=1&", "a=1&&b=2", "=1", "a=1&b", "%20a=1"])
def test_every_parameter_has_a_name_and_a_value(query):
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
