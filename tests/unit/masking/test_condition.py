"""What was asked, asked again of each record: who stays, and what that must not give away."""

import unicodedata
from datetime import date

import pytest

from gateway.domain.decision import Permit
from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.obligation import CLOSED, Conjunct, Grant, Residual
from gateway.domain.question import ExactMatch, Recheck
from gateway.domain.record import Asker, IsMe, RecordFact
from gateway.domain.resource import UNMAPPED, Embed, Field, Resource
from gateway.domain.ruleref import RuleRef
from gateway.masking.condition import NORMALIZED, SEARCHED, folded
from gateway.masking.cut import cut
from gateway.masking.judge import judge_of
from gateway.masking.plan import build_node, build_plan
from gateway.masking.walk import BATCH

ANN = Asker(crm_id="ann", today=date(2026, 11, 21))
RULE = RuleRef("salon_rules.csv", 3)
ALWAYS = Residual(allows=(Conjunct(RULE),))
OWN = Residual(allows=(Conjunct(RULE, positive=1),))
SEES_ALL = Permit(by=(RULE,))


def a_resource(name, fields, **embeds):
    return Resource(
        name=name,
        id=parse_field_path("id"),
        fields={
            field: Field(name=field, paths=tuple(map(parse_field_path, paths.split())))
            for field, paths in fields.items()
        },
        facts=(RecordFact(name="own", field="stylist", comparison=IsMe()),)
        if "stylist" in fields
        else (),
        embeds={
            embed: Embed(path=parse_field_path(embed), resource=resource)
            for embed, resource in embeds.items()
        },
    )


CLIENT = a_resource(
    "client",
    {
        "name": "name",
        "phone": "phone contact.phone",
        "tags": "tags",
        "visits": "visits",
        "prefs": "prefs.**",
        "stylist": "stylist",
    },
    friend="client",
)


def hiding(*hidden):
    return Permit(by=(RULE,), hidden=frozenset(hidden))


def of_own(*, test=ALWAYS, phone=ALWAYS):
    """A permit on clients: which records, and whose phones."""
    fields = dict.fromkeys((*CLIENT.fields, UNMAPPED), (ALWAYS, CLOSED))
    fields["phone"] = (phone, CLOSED)
    return Permit(
        by=(RULE,),
        depends=True,
        refuses=test is not ALWAYS,
        hidden=frozenset() if phone is ALWAYS else frozenset({"phone"}),
        grants={"aoyama": Grant(test=test, fields=fields)},
    )


def a_judge(permit):
    def node_of(hidden, prefix):
        return build_node(CLIENT, hidden, prefix)

    return judge_of(permit, CLIENT, asker=ANN, node_of=node_of)


def ask(text, *conditions, permit=SEES_ALL, inside=None, records="[]", beside=(), totals=()):
    plan = build_plan(
        CLIENT,
        permit.hidden,
        records=parse_field_path(records),
        beside=frozenset(beside),
        page_totals=frozenset(totals),
        depends=permit.depends,
        may_refuse=permit.refuses,
    )
    judges = {} if inside is None else {"client": a_judge(inside)}
    return cut(
        text.encode(), plan, judge=a_judge(permit), judges=judges, conditions=tuple(conditions)
    )


def words(*texts, fields=("name", "phone"), everything=False):
    return Recheck(words=texts, fields=frozenset(fields), everything=everything)


def number(digits, field="phone"):
    return ExactMatch(field=field, digits=digits)


# -- free text -----------------------------------------------------------------------------


def test_only_records_stay_in_which_every_word_occurs():
    made = ask(
        '[{"id":1,"name":"kim","phone":"090"},{"id":2,"name":"kim"},{"id":3,"phone":"090 kim"}]',
        words("kim", "90"),
    )
    assert made.body == b'[{"id":1,"name":"kim","phone":"090"},{"id":3,"phone":"090 kim"}]'
    assert (made.records, made.refused, made.unmatched) == (2, 0, 1)


def test_nothing_of_a_record_that_does_not_match_is_counted_but_that_it_left():
    made = ask('[{"phone":"1","x":1}]', words("kim"), permit=hiding("phone", UNMAPPED))
    assert made.body == b"[]"
    assert (made.dropped, made.shown_fields, made.unmatched) == ({}, (), 1)


