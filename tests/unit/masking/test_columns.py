"""A table, cut: rows, cells and columns."""

from datetime import date

import pytest

from gateway.domain.decision import Permit
from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.http import Format
from gateway.domain.obligation import CLOSED, Conjunct, Grant, Residual
from gateway.domain.reason import Reason
from gateway.domain.record import Asker, AtLeast, IsMe, RecordFact
from gateway.domain.resource import UNMAPPED, Embed, Field, Resource
from gateway.domain.ruleref import RuleRef
from gateway.masking.formats import cut_as_steps
from gateway.masking.judge import judge_of
from gateway.masking.plan import build_node, build_plan

ANN = Asker(crm_id="ann", today=date(2026, 11, 21))
RULE = RuleRef("salon_rules.csv", 3)
ALWAYS = Residual(allows=(Conjunct(RULE),))
OWN = Residual(allows=(Conjunct(RULE, positive=1),))
REGULAR = Residual(allows=(Conjunct(RULE, positive=2),))


def a_resource(name, fields, facts=(), embeds=()):
    return Resource(
        name=name,
        id=parse_field_path("id"),
        fields={
            field: Field(name=field, field_class=field_class, paths=(parse_field_path(path),))
            for field, path, field_class in fields
        },
        facts=facts,
        embeds={at: Embed(path=parse_field_path(at), resource=what) for at, what in embeds},
    )


CLIENT = a_resource(
    "client",
    [
        ("name", "name", None),
        ("phone", "contact.phone", "contact"),
        ("stylist", "stylist", None),
        ("visits", "visits", None),
    ],
    facts=(
        RecordFact(name="own", field="stylist", comparison=IsMe()),
        RecordFact(name="regular", field="visits", comparison=AtLeast(3)),
    ),
)
BOOKING = a_resource("booking", [("when", "when", None)], embeds=[("client", "client")])
COLUMNS = {
    header: parse_field_path(path)
    for header, path in {
        "ID": "id",
        "お名前": "name",
        "Phone": "contact.phone",
        "Stylist": "stylist",
        "Visits": "visits",
    }.items()
}


def a_permit(*, test=ALWAYS, phone=CLOSED, unmapped=CLOSED):
    fields = dict.fromkeys(("name", "stylist", "visits"), (ALWAYS, CLOSED))
    fields |= {"phone": (phone, CLOSED), UNMAPPED: (unmapped, CLOSED)}
    return Permit(
        by=(RULE,),
        depends=any(part not in (ALWAYS, CLOSED) for part in (test, phone, unmapped)),
        refuses=test is not ALWAYS,
        hidden=frozenset(name for name, (read, _) in fields.items() if read is not ALWAYS),
        grants={"aoyama": Grant(test=test, fields=fields)},
    )


def a_judge(permit, resource):
    def node_of(hidden, prefix):
        return build_node(resource, hidden, prefix)

    return judge_of(permit, resource, asker=ANN, node_of=node_of)


def cut_table(text, permit=None, resource=CLIENT, *, client=None, columns=COLUMNS):
    permit = permit or a_permit()
    plan = build_plan(
        resource,
        permit.hidden,
        records=parse_field_path("[]"),
        depends=permit.depends,
        may_refuse=permit.refuses,
    )
    steps = cut_as_steps(
        Format.CSV,
        text if isinstance(text, bytes) else text.encode(),
        plan,
        judge=a_judge(permit, resource),
        judges={} if client is None else {"client": a_judge(client, CLIENT)},
        columns=columns,
    )
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def shown(text, permit=None, **how):
    return cut_table(text, permit, **how).body.decode()


def test_hidden_and_undeclared_columns_leave_and_cells_keep_their_bytes():
    made = cut_table('ID,お名前,Phone,Note\n007,"美 ""咲""",0901,x\n8,=1+1,,\n')
    assert made.body.decode() == 'ID,お名前\r\n007,"美 ""咲"""\r\n8,=1+1\r\n'
    assert (made.records, made.dropped) == (2, {"contact": 1, "unmapped": 1})
    assert (made.hidden_fields, made.shown_fields) == (("phone",), ("name",))


@pytest.mark.parametrize(
    "cell",
    ['"a"', "a", '"\\u0061"', "\\u0061", '"\r\n"', '"\ta"', "\ta", '"😀"', "😀", '""""', "'",
     "\\t", '"\u2028"', "\u2028", "{", '"{""a"":[1]}"', "\x85", "\ufeff", '"\\"', "-0.10", "null"],
)  # fmt: skip
def test_any_cell_that_may_be_read_comes_back_byte_for_byte(cell):
    text = f'ID,"お名前"\r\n1,{cell}\r\n'
    if cell == '"\\"':  # one that may not
        with pytest.raises(UpstreamError):
            cut_table(text)
    else:
        assert shown(text) == text


