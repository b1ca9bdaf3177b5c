"""Where what stays depends on the record: who stays, who leaves, and what that gives away."""

import json
from datetime import date

import pytest

from gateway.domain.decision import Permit
from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.obligation import CLOSED, Conjunct, Grant, Residual
from gateway.domain.reason import Cause, Reason
from gateway.domain.record import Asker, IsMe, RecordFact
from gateway.domain.resource import UNMAPPED, Embed, Field, Resource
from gateway.domain.ruleref import RuleRef
from gateway.masking.cut import (
    NO_SUCH_RECORD_DETAIL,
    SHORT_BODY,
    cut,
    cut_error,
    cut_steps,
)
from gateway.masking.judge import judge_of
from gateway.masking.plan import build_node, build_plan
from gateway.masking.walk import BATCH

ANN = Asker(crm_id="ann", today=date(2026, 11, 21))
RULE = RuleRef("salon_rules.csv", 3)
ALWAYS = Residual(allows=(Conjunct(RULE),))
OWN = Residual(allows=(Conjunct(RULE, positive=1),))


def a_resource(name, fields, *, sensitive=True, embeds=()):
    return Resource(
        name=name,
        sensitive=sensitive,
        id=parse_field_path("id"),
        fields={
            field: Field(name=field, field_class=field_class, paths=(parse_field_path(path),))
            for field, field_class, path in fields
        },
        facts=tuple(
            RecordFact(name="own", field=field, comparison=IsMe())
            for field, _, _ in fields
            if field == "stylist"
        ),
        embeds={
            embed: Embed(path=parse_field_path(path), resource=resource)
            for embed, path, resource in embeds
        },
    )


CLIENT = a_resource(
    "client",
    [("name", None, "name"), ("stylist", None, "stylist"), ("phone", "contact", "phone")],
    embeds=[("friend", "friend", "client")],
)
BOOKING = a_resource(
    "booking",
    [("when", None, "when")],
    embeds=[("client", "client", "client"), ("guests", "party.guests[]", "client")],
)
SEES_ALL = Permit(by=(RULE,))


def of_own(*, test=ALWAYS, phone=ALWAYS):
    """A permit on clients: which records, and whose phones."""
    fields = dict.fromkeys(("name", "stylist"), (ALWAYS, CLOSED))
    fields["phone"] = (phone, CLOSED)
    fields[UNMAPPED] = (CLOSED, CLOSED)
    return Permit(
        by=(RULE,),
        depends=True,
        refuses=test is not ALWAYS,
        hidden=frozenset({UNMAPPED} if phone is ALWAYS else {"phone", UNMAPPED}),
        grants={"aoyama": Grant(test=test, fields=fields)},
    )


OWN_ONLY = of_own(test=OWN)
OWN_PHONES = of_own(phone=OWN)


def a_judge(permit, resource=CLIENT):
    def node_of(hidden, prefix):
        return build_node(resource, hidden, prefix)

    return judge_of(permit, resource, asker=ANN, node_of=node_of)


def a_plan(permit, resource=CLIENT, *, records="", beside=(), page_totals=()):
    return build_plan(
        resource,
        permit.hidden,
        records=parse_field_path(records),
        beside=frozenset(beside),
        page_totals=frozenset(page_totals),
        depends=permit.depends,
        may_refuse=permit.refuses,
    )


def cut_clients(text, permit, **where):
    return cut(text.encode(), a_plan(permit, **where), judge=a_judge(permit))


def cut_bookings(text, client, *, permit=SEES_ALL, resource=BOOKING, **where):
    """`client`: the permit to read clients; None = there is none."""
    judges = {} if client is None else {"client": a_judge(client)}
    return cut(text.encode(), a_plan(permit, resource, **where), judges=judges)


# -- records that leave ----------------------------------------------------------------------


def test_records_that_fail_leave_the_list_and_the_rest_keeps_its_bytes():
    made = cut_clients(
        '[{"id":1,"stylist":"ann","name":"\\u7f8e"},{"id":2,"stylist":"bob","name":"kim"},'
        '{"id":3,"name":"lee"},{"name":-0.10,"stylist":"ann"}]',
        OWN_ONLY,
        records="[]",
    )
    assert made.body == (
        rb'[{"id":1,"stylist":"ann","name":"\u7f8e"},{"name":-0.10,"stylist":"ann"}]'
    )
    assert (made.records, made.refused) == (2, 2)
    assert made.hidden_fields == ()