def test_a_word_in_a_hidden_field_is_not_found():
    text = '[{"id":1,"phone":"090","contact":{"phone":"090"}}]'
    assert ask(text, words("090")).records == 1
    assert ask(text, words("090"), permit=hiding("phone")).records == 0


def test_fields_hidden_in_this_record_only_do_not_count_in_this_record():
    text = '[{"id":1,"stylist":"bob","phone":"090"},{"id":2,"stylist":"ann","phone":"090"}]'
    made = ask(text, words("090"), permit=of_own(phone=OWN))
    assert made.body == b'[{"id":2,"stylist":"ann","phone":"090"}]'


def test_a_refused_record_is_not_unmatched():
    made = ask('[{"name":"kim","stylist":"bob"},{}]', words("x"), permit=of_own(test=OWN))
    assert (made.refused, made.unmatched) == (2, 0)


@pytest.mark.parametrize(
    "name",
    ['"KIM"', '"ＫＩＭ"', '"\\u004bim"', '"a kimono"', '["no","kim"]', "[1,null]"],
)
def test_texts_are_compared_without_case_and_width(name):
    assert ask(f'[{{"name":{name}}}]', words("kim")).records == (
        "im" in name.lower() or "Ｋ" in name
    )


@pytest.mark.parametrize(
    ("value", "word", "found"),
    [
        ("0.10", "0.10", True),
        ("1E+5", "1e+5", True),
        ("12345678901234567890123", "0123", True),
        ("-7", "-7", True),
        ("true", "true", False),
        ("null", "null", False),
        ('["a","b"]', "ab", False),
        ('{"kim":1}', "kim", False),
        ('{"a":"kim"}', "kim", False),
        ("9" * 5000, "9", False),
    ],
)
def test_a_value_stands_for_its_text(value, word, found):
    assert ask(f'[{{"visits":{value}}}]', words(word, fields=["visits"])).records == found


def test_other_fields_and_the_id_do_not_count():
    text = '[{"id":"kim","tags":["kim"],"x":"kim"}]'
    assert ask(text, words("kim")).records == 0
    assert ask(text, words("kim", fields=["tags"])).records == 1
    assert ask('[{"id":"kim"}]', words("kim", everything=True)).records == 0


def test_everything_reaches_undeclared_members_where_they_may_be_seen():
    text = '[{"x":{"y":["a",{"z":"kim"}]}}]'
    assert ask(text, words("kim")).records == 0
    assert ask(text, words("kim", everything=True)).records == 1
    assert ask(text, words("y", everything=True)).records == 0
    assert ask(text, words("kim", everything=True), permit=hiding(UNMAPPED)).records == 0


def test_a_whole_subtree_is_its_fields_value_at_any_depth():
    text = '[{"prefs":{"a":[{"b":"kim"}]}}]'
    assert ask(text, words("kim", fields=["prefs"])).records == 1
    assert ask(text, words("kim")).records == 0
    assert ask(text, words("kim", fields=["prefs"]), permit=hiding("prefs")).records == 0


def test_records_inside_count_one_level_deep_where_they_may_be_seen():
    text = '[{"friend":{"stylist":"bob","name":"kim","friend":{"stylist":"ann","name":"lee"}}}]'
    kim, lee = words("kim", fields=["friend.name"]), words("lee", everything=True)
    assert ask(text, kim, inside=SEES_ALL).records == 1
    assert ask(text, words("kim"), inside=SEES_ALL).records == 0
    assert ask(text, kim, inside=hiding("name")).records == 0
    assert ask(text, kim, inside=of_own(test=OWN)).records == 0
    assert ask(text, kim).records == 0
    assert ask(text, words("kim", everything=True), inside=SEES_ALL).records == 1
    assert ask(text, lee, inside=SEES_ALL).records == 0


def test_an_id_that_stays_under_a_hidden_field_is_no_value_of_another():
    resource = Resource(
        name="message",
        id=parse_field_path("client.id"),
        fields={
            name: Field(name=name, paths=(parse_field_path(path),))
            for name, path in {"client": "client.**", "ref": "client.id"}.items()
        },
    )
    for hidden, found in ((frozenset(), 1), (frozenset({"client"}), 0)):
        plan = build_plan(resource, hidden, records=parse_field_path("[]"))
        text = b'[{"client":{"id":"kim"}}]'
        made = cut(text, plan, conditions=(words("kim", fields=["ref"]),))
        assert made.records == found


