from dataclasses import replace

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.question import ExactMatch, Recheck
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED, Embed, Field, Resource
from gateway.mapping.parameters import Capped, Exact, Named, Plain, Searches, field_named
from gateway.mapping.query import asked_as, require_answerable
from gateway.mapping.routes import Route, RouteKind, RouteMatch


def a_resource(*, sensitive: bool = True, **paths: str) -> Resource:
    paths = paths or {"name": "name", "phone": "phone contact.phone", "stylist": "stylist_id"}
    return Resource(
        name="client",
        sensitive=sensitive,
        id=parse_field_path("id"),
        fields={
            name: Field(name=name, paths=tuple(map(parse_field_path, text.split())))
            for name, text in paths.items()
        },
    )


def a_route(resource: Resource) -> Route:
    return Route(
        method="GET",
        template="GET /clients",
        kind=RouteKind.RULED,
        resource=resource,
        action="list",
        query={
            "page": Plain(),
            "order": Plain(one_of=frozenset({"asc", "desc"})),
            "per_page": Capped(max=50),
            "sort": field_named(resource),
            "q": Searches(fields=frozenset({"name", "phone"})),
            "all": Searches(fields=frozenset({"name", UNMAPPED})),
        },
    )


CARD = a_route(a_resource())
OPEN = a_route(a_resource(sensitive=False))


def asked(*pairs: tuple[str, str], hidden: set[str] | None = None, route: Route = CARD):
    try:
        require_answerable(route, pairs, frozenset(hidden or ()))
    except RequestError as error:
        return error.reason
    return None


def test_a_question_about_what_one_may_see_is_answerable():
    pairs = (("page", "anything"), ("per_page", "50"), ("sort", "-name,id"), ("q", "mei"))
    assert asked(*pairs) is None
    assert asked() is None


@pytest.mark.parametrize("name", ["email", "Sort", "sort ", "SORT", "sort[]", "_method"])
def test_an_unknown_parameter_of_a_sensitive_resource_is_refused(name):
    assert asked((name, "name")) is Reason.UNKNOWN_PARAMETER


def test_a_parameter_that_stands_twice_is_refused():
    assert asked(("sort", "name"), ("sort", "name")) is Reason.PARAMETER_INVALID
    assert asked(("sort", "name"), ("sort", "name"), route=OPEN) is Reason.PARAMETER_INVALID


@pytest.mark.parametrize("value", ["0", "7", "50"])
def test_a_number_within_its_cap_is_answerable(value):
    assert asked(("per_page", value)) is None


@pytest.mark.parametrize(
    "value", ["51", "", "-1", "+5", " 5", "5 ", "05", "5.0", "1e1", "0x5", "٥", "５", "9" * 5000]
)
def test_a_number_beyond_its_cap_or_in_another_spelling_is_refused(value):
    assert asked(("per_page", value)) is Reason.PARAMETER_INVALID


def test_one_of_some_words_takes_those_words_only():
    assert asked(("order", "desc")) is None
    assert asked(("order", "DESC")) is Reason.PARAMETER_INVALID
    assert asked(("order", "")) is Reason.PARAMETER_INVALID


@pytest.mark.parametrize(
    "value",
    ["phone", "-phone", "name,phone", "contact.phone", "PHONE", "-Contact.Phone", "name,-phone"],
)
def test_sorting_by_a_hidden_field_is_refused_under_every_name_it_has(value):
    assert asked(("sort", value), hidden={"phone"}) is Reason.HIDDEN_FIELD_ASKED
    assert asked(("sort", value)) is None


@pytest.mark.parametrize(
    "value", ["phone_e164", "contact", "phone asc", "--name", "name,", "client.name", "name:asc"]
)
def test_an_unknown_sort_key_is_refused_as_soon_as_anything_is_hidden(value):
    assert asked(("sort", value), hidden={"phone"}) is Reason.HIDDEN_FIELD_ASKED
    assert asked(("sort", value), hidden={UNMAPPED}) is Reason.HIDDEN_FIELD_ASKED
    assert asked(("sort", value)) is None


