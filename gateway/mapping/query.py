"""Does this question ask about something the person may not see?

A parameter that does is refused, never dropped: without its filter the CRM would answer
with every row. Two kinds are answered all the same, under a condition that the cut then holds
each record to: a search that is `recheck`ed, and an exact look-up.

HOUSE RULES
- Names are compared exactly. A look-alike (`Sort`, `sort[]`) of a declared one is refused.
- Where anything is hidden, unknown is refused too: an unknown parameter may be a filter,
  an unknown sort key another name of a hidden column (`EMAIL` is, to SQL).
- What a parameter asks about is decided by its declaration alone (`fits.py`).
"""

from msgspec.structs import replace

from gateway.domain.errors import RequestError
from gateway.domain.http import names_a_method
from gateway.domain.question import Condition
from gateway.domain.reason import Reason
from gateway.mapping.fits import Asking, require_fit, secret_of
from gateway.mapping.routes import Route, RouteMatch, fold


def asked_as(match: RouteMatch, query: tuple[tuple[str, str], ...]) -> RouteMatch:
    """The request as what it is: with an exact look-up in it, another one than without.

    Call it before the decision: the look-up has an action of its own, and parameters of its own.

    Args:
        match: of the address.
        query: decoded pairs, in order.

    Raises:
        RequestError: PARAMETER_INVALID: two look-ups at once.
    """
    variants = match.route.variants
    if not variants:
        return match
    names = [name for name, _ in query if name in variants]
    if len(names) > 1:
        raise _asking(names[0]).invalid("must stand alone and once")
    return replace(match, route=variants[names[0]]) if names else match


def require_answerable(
    route: Route, query: tuple[tuple[str, str], ...], hidden: frozenset[str]
) -> tuple[Condition, ...]:
    """Refuse a question that touches what is hidden, or that nobody here understands.

    For ruled routes; `pass` and `public` ones declare no parameters and hide nothing.

    Args:
        route: the matched route, after `asked_as`.
        query: decoded pairs, in order.
        hidden: field names and perhaps `unmapped`, as a permit carries them: all that is
            hidden of SOME record that passes. For embedded records `<embed>.<field>` and
            `<embed>.unmapped`, as `Resource.maskable` has them; all of them where an embedded
            record may not pass at all. A name that no parameter knows still closes whatever
            is not known here.

    Returns:
        What each record of the answer must be held to, all of them together.

    Raises:
        RequestError: UNKNOWN_PARAMETER, PARAMETER_INVALID or HIDDEN_FIELD_ASKED.
    """
    secret = secret_of(route, hidden)
    closed = route.resource.sensitive or bool(secret)
    asked: set[str] = set()
    conditions: list[Condition] = []
    for name, value in query:
        parameter = route.query.get(name)
        if parameter is None:
            if closed or _is_disguised(name, route):
                raise RequestError(Reason.UNKNOWN_PARAMETER, "a parameter is not known here")
            continue
        if name in asked:
            # The first, the last or a list of both: every framework reads it its own way.
            raise _asking(name).invalid("stands twice")
        asked.add(name)
        condition = require_fit(parameter, value, secret, _asking(name))
        if condition is not None:
            conditions.append(condition)
    return tuple(conditions)


def _is_disguised(name: str, route: Route) -> bool:
    if names_a_method(name):
        return True
    # `sort[0]` is `sort` to whoever makes a list of it.
    return fold(name) in route.folded or fold(name.partition("[")[0]) in route.folded


# Messages name declared parameters only: what a client typed stays out of them.
def _asking(name: str) -> Asking:
    return Asking(f"the parameter `{name}`", Reason.PARAMETER_INVALID)