def test_no_words_keep_every_record():
    assert ask('[{"id":1},{}]', words()).records == 2


def test_a_word_is_found_wherever_it_stands_in_a_long_text():
    for before in (SEARCHED - 2, SEARCHED, 3 * SEARCHED - 1):
        for kind in "xж":
            text = '[{"name":"' + kind * before + 'KIM"}]'
            assert ask(text, words("kim")).records == 1
            assert ask(text, words("kimm")).records == 0


def test_accents_in_disorder_do_not_hold_up_the_worker():
    """Normalized in one go, this would take a day: its time grows with the square."""
    text = "a" + "\u0315\u0300" * 500_000
    assert len(folded(text)) > NORMALIZED


def test_a_long_text_is_folded_like_a_short_one():
    text = "Ｋim ㈱ ガ é 한 — "
    assert folded(text * 50) == unicodedata.normalize("NFKC", text * 50).casefold()


# -- one number ----------------------------------------------------------------------------


def test_only_the_record_that_holds_the_number_stays_whoever_may_see_it():
    text = '[{"id":1,"phone":"090-0000-0001"},{"id":2,"phone":"090-0000-0002"}]'
    made = ask(text, number("09000000002"), permit=hiding("phone"))
    assert made.body == b'[{"id":2}]'
    assert made.unmatched == 1


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ('{"phone":"（０９０）1-2"}', True),
        ('{"phone":9012}', False),
        ('{"contact":{"phone":"09012"}}', True),
        ('{"phone":["1","090 12"]}', True),
        ('{"phone":["090","12"]}', False),
        ('{"phone":"+81 9012"}', False),
        ('{"phone":"090123"}', False),
        ('{"phone":{"x":"09012"}}', False),
        ('{"name":"09012"}', False),
    ],
)
def test_numbers_are_equal_digit_by_digit(record, found):
    assert ask(f"[{record}]", number("09012")).records == found


def test_where_two_records_hold_the_number_none_stays():
    one, other = '{"id":1,"phone":"1"}', '{"id":2,"contact":{"phone":"1"}}'
    made = ask(f"[{one},{other}]", number("1"))
    assert made.body == b"[]"
    assert (made.records, made.unmatched, made.dropped, made.shown_fields) == (0, 2, {}, ())
    many = ",".join(["{}"] * BATCH)
    assert ask(f"[{one},{many},{other}]", number("1")).body == b"[]"


def test_one_record_holding_it_twice_is_one():
    assert ask('[{"phone":"1","contact":{"phone":"1"}}]', number("1")).records == 1


def test_a_record_that_may_not_be_seen_holds_nothing():
    text = '[{"phone":"1","stylist":"bob"},{"phone":"1","stylist":"ann"}]'
    made = ask(text, number("1"), permit=of_own(test=OWN))
    assert made.body == b'[{"phone":"1","stylist":"ann"}]'
    assert (made.refused, made.unmatched) == (1, 0)


def test_several_holders_are_several_also_if_but_one_has_the_word():
    text = '[{"phone":"1","name":"kim"},{"phone":"1","name":"lee"}]'
    assert ask(text, number("1"), words("kim")).records == 0


# -- around the records --------------------------------------------------------------------


def test_beside_chosen_records_stands_nothing_but_their_number():
    made = ask(
        '{"data":[{"name":"kim"},{}],"total":2,"count":2,"next":"/2","x":1}',
        words("kim"),
        records="data[]",
        beside=["total", "count", "next"],
        totals=["count"],
    )
    assert made.body == b'{"data":[{"name":"kim"}],"count":1}'


def test_a_condition_on_a_single_record_is_a_mistake():
    for records in ("", "data"):
        with pytest.raises(ValueError, match="list"):
            ask("{}", words("kim"), records=records)
    with pytest.raises(ValueError, match="no field `fax`"):
        ask("[]", number("1", field="fax"))


def test_a_broken_answer_is_refused_whatever_was_asked():
    for text in ('[{"name":"kim"},7]', '[{"name":"kim"}', '[{"name":"lee"}]x'):
        with pytest.raises(UpstreamError):
            ask(text, words("kim"))
