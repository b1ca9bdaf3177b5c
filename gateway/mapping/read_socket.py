"""`websocket: true` of a route, with what does not go with it as findings."""

from collections.abc import Callable

from gateway.mapping.shapes import RouteShape

# What speaks of one answer or of a request's body; a WebSocket has neither.
_NOT_OF_A_WEBSOCKET = {
    "format": "every message of a WebSocket is one JSON document",
    "columns": "a WebSocket has no CSV columns",
    "asks": "a WebSocket opens without a body",
    "headers": "a WebSocket opens with none of the CRM's headers",
    "totals": "a WebSocket has no pages to count",
}


def read_websocket(shape: RouteShape, method: str, complain: Callable[..., None]) -> bool:
    """Is this route a WebSocket?

    Args:
        shape: the route as written.
        method: of its pattern.
        complain: takes a finding's message and the key it is about.
    """
    if not shape.websocket:
        return False
    if method != "GET":
        complain(f"a WebSocket opens with GET; match `GET` instead of `{method}`", "match")
    unset = RouteShape(match="", resource="", action="")
    for key, why in _NOT_OF_A_WEBSOCKET.items():
        if getattr(shape, key) != getattr(unset, key):
            complain(f"{why}; remove `{key}` or `websocket`", key)
    return True