def test_nothing_of_a_record_that_left_is_counted_but_that_it_left():
    made = cut_clients('[{"stylist":"bob","phone":"1","x":1}]', OWN_ONLY, records="[]")
    assert made.body == b"[]"
    assert (made.dropped, made.shown_fields, made.records, made.refused) == ({}, (), 0, 1)


def test_phones_of_own_clients_only():
    made = cut_clients(
        '[{"stylist":"ann","phone":"1"},{"stylist":"bob","phone":"2"},{"phone":"3"}]',
        OWN_PHONES,
        records="[]",
    )
    assert made.body == b'[{"stylist":"ann","phone":"1"},{"stylist":"bob"},{}]'
    assert made.dropped == {"contact": 2}
    assert made.hidden_fields == ("phone",)
    assert made.shown_fields == ("phone", "stylist")
    assert (made.records, made.refused) == (3, 0)


def test_a_list_longer_than_a_batch_keeps_its_order():
    many = 3 * BATCH + 1
    rows = [{"id": n, "stylist": "ann" if n % 3 else "bob"} for n in range(many)]
    made = cut_clients(json.dumps(rows), OWN_ONLY, records="[]")
    assert json.loads(made.body) == [row for row in rows if row["stylist"] == "ann"]
    assert made.refused == many - made.records


def test_an_object_at_a_leaf_of_one_record_is_found_among_judged_ones():
    made = cut_clients(
        '[{"stylist":"bob","phone":"{"},{"stylist":"ann","name":{"s":1}}]',
        OWN_ONLY,
        records="[]",
    )
    assert made.body == b'[{"stylist":"ann"}]'
    assert made.dropped == {"unmapped": 1}


def test_a_refused_record_does_not_vouch_for_an_object_at_a_leaf():
    """It was read but not written: were it counted, the sum of braces would be right."""
    made = cut_clients('[{"stylist":"bob"},{"stylist":"ann","name":{}}]', OWN_ONLY, records="[]")
    assert made.body == b'[{"stylist":"ann"}]'


def test_what_stood_around_a_refused_record_does_not_vouch_either():
    text = '{"hits":[{"of":{"stylist":"bob"}},{"of":{"stylist":"ann","name":{}}}]}'
    made = cut_clients(text, OWN_ONLY, records="hits[].of")
    assert made.body == b'{"hits":[{"of":{"stylist":"ann"}}]}'


# -- one record ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ("", '{"id":7,"stylist":"bob"}'),
        ("data", '{"data":{"id":7,"stylist":"bob"},"total":1}'),
        ("page.data", '{"page":{"data":{"id":7}}}'),
    ],
)
def test_one_record_that_fails_is_refused_as_if_it_did_not_exist(records, text):
    with pytest.raises(RequestError) as caught:
        cut_clients(text, OWN_ONLY, records=records)
    assert caught.value.reason is Reason.NO_SUCH_RECORD
    assert caught.value.cause is Cause.RECORD_REFUSED
    assert caught.value.detail == NO_SUCH_RECORD_DETAIL
    assert caught.value.__suppress_context__


def test_one_record_that_passes_is_shown():
    made = cut_clients('{"data":{"stylist":"ann","x":1}}', OWN_ONLY, records="data")
    assert made.body == b'{"data":{"stylist":"ann"}}'


def test_a_list_item_around_one_record_leaves_with_it():
    made = cut_clients(
        '{"hits":[{"score":1,"of":{"stylist":"bob"}},{"score":2,"of":{"stylist":"ann"}}]}',
        OWN_ONLY,
        records="hits[].of",
    )
    assert made.body == b'{"hits":[{"of":{"stylist":"ann"}}]}'
    assert made.dropped == {"unmapped": 1}


def test_plan_and_judge_must_be_of_one_permit():
    for plan, judge in (
        (a_plan(OWN_ONLY), None),
        (a_plan(OWN_ONLY), a_judge(SEES_ALL)),
        (a_plan(SEES_ALL), a_judge(OWN_ONLY)),
    ):
        with pytest.raises(ValueError, match="different permits"):
            cut(b"{}", plan, judge=judge)
    assert cut(b"{}", a_plan(SEES_ALL), judge=a_judge(SEES_ALL)).body == b"{}"


