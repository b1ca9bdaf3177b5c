"""Reading a rule the quick way and reading it through `csv` come to the same.

A long file is made of few different columns, so a line without quotes whose columns were all
read before is not read letter by letter again. What it means, and every finding and warning
with its place, must be what the careful way says.
"""

import os
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.finding import PolicyError
from gateway.enforcer.rules import Words, _Reader, parse_rules
from gateway.enforcer.when import ConditionNames
from tests.properties.worlds import RECORD_FACTS, ROLES, VOCABULARY

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
WORDS = Words(
    vocabulary=VOCABULARY,
    staff=frozenset({"staff:mei"}),
    roles=frozenset(ROLES),
    conditions=ConditionNames(
        apps=["phone"],
        roles=ROLES,
        facts={"client": RECORD_FACTS, "booking": RECORD_FACTS[:1]},
    ),
)


class Careful(_Reader):
    """Takes nothing for known."""

    def _known_line(self, *_):
        return False


class Counting(_Reader):
    """Counts what it took for known."""

    def _known_line(self, number, line):
        known = super()._known_line(number, line)
        taken.append(known)
        return known


taken: list[bool] = []


def read(reader, text):
    """Everything there is to say about a file."""
    try:
        found = reader("salon_rules.csv", WORDS).read(text)
    except PolicyError as error:
        return [str(finding) for finding in error.findings]
    return found.rules, found.graph, [str(finding) for finding in found.warnings]


# Good ones first: they are taken most.
columns = (
    ("p", " p", "\tp ", "g", "P", "#p", '"p"', "", "p\0"),
    ("role:stylist", "role:anyone", "staff:mei", " role:stylist\t", '"role:stylist"', "mei",
     "role:stylst", "rôle:stylist"),
    ("client", "booking", "*", "client.contact", " client", '"client"', "client.", ""),
    ("read", "list|read", "*", "read | list", "read|read", "raed", '"read"', "read|*"),
    ("", "app:phone", "own_client", " !app:phone & own_client", "!app:phone&own_client",
     "consented", "app:fone", "\x0capp:phone", "app:phone &", "own_client & !own_client"),
    ("allow", "deny", " allow", "deny\t", "Deny", "allow # why", '"deny"', "allow\u3000"),
)  # fmt: skip
cells = [
    st.integers(0, 2 * len(pool)).map(lambda n, pool=pool: pool[n if n < len(pool) else n % 3])
    for pool in columns
]
rows = st.tuples(*cells).map(",".join)
oddities = st.sampled_from(
    (",", '"', " ", "\t", "#", "\r", "\u2028", "，", ",,,", " " * 5000, "x")
)
broken = st.tuples(rows, st.integers(0, 60), oddities).map(
    lambda made: made[0][: made[1]] + made[2] + made[0][made[1] :]
)
links = st.sampled_from(("g, role:manager, role:stylist", "g, role:stylist, role:manager,,,"))
# Behind these, every good column is known.
TAUGHT = [
    f"p, {who}, {resource}, {action}, {when}, {effect}"
    for (who, action), resource, when, effect in product(
        zip(("role:stylist", "role:anyone", "staff:mei"), ("read", "list|read", "*"), strict=True),
        ("client", "booking", "*", "client.contact"),
        ("", "app:phone", "own_client"),
        ("deny", "allow"),
    )
]
texts = st.lists(st.one_of(rows, rows, broken, links), max_size=12).map(
    lambda lines: "\n".join((*TAUGHT, *lines))
)


@settings(max_examples=300 * FUZZ, deadline=None)
@given(texts)
def test_a_line_of_known_columns_says_what_the_careful_reading_says(text):
    assert read(_Reader, text) == read(Careful, text)


@settings(max_examples=100 * FUZZ, deadline=None)
@given(texts)
def test_a_file_that_says_everything_twice_is_read_alike(text):
    twice = f"{text}\n{text}"
    assert read(_Reader, twice) == read(Careful, twice)


def test_a_second_row_of_the_same_columns_is_taken_for_known():
    taken.clear()
    good = "p, role:stylist, client, read, own_client, allow\n"
    found = read(Counting, good + " p,role:stylist,client,read,own_client,allow\n")
    assert taken == [False, True, False]  # and the empty rest behind the last line
    assert found[2] == ["salon_rules.csv:2:2: warning: the same rule stands in line 1; delete one"]


def test_a_condition_known_of_one_card_is_not_known_of_another():
    rows = ("p,role:stylist,client,read,consented,allow", "p,role:stylist,booking,read,,allow")
    (finding,) = read(_Reader, "\n".join((*rows, "p,role:stylist,booking,read,consented,allow")))
    assert finding.startswith("salon_rules.csv:3:29: unknown condition `consented`")


def test_a_condition_known_of_allows_is_not_known_of_denies():
    rows = ("p,role:stylist,*,read,consented,allow", "p,role:stylist,*,read,,deny")
    *_, finding = read(_Reader, "\n".join((*rows, "p,role:stylist,*,read,consented,deny")))
    assert finding.startswith("salon_rules.csv:3:23: unknown condition `consented`")


def test_parse_rules_is_the_quick_reader():
    text = "p, role:stylist, client, read, , allow\n" * 2
    assert parse_rules(text, "salon_rules.csv", WORDS).rules == read(Careful, text)[0]
