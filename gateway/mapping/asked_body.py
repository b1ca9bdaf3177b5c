"""Does a body that asks, a search by POST, ask about something the person may not see?

The same as for a query (`query.py`), for the JSON object of a route with `asks:`. A body has
no use for what nobody declared, so here unknown is always refused, whoever asks:

- Every member, at any depth, is one that the adapter names, in exactly this spelling. So an
  alias (`{"p": "phone"}`), an operator or a clause that nobody described is unknown.
- What stands in a place is of the declared form: a value, an object or an array.
- An object or array with nothing in it asks about whatever is declared inside it by name;
  where only families stand inside (`filter.{field}`), an empty one names no field.
- An item of a list that could name a field does so: what a CRM compares otherwise, nobody knows.
- A text that may ask anything (GraphQL) is declared `{searches: ["*"]}`, and is refused
  wherever anything is hidden.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.domain.errors import RequestError
from gateway.domain.question import Condition
from gateway.domain.reason import Reason
from gateway.mapping.fits import Asking, require_fit, secret_of, touches
from gateway.mapping.parameters import (
    AskedMember,
    Capped,
    FieldNamed,
    Named,
    Parameter,
    Plain,
    Searches,
)
from gateway.mapping.routes import Route

MAX_ASKED = 1_000  # places of one body: no screen has so many filters

_NOTHING = AskedMember()


def require_body_answerable(
    route: Route, value: Mapping[str, Any], hidden: frozenset[str]
) -> tuple[Condition, ...]:
    """Refuse a body that asks about what is hidden, or that nobody here understands.

    Args:
        route: with `asks`; without, every member is unknown.
        value: the strictly parsed JSON object, of bounded depth.
        hidden: as for `require_answerable`.

    Returns:
        What each record of the answer must be held to, beside what the query asks for.

    Raises:
        RequestError: UNKNOWN_PARAMETER, BODY_INVALID or HIDDEN_FIELD_ASKED.
    """
    root = route.asks or _NOTHING
    secret = secret_of(route, hidden)
    conditions: list[Condition] = []
    count = 0
    todo: list[tuple[AskedMember, Any]] = list(_members(root, value))
    while todo:
        spot, found = todo.pop()
        count += 1
        if count > MAX_ASKED:
            raise RequestError(Reason.BODY_INVALID, f"the body asks more than {MAX_ASKED} things")
        if _takes_anything(spot.parameter, found):
            _require_open(spot, secret)
        elif isinstance(found, Mapping):
            todo += _inside(spot, found, secret)
        elif isinstance(found, list):
            todo += _items(spot, found, secret)
        elif (condition := _fit(spot, found, secret)) is not None:
            conditions.append(condition)
    return tuple(dict.fromkeys(conditions))


def _members(spot: AskedMember, value: Mapping[str, Any]) -> Iterator[tuple[AskedMember, Any]]:
    for name, inner in value.items():
        member = spot.members.get(name)
        if member is None:
            raise RequestError(Reason.UNKNOWN_PARAMETER, "a member of the body is not known here")
        yield member, inner


def _inside(
    spot: AskedMember, value: Mapping[str, Any], secret: frozenset[str]
) -> Iterator[tuple[AskedMember, Any]]:
    if not spot.members:
        raise _asking(spot).invalid("takes no object")
    if not value:
        _require_open(spot, secret)
    return _members(spot, value)


def _items(
    spot: AskedMember, value: list[Any], secret: frozenset[str]
) -> Iterator[tuple[AskedMember, Any]]:
    item = spot.items
    if item is None:
        raise _asking(spot).invalid("takes no array")
    if not value:
        _require_open(spot, secret)
    naming = [n for n, m in item.members.items() if isinstance(m.parameter, FieldNamed)]
    for one in value:
        if isinstance(one, Mapping) and not all(name in one for name in naming):
            raise _asking(item).invalid("must name its field")
        yield item, one


def _require_open(spot: AskedMember, secret: frozenset[str]) -> None:
    """Of an object or array with nothing in it: everything declared inside by name is asked."""
    todo = [spot]
    while todo:
        one = todo.pop()
        match one.parameter:
            case Searches() as searches:
                shut = touches(searches, secret)
            case Named(fields=fields):
                shut = bool(fields & secret)
            case _:
                shut = False
        if shut:
            raise _asking(spot).hidden()
        todo += (member for member in one.members.values() if not member.slotted)
        if one.items is not None:
            todo.append(one.items)


def _takes_anything(parameter: Parameter | None, value: Any) -> bool:
    """GraphQL's variables: whatever stands there, it is asked about everything already."""
    return (
        isinstance(parameter, Searches)
        and parameter.everything
        and not parameter.recheck
        and isinstance(value, Mapping | list)
    )


def _fit(spot: AskedMember, value: Any, secret: frozenset[str]) -> Condition | None:
    """A scalar of JSON, as what it would be in a query."""
    parameter, asking = spot.parameter, _asking(spot)
    inner = parameter.value if isinstance(parameter, Named) else parameter
    match inner:
        case None:
            raise asking.invalid("takes no value of its own")
        case Plain(one_of=None) | Searches(recheck=False):
            text = ""  # any scalar, which says nothing more
        case Capped() if isinstance(value, int) and not isinstance(value, bool):
            text = str(value)
        case FieldNamed() if value == "":
            # Not `sort=` of a form: who compares with no field may compare with all of them.
            raise asking.invalid("must name a field")
        case _ if isinstance(value, str):
            text = value
        case _:
            raise asking.invalid("takes another kind of value")
    return None if parameter is None else require_fit(parameter, text, secret, asking)


def _asking(spot: AskedMember) -> Asking:
    return Asking(f"the member `{spot.path}` of the body", Reason.BODY_INVALID)