def test_empty_cells_are_missing_members_and_are_written_alike():
    made = cut_table('ID,お名前\n"",\n')
    assert made.body.decode() == "ID,お名前\r\n,\r\n"
    assert made.shown_fields == ()


def test_a_record_that_may_not_be_seen_loses_its_row():
    text = "ID,Stylist\n1,ann\n2,bob\n3,\n4,ann\n"
    made = cut_table(text, a_permit(test=OWN))
    assert made.body == b"ID,Stylist\r\n1,ann\r\n4,ann\r\n"
    assert (made.records, made.refused) == (2, 2)


def test_a_cell_that_is_hidden_in_one_record_is_emptied_there():
    text = "ID,Phone,Stylist\n1,091,ann\n2,092,bob\n"
    assert shown(text, a_permit(phone=OWN)) == "ID,Phone,Stylist\r\n1,091,ann\r\n2,,bob\r\n"


def test_a_column_in_which_no_row_may_show_anything_leaves():
    text = "ID,Phone,Stylist\n1,091,bob\n2,092,bob\n"
    assert shown(text, a_permit(phone=OWN)) == "ID,Stylist\r\n1,bob\r\n2,bob\r\n"
    always_closed = a_permit(test=OWN)
    assert shown("ID,Phone,Stylist\n1,091,ann\n", always_closed) == "ID,Stylist\r\n1,ann\r\n"


def test_columns_that_are_always_visible_stay_also_without_rows():
    assert shown("ID,Phone,Note\n") == "ID\r\n"
    assert shown("ID,Stylist\n1,bob\n", a_permit(test=OWN)) == "ID,Stylist\r\n"


def test_a_table_of_which_no_column_stays_is_empty():
    assert shown("Note,Phone\nx,091\n") == ""


def test_what_nothing_declares_stays_where_unmapped_may_be_seen():
    text = "ID,Note,.Note,お名前\n1,n,m,x\n"
    assert shown(text, a_permit(unmapped=ALWAYS)) == text.replace("\n", "\r\n")
    assert shown(text, a_permit(unmapped=OWN)) == "ID,お名前\r\n1,x\r\n"


def test_a_column_that_is_not_declared_is_no_field_though_it_is_called_like_a_member():
    text = "ID,stylist,name\n1,ann,x\n"
    assert shown(text) == "ID\r\n1\r\n"
    assert shown(text, a_permit(test=OWN)) == "ID\r\n"


def test_facts_that_compare_numbers_find_texts_and_stay_unknown():
    assert shown("ID,Visits\n1,5\n", a_permit(test=REGULAR)) == "ID,Visits\r\n"


def test_separator_and_byte_order_mark_come_back_as_they_came():
    assert shown("\ufeffID;Phone;お名前\n1;2;a,b\n") == "\ufeffID;お名前\r\n1;a,b\r\n"


def test_a_record_inside_the_row_is_judged_as_what_it_is():
    columns = {
        "Booking": parse_field_path("id"),
        "Client": parse_field_path("client.name"),
        "Phone": parse_field_path("client.contact.phone"),
        "Stylist": parse_field_path("client.stylist"),
    }
    sees_all = Permit(by=(RULE,))
    text = "Booking,Client,Phone,Stylist\n1,a,091,ann\n2,b,092,bob\n"
    how = {"permit": sees_all, "resource": BOOKING, "columns": columns}
    assert shown(text, client=a_permit(test=OWN, phone=OWN), **how) == (
        "Booking,Client,Phone,Stylist\r\n1,a,091,ann\r\n2,,,\r\n"
    )
    assert shown(text, client=a_permit(), **how) == (
        "Booking,Client,Stylist\r\n1,a,ann\r\n2,b,bob\r\n"
    )
    assert shown(text, **how) == "Booking\r\n1\r\n2\r\n"


def test_a_table_is_cut_in_steps_and_bounded_as_the_json_it_would_be():
    plan = build_plan(CLIENT, frozenset({"phone", UNMAPPED}), records=parse_field_path("[]"))
    body = b"ID,Visits\n" + b"1,2\n" * 5_000
    steps = cut_as_steps(Format.CSV, body, plan, columns=COLUMNS)
    assert sum(1 for _ in steps) >= 30
    with pytest.raises(UpstreamError) as caught:
        cut_table(b"ID,Visits\n" + b"1,2\n" * 1_000_000)
    assert caught.value.reason is Reason.ANSWER_TOO_LARGE


def test_what_is_no_table_is_refused():
    with pytest.raises(UpstreamError) as caught:
        cut_table("ID,Phone\n1\n")
    assert caught.value.reason is Reason.ANSWER_NOT_CUT
