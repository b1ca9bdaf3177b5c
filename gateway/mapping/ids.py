"""Which records does a request name? In its path, and where the adapter says: query and body.

All of them are judged before anything is forwarded. So an id is taken in one spelling or not
at all: what the CRM might read as another record (`7.0`, `true`, ` 7`, an empty list that may
mean all of them) is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.domain.errors import RequestError
from gateway.domain.fieldpath import ITEMS, FieldPath
from gateway.domain.reason import Reason
from gateway.mapping.routes import Route, is_record_id

MAX_IDS = 100  # of one request: each is a look-up in the CRM

# RFC 7493 2.2: beyond it programs round to different neighbours; as text, any id is exact.
_LARGEST = 2**53 - 1


def ids_named(
    route: Route,
    match_record: str | None,
    query: tuple[tuple[str, str], ...],
    body_value: Mapping[str, Any] | None,
) -> tuple[str, ...]:
    """Every record id that a request names: path, query, body; in order, each once.

    Args:
        route: the matched route.
        match_record: the id in the path, as `find` gives it.
        query: decoded pairs, in order.
        body_value: the strictly parsed JSON object; None = there is no body.

    Raises:
        RequestError: PARAMETER_INVALID or BODY_INVALID: a declared place holds no id, or too
            many of them.
    """
    found = [] if match_record is None else [match_record]
    found += [_in_query(s.parameter, query) for s in route.ids if s.parameter]
    for source in route.ids:
        if not source.parameter:
            found += _in_body(source.path, body_value)
    ids = tuple(dict.fromkeys(found))
    if len(ids) > MAX_IDS:
        raise _too_many()
    return ids


def _in_query(name: str, query: tuple[tuple[str, str], ...]) -> str:
    values = [value for parameter, value in query if parameter == name]
    if len(values) != 1 or not is_record_id(values[0]):
        detail = f"the parameter `{name}` must stand once and name one record"
        raise RequestError(Reason.PARAMETER_INVALID, detail)
    return values[0]


def _in_body(path: FieldPath, value: Any) -> Iterator[str]:
    for step in path.steps:
        if step == ITEMS:  # the last one
            if not isinstance(value, list) or not value:
                raise _not_ids(path)
            if len(value) > MAX_IDS:
                raise _too_many()
            yield from (_id(item, path) for item in value)
            return
        if not isinstance(value, Mapping) or step not in value:
            raise _not_ids(path)
        value = value[step]
    yield _id(value, path)


def _id(value: Any, path: FieldPath) -> str:
    """An id as text. A CRM that numbers its records may send and take the bare number."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return str(value)
    if isinstance(value, str) and is_record_id(value):
        return value
    raise _not_ids(path)


# The path is the adapter's word; what stood there is not repeated.
def _not_ids(path: FieldPath) -> RequestError:
    return RequestError(Reason.BODY_INVALID, f"The body must name records in `{path}`.")


def _too_many() -> RequestError:
    return RequestError(Reason.BODY_INVALID, f"The body names more than {MAX_IDS} records.")
