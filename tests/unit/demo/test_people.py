"""The invented people: the same at every start, nobody real, and every script we promise."""

import re
import unicodedata
from collections import Counter

from gateway.demo import people


def script_of(name: str) -> str:
    """The script of a name's first letter."""
    return unicodedata.name(name[0]).split()[0]


def test_every_start_makes_the_same_records():
    for make in (people.clients, people.messages, people.bookings):
        assert list(make()) == list(make())


def test_there_are_as_many_as_announced_numbered_from_one():
    for make, count in (
        (people.clients, people.CLIENTS),
        (people.messages, people.MESSAGES),
        (people.bookings, people.BOOKINGS),
    ):
        assert [record["id"] for record in make()] == list(range(1, count + 1))


def test_every_phone_number_is_kept_for_fiction():
    # North American numbering plan: 555-0100 to 555-0199 are never given to anybody.
    for card in people.clients():
        assert re.fullmatch(r"\+1-[2-9]\d\d-555-01\d\d", card["phone"])
        assert card["contact"]["phone"] == card["phone"]


def test_every_mail_address_is_in_a_reserved_domain_and_nobody_shares_one():
    addresses = [card["email"] for card in people.clients()]
    assert all(address.endswith(".example") for address in addresses)  # RFC 2606 2
    assert len(set(addresses)) == len(addresses)


def test_four_scripts_are_present_in_fair_number():
    scripts = Counter(script_of(card["name"]) for card in people.clients())
    assert scripts.keys() == {"CJK", "HANGUL", "CYRILLIC", "LATIN"}
    assert min(scripts.values()) > people.CLIENTS // 10


def test_names_stand_in_the_order_of_their_language():
    family_first = {family for locale in people.LOCALES[:2] for family in locale.family}
    family_last = {family for locale in people.LOCALES[2:] for family in locale.family}
    for card in people.clients():
        first, last = card["name"].split(" ")
        assert (first in family_first) != (last in family_last)


def test_each_given_name_has_a_reading():
    for locale in people.LOCALES:
        assert len(locale.given) == len(locale.readings)


def test_messages_and_bookings_are_about_clients_that_exist():
    names = {card["id"]: card["name"] for card in people.clients()}
    assert all(message["client_id"] in names for message in people.messages())
    for booking in people.bookings():
        assert booking["client_name"] == names[booking["client_id"]]


def test_every_card_has_every_member_so_that_a_cut_can_be_seen():
    members = {tuple(card) for card in people.clients()}
    assert len(members) == 1
    assert {"phone", "email", "address", "birthday", "notes", "contact"} <= set(*members)


def test_stylists_and_salons_are_those_of_the_starter_roster():
    assert {(card["stylist_id"], card["salon"]) for card in people.clients()} == {
        ("mei", "aoyama"),
        ("yuki", "yoyogi"),
    }
