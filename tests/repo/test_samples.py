"""Nobody in the sample data exists: reserved mail domains, phone numbers nobody can have.

Mail: RFC 2606 and RFC 6761. Phones: 555-0100 to 555-0199 (kept for fiction in North America), or a
number of zeros where an exchange would stand.
"""

import re

import pytest

from gateway.demo.people import bookings, clients, messages
from tests.repo.checkout import files, text

MAIL = re.compile(r"[A-Za-z0-9._%+-]+@((?:[A-Za-z0-9-]+\.)+[A-Za-z][A-Za-z0-9-]*)")
RESERVED_DOMAIN = re.compile(
    r"(?:.*\.)?(?:example|test|invalid|localhost|example\.(?:com|net|org))", re.IGNORECASE
)
# International, or national with a leading zero; at least two separators.
PHONE = re.compile(
    r"(?<![\w.:-])(?:\+\d{1,3}|0\d{1,3})[-. ]\d{2,4}[-. ]\d{3,4}(?:[-. ]\d{3,4})?(?!\w)"
)
RESERVED_PHONE = re.compile(
    r"\+1-\d{3}-555-01\d\d|\+\d{1,3}-\d{2}-000\d?-\d{4}|0\d{1,2}-0000-\d{4}"
)

SHIPPED = [
    name
    for name in files("gateway", "policies", "adapters", "docs", "dashboards", "README.md")
    if not name.endswith((".lock", ".json"))
]


def strange(words):
    """What looks like somebody's mail address or phone number."""
    mails = [f[0] for f in MAIL.finditer(words) if not RESERVED_DOMAIN.fullmatch(f[1])]
    phones = [f[0] for f in PHONE.finditer(words) if not RESERVED_PHONE.fullmatch(f[0])]
    return mails + phones


@pytest.mark.parametrize(
    "words",
    [
        "ann@" + "salon-of-ann.jp",
        "+81-90-" + "1234-5678",
        "090-" + "1234-5678",
        "+1-415-" + "555-2671",
        "+380 44 " + "123 4567",
    ],
)
def test_it_notices_what_could_be_somebodys(words):
    assert strange(words) == [words]


@pytest.mark.parametrize("words", ["a@mail.example", "b@example.com", "+1-207-555-0107"])
def test_it_leaves_reserved_ones_alone(words):
    assert strange(words) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_file_holds_what_could_be_somebodys(name):
    assert strange(text(name)) == []


@pytest.mark.parametrize("records", [clients, messages, bookings])
def test_no_record_of_the_sample_crm_could_be_somebodys(records):
    found = list(records())
    assert found
    assert strange("\n".join(str(record) for record in found)) == []


def test_every_client_has_a_mail_and_a_phone_that_were_looked_at():
    for record in clients():
        assert MAIL.fullmatch(record["email"])
        assert PHONE.fullmatch(record["phone"])
        assert record["contact"]["phone"] == record["phone"]
