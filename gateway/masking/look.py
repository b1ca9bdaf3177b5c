"""What a look-up showed of one record, before something is done to it.

True here: only one strict JSON object where the adapter says that the record stands is
believed. Anything else stops the write: it would be decided on a record nobody has read.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import ITEMS, FieldPath
from gateway.domain.reason import Reason
from gateway.domain.record import RecordState
from gateway.masking.facts import FactReader
from gateway.texts.jsontext import parse_strict_json

MAX_LOOKED_DEPTH = 64  # records of CRMs embed others that embed others; ten levels are many


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One record, as far as rules ask about it.

    Attributes:
        record_id: its id as an address writes it; None = it tells none.
    """

    record_id: str | None
    state: RecordState


def look(body: bytes, *, records: FieldPath, reader: FactReader) -> Looked:
    """Read a look-up's answer.

    Args:
        body: the whole JSON text, of a size that the caller has bounded.
        records: where the look-up's route says that the record stands.
        reader: of the record's resource.

    Raises:
        UpstreamError: LOOKUP_FAILED.
    """
    try:
        value: object = parse_strict_json(body, MAX_LOOKED_DEPTH, len(body))
    except ValueError:
        raise _failed() from None  # the error may tell what stands in the body
    for step in records.steps:
        value = _member(value, step)
    if not isinstance(value, dict):
        raise _failed()
    return Looked(record_id=_id_of(value, reader), state=reader.read_state(value))


def _member(value: object, step: str) -> object:
    # A list is no answer about one record.
    if step == ITEMS or not isinstance(value, dict) or step not in value:
        raise _failed()
    return value[step]


def _id_of(record: Mapping[str, object], reader: FactReader) -> str | None:
    path = reader.resource.id
    if path is None:
        return None
    value: object = record
    for step in path.steps:
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _failed() -> UpstreamError:
    return UpstreamError(
        Reason.LOOKUP_FAILED, "The CRM did not show the record that this would change."
    )
