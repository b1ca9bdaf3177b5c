"""What is believed of a look-up's answer."""

from datetime import date

import pytest

from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.reason import Reason
from gateway.domain.record import Asker, IsMe, RecordFact, RecordState
from gateway.domain.resource import Field, Resource
from gateway.masking.facts import FactReader
from gateway.masking.look import Looked, look


def a_reader(record_id="id"):
    resource = Resource(
        name="client",
        id=parse_field_path(record_id) if record_id else None,
        fields={"stylist": Field(name="stylist", paths=(parse_field_path("stylist_id"),))},
        facts=(RecordFact(name="own_client", field="stylist", comparison=IsMe()),),
    )
    return FactReader(resource, Asker(crm_id="ann", today=date(2026, 11, 21)))


def looked(body, records="", record_id="id"):
    return look(body, records=parse_field_path(records), reader=a_reader(record_id))


OWN = RecordState(None, 1, 0)


@pytest.mark.parametrize(
    ("body", "records", "found"),
    [
        (b'{"id":7,"stylist_id":"ann"}', "", Looked(record_id="7", state=OWN)),
        (b'{"data":{"id":"7","stylist_id":"ann"}}', "data", Looked(record_id="7", state=OWN)),
        (b'{"a":{"b":{"id":7}}}', "a.b", Looked(record_id="7", state=RecordState())),
        (b'{"stylist_id":"bob"}', "", Looked(record_id=None, state=RecordState(None, 0, 1))),
    ],
)
def test_the_record_is_read_where_the_route_says(body, records, found):
    assert looked(body, records) == found


@pytest.mark.parametrize("value", ["null", "true", "7.0", "[7]", '{"id":7}'])
def test_what_is_no_id_of_an_address_is_none(value):
    assert looked(f'{{"id":{value}}}'.encode()).record_id is None


def test_an_id_may_stand_inside_the_record_or_nowhere():
    assert looked(b'{"meta":{"id":7}}', record_id="meta.id").record_id == "7"
    assert looked(b'{"meta":7}', record_id="meta.id").record_id is None
    assert looked(b'{"id":7}', record_id="").record_id is None


@pytest.mark.parametrize(
    ("body", "records"),
    [
        (b"", ""),
        (b"null", ""),
        (b'"text"', ""),
        (b"<html>", ""),
        (b'[{"id":7}]', ""),
        (b'[{"id":7}]', "[]"),
        (b'{"data":[{"id":7}]}', "data"),
        (b'{"data":[{"id":7}]}', "data[]"),
        (b'{"[]":{"id":7}}', "[]"),
        (b'{"id":7}', "data"),
        (b'{"data":null}', "data"),
        (b'{"id":7,"id":8}', ""),
        (b'{"id":7,"name":"\xff"}', ""),
        (b'{"id":7,"name":"\\ud800"}', ""),
        (b'\xef\xbb\xbf{"id":7}', ""),
        ('{"id":7}'.encode("utf-16"), ""),
        (b'{"id":7,"n":NaN}', ""),
        (b'{"id":7} {"id":8}', ""),
        (b'{"a":' * 100_000, ""),
    ],
)
def test_anything_but_one_record_stops_the_write(body, records):
    with pytest.raises(UpstreamError) as caught:
        looked(body, records)
    assert caught.value.reason is Reason.LOOKUP_FAILED
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
