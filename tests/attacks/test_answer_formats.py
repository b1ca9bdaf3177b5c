"""Answers in other formats than one JSON document, written to smuggle something by.

The rule: what is not understood in exactly one way is refused, and nothing hidden goes out.
"""

import pytest

from gateway.domain.errors import GatewayError, RequestError, UpstreamError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.http import Format
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED, Field, Resource
from gateway.masking.events import EventCut
from gateway.masking.formats import cut_as_steps
from gateway.masking.mediatype import content_fits
from gateway.masking.plan import build_plan

SECRET = b"a-secret"
CLIENT = Resource(
    name="client",
    id=parse_field_path("id"),
    fields={
        name: Field(name=name, paths=(parse_field_path(name),), field_class=field_class)
        for name, field_class in (("name", None), ("email", "contact"), ("tags", None))
    },
)
COLUMNS = {
    "ID": parse_field_path("id"),
    "Name": parse_field_path("name"),
    "Mail": parse_field_path("email"),
}


def a_plan(records="[]"):
    return build_plan(CLIENT, frozenset({"email", UNMAPPED}), records=parse_field_path(records))


def cut_as(wanted, body, records="[]"):
    steps = cut_as_steps(wanted, body, a_plan(records), columns=COLUMNS)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value.body


def refused(wanted, body, records="[]"):
    with pytest.raises(UpstreamError) as caught:
        cut_as(wanted, body, records)
    assert SECRET not in str(caught.value).encode()
    return caught.value.reason is Reason.ANSWER_NOT_CUT


def cut_event(document):
    try:
        return cut_as(Format.JSON, document, records="")
    except RequestError:
        return None


def stream(*chunks):
    cut = EventCut(cut_event)
    made = b"".join(event for chunk in chunks for event in cut.feed(chunk))
    cut.finish()
    return made


# -- CSV -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'ID,Name,Mail\n1,"x"a-secret,m\n',
        b'ID,Name,Mail\n1,x"a-secret",m\n',
        b'ID,Name,Mail\n1,"x" ,a-secret\n',
        b'ID,Name,Mail\n1, "x,",a-secret\n',
        b'ID,Name,Mail\n1,"x\\",a-secret,"m"\n',  # to MySQL one cell: x",a-secret,
        b'ID,Name,Mail\n1,"x\\"",a-secret\n',
        b"ID,Name,Mail\n1,x\\,a-secret\n",
        b"ID,Name,Mail\n1,x\\\n2,a-secret,m\n",
        b"ID,Name,Mail\n1,'x,a-secret',m\n",
        b"ID,Name,Mail\n1,a-secret\n",
        b"ID,Name,Mail\n1,x,m,a-secret\n",
        b"ID,Name,Mail\n1,x\n,a-secret,m\n,\n",
        b"ID,Name,Mail\r1,a-secret,m\r",
        b"ID,Name,Mail\n1,x\ra-secret,m\n",
        b'ID,Name,Mail\n1,"x,a-secret,m\n',
        b"ID,Name,Mail\n1,x\x00,a-secret\n",
        b"ID,Name,Mail\n1,x\x1ca-secret,m\n",
        b"ID,Name,Mail\n1,x\xa0,a-secret\n",
        b"ID,Name,Mail\n1,\xed\xa0\x80,a-secret\n",
        b"ID,Name,Name\n1,x,a-secret\n",
        b'ID,Name,"Name"\n1,x,a-secret\n',
        b"ID;Name,Mail\n1;a-secret,m\n",
        b"sep=,\nID,Name\n1,a-secret\n",
        b"sep=;\n1;a-secret\n",
        b"# exported\nID,Name,Mail\n1,x,a-secret\n",
        b'{"ID":1,"Name":"a-secret"}\n{"a":1}\n',
        "ID,Name,Mail\n1,x,a-secret\n".encode("utf-16"),
        "ID,Name,Mail\n1,x,a-secret\n".encode("utf-16-le"),
        b"",
    ],
)
def test_a_table_with_two_meanings_is_refused(body):
    assert refused(Format.CSV, body)


