"""Does this question ask about something the person may not see?

A parameter that does is refused, never dropped: without its filter the CRM would answer
with every row.

HOUSE RULES
- Names are compared exactly. A look-alike (`Sort`) of a declared parameter is refused.
- Where anything is hidden, unknown is refused too: an unknown parameter may be a filter,
  an unknown sort key another name of a hidden column (`EMAIL` is, to SQL).
- What a parameter asks about is decided by its declaration alone, whatever its value:
  `email=` with nothing behind it asks who has no address.
"""

import re
from typing import assert_never

from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED
from gateway.mapping.parameters import Capped, FieldNamed, Parameter, Plain, Searches
from gateway.mapping.routes import Route

# 9 digits: no CRM has more pages, and every language's integer holds them.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
# Frameworks that let a parameter change the method would do something else than was decided.
_METHOD_OVERRIDES = frozenset({"_method", "http_method", "x-http-method-override"})


def require_answerable(
    route: Route, query: tuple[tuple[str, str], ...], hidden: frozenset[str]
) -> None:
    """Refuse a question that touches what is hidden, or that nobody here understands.

    For ruled routes; `pass` and `public` ones declare no parameters and hide nothing.

    Args:
        route: the matched route.
        query: decoded pairs, in order.
        hidden: field names and perhaps `unmapped`, as a permit carries them: all that is
            hidden of SOME record that passes. For embedded records `<embed>.<field>` and
            `<embed>.unmapped`, as `Resource.maskable` has them; all of them where an embedded
            record may not pass at all. A name that no parameter knows still closes whatever
            is not known here.

    Raises:
        RequestError: UNKNOWN_PARAMETER, PARAMETER_INVALID or HIDDEN_FIELD_ASKED.
    """
    # Undeclared members pass on a resource that is not sensitive, so they are no secret.
    secret = hidden if route.resource.sensitive else hidden - {UNMAPPED}
    closed = route.resource.sensitive or bool(secret)
    asked: set[str] = set()
    for name, value in query:
        parameter = route.query.get(name)
        if parameter is None:
            if closed or _is_disguised(name, route):
                raise RequestError(Reason.UNKNOWN_PARAMETER, "a parameter is not known here")
            continue
        if name in asked:
            # The first, the last or a list of both: every framework reads it its own way.
            raise _invalid(name, "stands twice")
        asked.add(name)
        _require_fit(name, parameter, value, secret)


def _require_fit(name: str, parameter: Parameter, value: str, secret: frozenset[str]) -> None:
    match parameter:
        case Plain(one_of=words):
            if words is not None and value not in words:
                raise _invalid(name, "does not take this value")
        case Capped(max=most):
            if not _NUMBER.fullmatch(value) or int(value) > most:
                raise _invalid(name, f"must be a whole number from 0 to {most}")
        case FieldNamed(members=members):
            # An empty value names no field: forms send it when nothing was chosen.
            for item in value.split(",") if value else ():
                fields = members.get(item.removeprefix("-"))
                if secret if fields is None else fields & secret:
                    raise _hidden(name)
        case Searches(fields=fields, everything=everything):
            if secret if everything else fields & secret:
                raise _hidden(name)
        case _:
            assert_never(parameter)


def _is_disguised(name: str, route: Route) -> bool:
    plain = name.lower()
    return plain in _METHOD_OVERRIDES or plain in {known.lower() for known in route.query}


# Messages name declared parameters only: what a client typed stays out of them.
def _invalid(name: str, what: str) -> RequestError:
    return RequestError(Reason.PARAMETER_INVALID, f"the parameter `{name}` {what}")


def _hidden(name: str) -> RequestError:
    detail = f"the parameter `{name}` asks about a field that you may not see"
    return RequestError(Reason.HIDDEN_FIELD_ASKED, detail)