# -- numbers beside --------------------------------------------------------------------------


@pytest.mark.parametrize("stylist", ["ann", "bob"])
@pytest.mark.parametrize(
    ("value", "stays"),
    [
        ("2", None),
        ("-2", None),
        ("2.5", None),
        ("2e0", None),
        ('"2"', None),
        ('"\\u0032"', None),
        ('" 12 "', None),
        ('"１２"', None),
        ('""', '""'),
        ('"/clients?page=2"', '"/clients?page=2"'),
        ("true", "true"),
        ("null", "null"),
        ("[2]", None),
        ('{"n":2}', None),
    ],
)
def test_what_counts_leaves_whether_or_not_a_record_was_lost(stylist, value, stays):
    text = f'{{"data":[{{"stylist":"{stylist}"}}],"total":{value}}}'
    made = cut_clients(text, OWN_ONLY, records="data[]", beside=["total"])
    wanted = "" if stays is None else f',"total":{stays}'
    rows = '[{"stylist":"ann"}]' if stylist == "ann" else "[]"
    assert made.body == f'{{"data":{rows}{wanted}}}'.encode()
    assert made.dropped == ({"unmapped": 1} if stays is None else {})


@pytest.mark.parametrize(
    ("value", "stays"),
    [("9", True), ("-9", True), ("9.0", False), ('"9"', False), ("null", False), ("[9]", False)],
)
def test_the_count_of_the_page_is_that_of_the_records_kept(value, stays):
    made = cut_clients(
        f'{{"count":{value},"data":[{{"stylist":"ann"}},{{"stylist":"bob"}}]}}',
        OWN_ONLY,
        records="data[]",
        beside=["count"],
        page_totals=["count"],
    )
    wanted = b'"count":1,' if stays else b""
    assert made.body == b"{" + wanted + b'"data":[{"stylist":"ann"}]}'


def test_a_count_that_may_not_stand_beside_leaves():
    made = cut_clients('{"count":0,"data":[]}', OWN_ONLY, records="data[]", page_totals=["count"])
    assert made.body == b'{"data":[]}'


def test_each_envelope_counts_its_own():
    made = cut_clients(
        '{"n":3,"days":[{"n":2,"of":[{"stylist":"ann"},{}]},{"n":1,"of":[{"stylist":"ann"}]}]}',
        OWN_ONLY,
        records="days[].of[]",
        beside=["n"],
        page_totals=["n"],
    )
    assert json.loads(made.body) == {
        "n": 2,
        "days": [{"n": 1, "of": [{"stylist": "ann"}]}, {"n": 1, "of": [{"stylist": "ann"}]}],
    }


def test_numbers_stay_if_no_record_can_be_refused():
    text = '{"data":[{"stylist":"bob"}],"total":9}'
    made = cut_clients(text, OWN_PHONES, records="data[]", beside=["total"])
    assert made.body == text.encode()


# -- records inside records ------------------------------------------------------------------


def test_a_record_inside_is_cut_as_what_it_is():
    made = cut_bookings(
        '{"id":1,"when":"t","client":{"id":7,"phone":"1","name":"kim","x":1},"y":2}', OWN_PHONES
    )
    assert made.body == b'{"id":1,"when":"t","client":{"id":7,"name":"kim"},"y":2}'
    assert made.dropped == {"contact": 1, "unmapped": 1}
    assert made.hidden_fields == ("client.phone",)
    assert made.shown_fields == ("client.name", "when")
    assert (made.records, made.refused) == (1, 0)


@pytest.mark.parametrize("client", [None, OWN_ONLY])
def test_a_record_inside_that_may_not_be_seen_leaves_whole(client):
    made = cut_bookings('{"id":1,"client":{"id":7,"stylist":"bob","phone":"1"}}', client)
    assert made.body == b'{"id":1}'
    assert made.dropped == {"-": 1}
    assert made.hidden_fields == ("client",)
    assert (made.records, made.refused) == (1, 0)


def test_items_that_may_not_be_seen_leave_a_list_inside():
    made = cut_bookings(
        '{"party":{"guests":[{"id":1,"stylist":"ann"},{"id":2},null,"x",[{}],7]}}', OWN_ONLY
    )
    assert made.body == b'{"party":{"guests":[{"id":1,"stylist":"ann"},null]}}'
    assert made.dropped == {"-": 1, "unmapped": 3}
    assert made.hidden_fields == ("guests",)
    assert made.shown_fields == ("guests.stylist",)