@pytest.mark.parametrize(
    "header",
    ["mail", "MAIL", " Mail", "Mail ", "Ｍail", "Ma\u200bil", '"Ma""il"', "email", "name",
     "e.mail", ".Mail", "contact", "=Mail", "Name\u0301", '"Name\n"', "__proto__"],
)  # fmt: skip
def test_a_column_under_another_name_is_unmapped_and_leaves(header):
    made = cut_as(Format.CSV, f"ID,{header}\n1,a-secret\n".encode())
    assert made == b"ID\r\n1\r\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_disguises_no_column(mark):
    made = cut_as(Format.CSV, mark + b'"Mail",ID\na-secret,1\n')
    assert made == mark + b"ID\r\n1\r\n"


@pytest.mark.parametrize("header", ["\ufeff\ufeffID,Name", "ID,\ufeffName"])
def test_a_mark_that_does_not_begin_the_table_is_refused(header):
    assert refused(Format.CSV, f"{header}\na-secret,x\n".encode())


@pytest.mark.parametrize(
    "cell",
    [b"=1+1", b"@SUM(A1)", b"+81", b"-1", b'"=HYPERLINK(""x"",""y"")"', b"=cmd|' /C calc'!A0"],
)
def test_a_formula_is_text_and_passes_as_it_is(cell):
    body = b"ID,Name\r\n1," + cell + b"\r\n"
    assert cut_as(Format.CSV, body) == body


def test_line_ends_inside_quotes_are_text_and_make_no_row():
    body = b'ID,Name\r\n1,"a\r\nb\nc\rd"\r\n'
    assert cut_as(Format.CSV, body) == body
    assert cut_as(Format.CSV, b'ID,Mail\r\n1,"x\r\n2,a-secret"\r\n') == b"ID\r\n1\r\n"


def test_text_that_looks_like_json_stays_text():
    body = b'ID,Name\r\n1,"{""email"":""x""}"\r\n2,"\\u0022,\\n"\r\n'
    assert cut_as(Format.CSV, body) == body


# -- NDJSON ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":1}{"id":"a-secret"}\n',
        b'{"id":1} {"email":"a-secret"}\n',
        b'{"id":1},{"email":"a-secret"}\n',
        b'{"id":1,"name":\n"a-secret"}\n',
        b'{"id":1\n},{"email":"a-secret"}\n',
        b'{"id":1}]\n[{"email":"a-secret"}\n',
        b'{"id":1}\r{"email":"a-secret"}\n',
        b'{"id":1}\x0b{"email":"a-secret"}\n',
        b'{"id":1}\x1e{"email":"a-secret"}\n',
        '{"id":1}\u2028{"email":"a-secret"}\n'.encode(),
        b'{"id":1}\n\n{"email":"a-secret"}\n',
        b'[{"email":"a-secret"}]\n',
        b'"a-secret"\n',
        b"a-secret\n",
        b'// a-secret\n{"id":1}\n',
        b'{"id":1}\n{"name":"a-secret',
        b'\xef\xbb\xbf{"id":1}\n',
        b'{"name":"a-secret\xff"}\n',
        b'{"name":"a-secret\\ud800"}\n',
    ],
)
def test_lines_that_are_not_one_document_each_are_refused(body):
    assert refused(Format.NDJSON, body)


@pytest.mark.parametrize(
    "line",
    [b'{"id":1,"email":"a-secret"}', b'{"e\\u006dail":"a-secret","id":1}',
     b'{"email":"x","id":1,"email":"a-secret"}', b'{"id":1,"Email":["a-secret"]}',
     b'{"tags":[{"email":"a-secret"}],"id":1}', b'{"name":{"x":"a-secret"},"id":1}'],
)  # fmt: skip
def test_no_disguise_of_a_member_helps_in_a_line_or_an_event(line):
    assert cut_as(Format.NDJSON, line + b"\r\n" + line) == b'{"id":1}\n{"id":1}\n'
    assert stream(b"data: " + line + b"\n\n") == b'data: {"id":1}\n\n'


# -- events ----------------------------------------------------------------------------------

EVENT = b'event: client.updated\nid: 7\ndata: {"id":1,"email":"a-secret",\ndata: "name":"n"}\n\n'


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_cut_the_same_wherever_its_chunks_are_split(end):
    text = b"\xef\xbb\xbf: a-secret\n\n".replace(b"\n", end) + EVENT.replace(b"\n", end)
    wanted = b':\n\nevent: client.updated\nid: 7\ndata: {"id":1,"name":"n"}\n\n'
    for at in range(len(text)):
        assert stream(text[:at], text[at:]) == wanted
    assert stream(*(text[at : at + 1] for at in range(len(text)))) == wanted