def test_the_record_id_and_no_field_at_all_may_always_be_sorted_by():
    hidden = {"name", "phone", "stylist", UNMAPPED}
    assert asked(("sort", "-id"), hidden=hidden) is None
    assert asked(("sort", ""), hidden=hidden) is None


def test_a_member_name_that_means_two_fields_is_refused_if_either_is_hidden():
    crossed = a_route(a_resource(phone="mobile", mobile="phone"))
    assert asked(("sort", "phone"), hidden={"mobile"}, route=crossed) is Reason.HIDDEN_FIELD_ASKED
    assert asked(("sort", "phone"), hidden={"phone"}, route=crossed) is Reason.HIDDEN_FIELD_ASKED


def test_a_field_called_id_is_not_the_record_id():
    other = a_route(a_resource(id="national_id"))
    assert asked(("sort", "id"), hidden={"id"}, route=other) is Reason.HIDDEN_FIELD_ASKED


def test_items_and_subtrees_are_sorted_by_their_member_s_name():
    route = a_route(a_resource(tag="tags[]", history="history.**"))
    assert asked(("sort", "tags"), hidden={"tag"}, route=route) is Reason.HIDDEN_FIELD_ASKED
    assert asked(("sort", "history"), hidden={"tag"}, route=route) is None
    assert asked(("sort", "tags"), hidden={"history"}, route=route) is None


@pytest.mark.parametrize("value", ["mei", "", "x"])
def test_searching_a_hidden_field_is_refused_whatever_is_searched_for(value):
    assert asked(("q", value), hidden={"phone"}) is Reason.HIDDEN_FIELD_ASKED
    assert asked(("q", value), hidden={"stylist"}) is None
    assert asked(("all", value), hidden={UNMAPPED}) is Reason.HIDDEN_FIELD_ASKED


def test_unknown_parameters_pass_where_nothing_is_sensitive_or_hidden():
    assert asked(("v", "1"), ("v", "2"), route=OPEN) is None
    assert asked(("v", "1"), route=OPEN, hidden={UNMAPPED}) is None
    assert asked(("all", "x"), ("sort", "x"), route=OPEN, hidden={UNMAPPED}) is None


def test_a_hidden_field_closes_a_resource_that_is_not_sensitive():
    assert asked(("phone", "1"), route=OPEN, hidden={"phone"}) is Reason.UNKNOWN_PARAMETER
    assert asked(("q", "1"), route=OPEN, hidden={"phone"}) is Reason.HIDDEN_FIELD_ASKED
    assert asked(("per_page", "51"), route=OPEN) is Reason.PARAMETER_INVALID


def test_look_alikes_and_method_overrides_are_refused_everywhere():
    for name in (
        "Per_Page", "SORT", "sort[]", "sort[0]", " sort", "per.page", "per page", "per[page",
        "_method", "_METHOD", "_method[]", ".method", "http.method", "X-HTTP-Method-Override",
    ):  # fmt: skip
        assert asked((name, "1"), route=OPEN) is Reason.UNKNOWN_PARAMETER, name


def test_refusals_name_the_declared_parameter_and_nothing_that_was_typed():
    for pair in (("per_page", "secret"), ("sort", "secret"), ("secret", "x"), ("q", "secret")):
        with pytest.raises(RequestError) as caught:
            require_answerable(CARD, (pair,), frozenset({"phone"}))
        assert "secret" not in str(caught.value)


# --- what is embedded ---------------------------------------------------------------