@pytest.mark.parametrize("client", [None, SEES_ALL, OWN_ONLY])
@pytest.mark.parametrize("sensitive", [True, False])
@pytest.mark.parametrize("value", ['"kim, 090"', "7", "true", '[{"id":7}]', "[]"])
def test_anything_else_in_its_place_is_unmapped(value, client, sensitive):
    resource = a_resource(
        "booking",
        [("when", None, "when")],
        sensitive=sensitive,
        embeds=[("client", "client", "client")],
    )
    made = cut_bookings(f'{{"id":1,"client":{value}}}', client, resource=resource)
    assert made.body == b'{"id":1}'
    assert made.dropped == {"unmapped": 1}


def test_null_in_its_place_stays():
    for client in (None, SEES_ALL, OWN_ONLY):
        made = cut_bookings('{"client":null,"party":null}', client)
        assert made.body == b'{"client":null,"party":null}'


def test_a_list_of_records_that_is_none_leaves():
    made = cut_bookings('{"party":{"guests":{"id":1}},"id":1}', SEES_ALL)
    assert made.body == b'{"party":{},"id":1}'
    assert cut_bookings('{"party":[{"guests":[{}]}]}', SEES_ALL).body == b"{}"


def test_a_resource_that_is_not_sensitive_loses_what_may_not_be_seen_inside_it():
    resource = a_resource("page", [], sensitive=False, embeds=[("client", "client", "client")])
    made = cut_bookings('{"x":{"y":1},"client":{"phone":"1"}}', OWN_PHONES, resource=resource)
    assert made.body == b'{"x":{"y":1},"client":{}}'
    assert cut_bookings('{"client":{}}', None, resource=resource).body == b"{}"


def test_records_inside_records_are_judged_each_by_itself():
    made = cut_bookings(
        '{"client":{"stylist":"ann","friend":{"stylist":"bob","phone":"1",'
        '"friend":{"stylist":"ann","phone":"2"}}}}',
        OWN_PHONES,
    )
    assert made.body == (
        b'{"client":{"stylist":"ann","friend":{"stylist":"bob",'
        b'"friend":{"stylist":"ann","phone":"2"}}}}'
    )
    assert made.hidden_fields == ("client.friend.phone",)
    assert "client.friend.friend.phone" in made.shown_fields


def test_beyond_the_third_level_records_leave_as_unmapped():
    for deepest in ('{"id":4}', "null", '"x"'):
        text = '{"client":{"friend":{"friend":{"id":3,"friend":%s}}}}' % deepest  # noqa: UP031  # braces
        made = cut_bookings(text, SEES_ALL)
        assert made.body == b'{"client":{"friend":{"friend":{"id":3}}}}'
        assert made.dropped == {"unmapped": 1}


def test_records_with_records_inside_are_themselves_judged():
    text = (
        '[{"stylist":"ann","friend":{"stylist":"bob"}},'
        '{"stylist":"bob","friend":{"stylist":"ann","phone":"1"}}]'
    )
    made = cut(
        text.encode(),
        a_plan(OWN_ONLY, records="[]"),
        judge=a_judge(OWN_ONLY),
        judges={"client": a_judge(OWN_ONLY)},
    )
    assert made.body == b'[{"stylist":"ann"}]'
    assert made.hidden_fields == ("friend",)
    assert (made.records, made.refused) == (1, 1)


def test_an_object_at_a_leaf_inside_a_record_inside_is_found():
    made = cut_bookings('{"client":{"name":{"secret":1}},"when":"{"}', OWN_PHONES)
    assert made.body == b'{"client":{},"when":"{"}'


def test_side_loaded_records_leave_if_those_inside_may_lose_anything():
    text = '{"data":[{"id":1}],"included":[{"phone":"1"}]}'
    assert cut_bookings(text, OWN_PHONES, records="data[]").body == b'{"data":[{"id":1}]}'
    assert cut_bookings(text, None, records="data[]").body == b'{"data":[{"id":1}]}'
    assert cut_bookings(text, SEES_ALL, records="data[]").body == text.encode()