@pytest.mark.parametrize(
    "text",
    [
        b"data: a-secret\n\n",
        b'data: {"email":"a-secret"\n\n',
        b'data: {"id":1}\ndata: {"email":"a-secret"}\n\n',
        b'data: {"id":1}{"email":"a-secret"}\n\n',
        b'data: [{"email":"a-secret"}]\n\n',
        b'data: {"name":"a\ndata: -secret"}\n\n',
        b'data: {"name":"a-secret\xff"}\n\n',
        b'event: a-secret!\ndata: {"id":1}\n\n',
        b'event: mail a-secret\ndata: {"id":1}\n\n',
        b'id: a-secret@salon.example\ndata: {"id":1}\n\n',
        b'id: {"email":"a-secret"}\n\n',
        b"data:\ndata:\n\n",
    ],
)
def test_what_is_no_plain_event_with_one_document_ends_the_stream(text):
    with pytest.raises(GatewayError) as caught:
        stream(text)
    assert caught.value.reason is Reason.ANSWER_NOT_CUT
    assert SECRET not in str(caught.value).encode()


@pytest.mark.parametrize(
    "line",
    [b": a-secret", b":a-secret", b"a-secret", b"a-secret: 1", b"Data: a-secret",
     b" data: a-secret", b"data : a-secret", b"retry: a-secret", b"\xef\xbb\xbfdata: a-secret",
     b"\x00data: a-secret", b"\x0bdata: a-secret", "data\uff1aa-secret".encode(),
     b"dat\x85a: a-secret"],
)  # fmt: skip
def test_what_no_browser_reads_does_not_go_out(line):
    made = stream(b'data: {"id":1}\n' + line + b"\n\n")
    assert made == b'data: {"id":1}\n\n'


@pytest.mark.parametrize("inside", [b"\x0b", b"\x0c", b"\x1e", "\u2028".encode(), b"\xc2\x85"])
def test_only_cr_and_lf_end_a_line(inside):
    body = b'data: {"id":1}' + inside + b'data: {"email":"a-secret"}\n\n'
    with pytest.raises(GatewayError):
        stream(body)


def test_a_value_with_line_ends_in_it_cannot_end_its_event():
    assert stream(b'data: {"tags":[1,\ndata:\ndata: 2]}\n\n') == (
        b'data: {"tags":[1,\ndata: \ndata: 2]}\n\n'
    )


# -- types that lie --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html><p>a-secret",
        b'callback({"id":1,"email":"a-secret"});',
        b'/**/callback([{"email":"a-secret"}])',
        b')]}\',\n[{"email":"a-secret"}]',
        b'for(;;);{"email":"a-secret"}',
        b"id,email\n1,a-secret\n",
        b'data: {"email":"a-secret"}\n\n',
        b"--x\r\nContent-Type: application/json\r\n\r\n{}\r\n--x--",
        b'<?xml version="1.0"?><a>a-secret</a>',
        b"id: 1\nemail: a-secret\n",
        b"\x81\xa5email\xa8a-secret",
    ],
)
@pytest.mark.parametrize("wanted", [Format.JSON, Format.NDJSON])
def test_a_body_that_is_not_what_its_type_says_is_refused(body, wanted):
    assert refused(wanted, body)


@pytest.mark.parametrize(
    "body",
    [b"<html>\n<p>a-secret\n</html>", b'[{"email":"a-secret"}]', b"a-secret", b"1,x,a-secret\n"],
)
def test_a_page_or_a_table_without_its_header_is_no_table(body):
    assert refused(Format.CSV, body)
    open_to_all = build_plan(CLIENT, frozenset({"email"}), records=parse_field_path("[]"))
    with pytest.raises(UpstreamError):
        list(cut_as_steps(Format.CSV, body, open_to_all, columns=COLUMNS))


@pytest.mark.parametrize("wanted", Format)
@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "application/javascript",
        "text/javascript; charset=utf-8",
        "multipart/mixed; boundary=json",
        "application/xml",
        "text/plain; application/json",
        "application/json, text/csv",
        "text/csv;charset=shift_jis",
        "text/csv;header=absent",
        'text/csv;header="absent"',
        "text/event-stream;charset=utf-16",
        "application/x-ndjson;charset=latin1",
        "application /json",
        "application/json\x00",
        "application/json;charset=utf-8;charset=utf-16",
    ],
)
def test_no_other_type_fits_any_format(content_type, wanted):
    assert not content_fits((("content-type", content_type),), wanted)