CLIENT = a_resource()
BOOKING = replace(
    a_resource(memo="memo", client="client_id", stylist="stylist"),
    name="booking",
    embeds={
        "whose": Embed(path=parse_field_path("client"), resource="client"),
        "guest": Embed(path=parse_field_path("data.guests[]"), resource="client"),
    },
)
RESOURCES = {"client": CLIENT, "booking": BOOKING}
EMBEDDED = {f"{embed}.{name}" for embed in BOOKING.embeds for name in CLIENT.maskable}
BOOK = replace(
    a_route(CLIENT),
    resource=BOOKING,
    query={
        "sort": field_named(BOOKING, RESOURCES),
        "phone": Searches(fields=frozenset({"whose.phone"})),
        "all": Searches(fields=frozenset({"memo", *EMBEDDED}), everything=True),
    },
)


@pytest.mark.parametrize(
    "value",
    [
        "client.phone",
        "-client.contact.phone",
        "memo,client.phone",
        "client",  # ordered by the whole embedded record
        "client.id",  # and by its id: it shows only where the record does
        "whose.phone",  # our word for it; who knows what it is to the CRM
        "whose",
        "client.contact",
        "client.email",
        "client.bookings.price",
    ],
)
def test_sorting_by_a_hidden_embedded_field_is_refused_under_every_name_it_has(value):
    asks = ("sort", value)
    assert asked(asks, hidden={"whose.phone"}, route=BOOK) is Reason.HIDDEN_FIELD_ASKED
    assert asked(asks, route=BOOK) is None


@pytest.mark.parametrize(
    "value", ["memo", "-id", "", "client.name", "client_id", "data.guests.name"]
)
def test_sorting_by_what_is_seen_beside_a_hidden_embedded_field_is_answerable(value):
    assert asked(("sort", value), hidden={"whose.phone"}, route=BOOK) is None


def test_a_list_of_embedded_records_is_sorted_by_the_names_of_its_members():
    hidden = {"guest.phone"}
    for value in ("data.guests.phone", "data.guests", "data.guests.id", "data", "guest"):
        asks = ("sort", value)
        assert asked(asks, hidden=hidden, route=BOOK) is Reason.HIDDEN_FIELD_ASKED, value
    assert asked(("sort", "client.phone"), hidden=hidden, route=BOOK) is None


def test_a_field_of_the_outer_record_is_not_the_embedded_one_of_that_name():
    assert asked(("sort", "stylist"), hidden={"whose.stylist"}, route=BOOK) is None
    assert asked(("sort", "client.stylist_id"), hidden={"stylist"}, route=BOOK) is None


def test_a_field_named_like_the_embedding_member_stands_for_what_is_embedded_as_well():
    assert field_named(BOOKING, RESOURCES).members["client"] == {
        "client",
        *(f"whose.{name}" for name in CLIENT.maskable),
    }
    assert field_named(BOOKING, RESOURCES).members["client_id"] == {"client"}


def test_searching_a_hidden_embedded_field_is_refused():
    assert asked(("phone", "1"), hidden={"whose.phone"}, route=BOOK) is Reason.HIDDEN_FIELD_ASKED
    assert asked(("phone", "1"), hidden={"whose.name"}, route=BOOK) is None
    assert asked(("all", "1"), hidden={"whose.name"}, route=BOOK) is Reason.HIDDEN_FIELD_ASKED
    assert asked(("all", "1"), route=BOOK) is None


def test_what_is_hidden_deeper_down_closes_what_searches_everything_and_unknown_keys():
    hidden = {"whose.bookings.price"}
    for asks in (("all", "1"), ("sort", "client.bookings.price"), ("sort", "price")):
        assert asked(asks, hidden=hidden, route=BOOK) is Reason.HIDDEN_FIELD_ASKED, asks


def test_a_hidden_embedded_field_closes_a_resource_that_is_not_sensitive():
    opened = replace(BOOK, resource=replace(BOOKING, sensitive=False))
    assert asked(("v", "1"), route=opened) is None
    assert asked(("v", "1"), hidden={"whose.phone"}, route=opened) is Reason.UNKNOWN_PARAMETER
    assert asked(("v", "1"), hidden={"whose.unmapped"}, route=opened) is Reason.UNKNOWN_PARAMETER