# -- errors ----------------------------------------------------------------------------------


def test_of_an_error_only_what_no_record_hides_stays():
    text = b'{"name":["taken"],"phone":["taken"],"detail":"kim exists"}'
    assert cut_error(text, a_plan(OWN_PHONES)).body == b'{"name":["taken"]}'


def test_an_error_may_speak_of_a_refused_record_so_nothing_of_it_stays():
    page = a_resource("page", [("name", None, "name")], sensitive=False)
    plan = build_plan(
        page, frozenset(), records=parse_field_path(""), depends=True, may_refuse=True
    )
    assert cut_error(b'{"name":1,"detail":"kim exists"}', plan).body == b"{}"


def test_records_inside_leave_errors_and_so_do_messages_about_them():
    text = b'{"when":1,"client":{"id":7},"detail":"kim"}'
    plan = a_plan(SEES_ALL, BOOKING)
    made = cut_error(text, plan, judges={"client": a_judge(SEES_ALL)})
    assert made.body == b'{"when":1,"detail":"kim"}'
    assert made.hidden_fields == ("client",)
    for judges in ({}, {"client": a_judge(OWN_PHONES)}):
        assert cut_error(text, plan, judges=judges).body == b'{"when":1}'


def test_a_broken_answer_is_refused_whoever_would_have_left_it():
    for text in ('[{"stylist":"bob"},7]', '[{"stylist":"bob"}', '[{"stylist":"bob"}]x'):
        with pytest.raises(UpstreamError):
            cut_clients(text, OWN_ONLY, records="[]")


# -- short and long --------------------------------------------------------------------------


def test_many_small_lists_inside_the_records_are_cut_with_pauses_between_them():
    party = '{"party":{"guests":[' + ",".join(["{}"] * 160) + "]}}"
    body = ("[" + ",".join([party] * BATCH) + "]").encode()
    plan = a_plan(SEES_ALL, BOOKING, records="[]")
    judges = {"client": a_judge(OWN_PHONES)}
    steps = cut_steps(body, plan, judges=judges)
    assert sum(1 for _ in steps) >= BATCH // 8
    assert cut(body, plan, judges=judges).dropped == {}


def test_large_objects_of_which_no_two_are_alike_are_cut_with_pauses_between_them():
    records = [{f"{n}x{at}": 0 for at in range(100)} for n in range(BATCH)]
    body = json.dumps(records).encode()
    plan = a_plan(SEES_ALL, records="[]")
    assert sum(1 for _ in cut_steps(body, plan)) >= BATCH // 2
    assert json.loads(cut(body, plan).body) == records


def test_what_was_worked_out_for_one_answer_counts_in_the_next_as_often_as_it_is_there():
    plan, judge = a_plan(OWN_PHONES, records="[]"), a_judge(OWN_PHONES)
    mine, hers = '{"id":1,"stylist":"ann","phone":1,"x":2}', '{"id":2,"stylist":"kim","phone":1}'
    for text, dropped in (
        (f"[{mine}]", {"unmapped": 1}),
        (f"[{mine},{hers}]", {"unmapped": 1, "contact": 1}),
        (f"[{mine},{hers},{hers},{mine},{hers}]", {"unmapped": 2, "contact": 3}),
        (f"[{hers},{hers}]", {"contact": 2}),
        (f"[{hers},{hers}]", {"contact": 2}),
    ):
        made = cut(text.encode(), plan, judge=judge)
        assert made.dropped == dropped
        assert made.hidden_fields == (("phone",) if "contact" in dropped else ())
        assert made.shown_fields == (("phone", "stylist") if mine in text else ("stylist",))


def test_a_long_answer_and_a_short_one_are_cut_alike():
    record = '{"id":1,"stylist":"ann","phone":1,"friend":{"id":2,"phone":3}}'
    plan, how = a_plan(OWN_PHONES, records="data[]"), {"judge": a_judge(OWN_PHONES)}
    for many in (2, 2 * SHORT_BODY // len(record)):
        body = ('{"data":[' + ",".join([record] * many) + '],"total":9}').encode()
        made = cut(body, plan, **how, judges={"client": a_judge(OWN_PHONES)})
        assert (len(body) > SHORT_BODY) == (many > 2)
        assert made.records == many
        assert made.dropped == {"unmapped": 1, "contact": many}