def test_one_spelling_of_two_members_stands_for_both():
    both = replace(
        a_resource(tag="data[].guests.phone"),
        embeds={"guest": Embed(path=parse_field_path("data.guests"), resource="client")},
    )
    members = field_named(both, {"client": CLIENT}).members
    assert members["data.guests.phone"] == {"tag", "guest.phone"}


# --- a name that speaks of a field -----------------------------------------------------

ORDERED = replace(
    CARD,
    query={
        "order[phone]": Named(fields=frozenset({"phone"}), value=Plain(one_of=frozenset({"asc"}))),
        "order[name]": Named(fields=frozenset({"name"}), value=Plain(one_of=frozenset({"asc"}))),
        "order[id]": Named(fields=frozenset(), value=Plain()),
        "top[phone]": Named(fields=frozenset({"phone"}), value=Capped(max=3)),
    },
)


def test_a_name_that_speaks_of_a_hidden_field_is_refused_whatever_its_value():
    hidden = {"phone"}
    for asks in (("order[phone]", "asc"), ("order[phone]", "up"), ("top[phone]", "9")):
        assert asked(asks, hidden=hidden, route=ORDERED) is Reason.HIDDEN_FIELD_ASKED
    assert asked(("order[name]", "asc"), ("order[id]", "x"), hidden=hidden, route=ORDERED) is None


def test_the_value_beside_such_a_name_must_fit():
    assert asked(("order[phone]", "up"), route=ORDERED) is Reason.PARAMETER_INVALID
    assert asked(("top[phone]", "4"), route=ORDERED) is Reason.PARAMETER_INVALID
    assert asked(("top[phone]", "3"), ("order[phone]", "asc"), route=ORDERED) is None


# --- a search that is rechecked --------------------------------------------------------

RECHECKED = replace(
    CARD,
    query={
        "q": Searches(fields=frozenset({"name", "phone"}), recheck=True),
        "all": Searches(fields=frozenset({"name"}), everything=True, recheck=True),
        "sort": field_named(CARD.resource),
        "phone": Searches(fields=frozenset({"phone"})),
    },
)


def conditions(*pairs, hidden=frozenset({"phone"}), route=RECHECKED):
    return require_answerable(route, pairs, frozenset(hidden))


def words(value: str) -> tuple[str, ...]:
    (condition,) = conditions(("q", value))
    assert isinstance(condition, Recheck)
    return condition.words


def test_a_rechecked_search_is_answered_under_a_condition_where_it_touches_what_is_hidden():
    fields = frozenset({"name", "phone"})
    assert conditions(("q", "Mei 090")) == (Recheck(words=("mei", "090"), fields=fields),)
    assert conditions(("q", "Mei 090"), hidden={"stylist"}) == ()
    assert conditions(("q", "Mei 090"), hidden=()) == ()
    assert conditions(("all", "x"), hidden={"stylist"}) == (
        Recheck(words=("x",), fields=frozenset({"name"}), everything=True),
    )


def test_the_words_of_a_search_are_folded():
    assert words("  ＭＥＩ\u3000Straße ｶﾞ ") == ("mei", "strasse", "ガ")
    assert words("") == ()


@pytest.mark.parametrize(
    "value", ["-phone:090", "0*9", "09%", '"090"', "a|090", "OR", "(090", "09\u200b0", "~090"]
)
def test_what_a_search_language_would_read_is_a_word_like_any_other(value):
    assert words(f"mei {value}") == ("mei", value.casefold())


@pytest.mark.parametrize("value", [" ", "\u3000", " \u00a0 "])
def test_a_rechecked_search_for_blanks_alone_is_refused(value):
    assert asked(("q", value), hidden={"phone"}, route=RECHECKED) is Reason.PARAMETER_INVALID
    assert asked(("q", value), route=RECHECKED) is None


def test_a_rechecked_search_has_bounds():
    for good in ("a " * 8, "a" * 128):
        assert asked(("q", good), hidden={"phone"}, route=RECHECKED) is None
    for bad in ("a " * 9, "a" * 129, "\ufdfa" * 128):  # the last is 4 words each, to NFKC
        assert asked(("q", bad), hidden={"phone"}, route=RECHECKED) is Reason.PARAMETER_INVALID
    assert asked(("q", "a" * 129), route=RECHECKED) is None


def test_every_rechecked_search_of_a_request_counts():
    found = conditions(("q", "a"), ("all", "b"))
    assert [condition.words for condition in found] == [("a",), ("b",)]


@pytest.mark.parametrize("other", [("sort", "phone"), ("phone", "090"), ("filter", "x")])
def test_a_rechecked_search_opens_nothing_beside_it(other):
    assert asked(("q", "a"), other, hidden={"phone"}, route=RECHECKED) in {
        Reason.HIDDEN_FIELD_ASKED,
        Reason.UNKNOWN_PARAMETER,
    }


# --- an exact look-up ------------------------------------------------------------------

FIND = replace(
    CARD,
    action="find",
    query={"tel": Exact(field="phone", allowance=20), "page": Plain(), "top": Capped(max=5)},
)
LISTED = replace(CARD, variants={"tel": FIND, "no": replace(FIND, query={})})
MATCH = RouteMatch(route=LISTED, record=None)


def test_a_request_with_an_exact_look_up_is_another_one():
    assert asked_as(MATCH, (("page", "1"), ("tel", "x"))).route is FIND
    assert asked_as(MATCH, (("page", "1"), ("sort", "x"))).route is LISTED
    assert asked_as(MATCH, ()) is MATCH


@pytest.mark.parametrize("second", ["tel", "no"])
def test_two_exact_look_ups_in_one_request_are_refused(second):
    with pytest.raises(RequestError) as caught:
        asked_as(MATCH, (("tel", "1"), (second, "2")))
    assert caught.value.reason is Reason.PARAMETER_INVALID


def test_only_what_says_nothing_of_a_field_stands_beside_an_exact_look_up():
    number = ("tel", "090-0000-0000")
    assert asked(number, ("page", "1"), ("top", "5"), route=FIND, hidden={"phone"}) is None
    for other in (("sort", "name"), ("q", "mei")):
        assert asked(number, other, route=FIND) is Reason.UNKNOWN_PARAMETER


def test_an_exact_look_up_is_no_parameter_of_the_list_itself():
    assert asked(("tel", "090000"), route=LISTED) is Reason.UNKNOWN_PARAMETER
    opened = replace(LISTED, resource=replace(LISTED.resource, sensitive=False))
    assert asked(("TEL", "090000"), route=opened) is Reason.UNKNOWN_PARAMETER
    assert asked(("tel", "090000"), route=opened) is Reason.UNKNOWN_PARAMETER


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        ("090-0000-0001", "09000000001"),
        ("+81 (0)90/0000.0001", "8109000000001"),
        ("０９０－００００－０００１", "09000000001"),
        ("123456", "123456"),
        ("1" * 15, "1" * 15),
    ],
)
def test_an_exact_look_up_is_for_one_whole_number(value, digits):
    assert require_answerable(FIND, (("tel", value),), frozenset({"phone"})) == (
        ExactMatch(field="phone", digits=digits),
    )


@pytest.mark.parametrize(
    "value",
    ["", "12345", "1" * 16, "090%0000001", "090_0000001", "0900000001*", "09000000001,1",
     "tel:0900000001", "٠٩٠٠٠٠٠٠٠٠١", "0900000001 or 1", "0900000001\u200b", "-" * 60 + "1234567",
     "090000000①a", "੦੯੦੦੦੦੦੦੦"],
)  # fmt: skip
def test_anything_else_than_one_whole_number_is_refused(value):
    assert asked(("tel", value), route=FIND) is Reason.PARAMETER_INVALID
    with pytest.raises(RequestError) as caught:
        require_answerable(FIND, (("tel", value),), frozenset())
    assert not value or value not in str(caught.value)
