"""Which fields does a body send, and may this person send them?

True here:
- A body is one strict JSON object (`texts/jsontext.py`): no member twice, since the CRM may
  read the other one.
- Every member counts as the fields it may change, not only as those it names: a text, `null`
  or `{}` where members are expected overwrites them all, and an array replaces all items.
- What no field names is `unmapped`. The id is not a field of the write.
- Another record inside this one is sent by the name of its embed, whatever stands there, and
  nobody may send it: it would be judged as a part of this record, not as what it is.
- A write may not destroy what its sender cannot see: no full replacement while anything is
  hidden, and no mask (`***`) where a value belongs.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.domain.errors import RequestError
from gateway.domain.http import METHOD_OVERRIDES, Headers
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED, Resource
from gateway.masking.mediatype import json_media_type
from gateway.masking.tree import Spot, tree_of
from gateway.texts.jsontext import parse_strict_json

MAX_WRITE_DEPTH = 32  # a client card needs four
# Another `+json` may be read as what stands before the `+`.
BODY_TYPES = frozenset(
    {"application/json", "application/merge-patch+json", "application/vnd.api+json"}
)
JSON_PATCH = "application/json-patch+json"  # RFC 6902

# What screens and other gateways write over a hidden value, and what they leave between.
_MASK_CHARACTERS = frozenset("*＊∗✱•●∙·⬤█■▪×✕xXｘＸ")
_BETWEEN = frozenset("-‐–.@+()/_ \t\u3000")
_MIN_MASK = 3  # characters; `x` alone is a size, `**` a footnote


def require_json_body(headers: Headers) -> str:
    """Let only JSON pass, in UTF-8 and not compressed.

    A merge patch (RFC 7396) reads like any partial object. A JSON Patch is a list of
    operations (`copy` from hidden to visible): its members do not tell what it sends.

    Returns:
        The type to forward, without parameters: whatever else the header said was not judged.

    Raises:
        RequestError: CONTENT_TYPE_REFUSED.
    """
    media_type = json_media_type(headers)
    if media_type == JSON_PATCH:
        raise RequestError(
            Reason.CONTENT_TYPE_REFUSED,
            "JSON Patch is not accepted; send the changed members as a JSON object.",
        )
    if media_type not in BODY_TYPES:
        raise RequestError(
            Reason.CONTENT_TYPE_REFUSED,
            "Send one Content-Type, `application/json`, in UTF-8 and not compressed.",
        )
    return media_type


def read_body(body: bytes) -> Mapping[str, Any]:
    """Read what a client sends: one strict JSON object that names no other method.

    Raises:
        RequestError: BODY_INVALID.
    """
    try:
        value = parse_strict_json(body, MAX_WRITE_DEPTH, len(body))
    except ValueError as error:
        raise RequestError(Reason.BODY_INVALID, f"The body cannot be read: {error}.") from None
    if not isinstance(value, dict):
        raise RequestError(Reason.BODY_INVALID, "The body must be one JSON object.")
    # Laravel and others read them in a JSON body too: a POST would then do what a DELETE does.
    if not METHOD_OVERRIDES.isdisjoint(name.lower() for name in value):
        raise RequestError(Reason.BODY_INVALID, "The body cannot name another method.")
    return value


def fields_sent(
    value: Mapping[str, Any],
    resource: Resource,
    *,
    record: str | None = None,
    ids: frozenset[str] = frozenset(),
) -> frozenset[str]:
    """Name the fields a body may change.

    Args:
        value: of `read_body`.
        resource: what is written.
        record: the id in the address. The body may repeat it, but not name another record:
            that one was not judged. Without one, an id in the body counts as `unmapped`.
        ids: members that name records which are judged, and so are no fields that are sent;
            where one is a field's member as well, it counts as that.

    Returns:
        Field names and embed names of the resource, and `unmapped` for everything else.

    Raises:
        RequestError: BODY_INVALID: it names another record, or carries a mask marker where a
            field of some class stands.
    """
    tree = tree_of(resource)
    fields = {n: v for n, v in value.items() if n not in ids or n in tree.members}
    sent = set(_members(tree, fields, covered=False, classed=False))
    named = _id_in(value, resource)
    if named is not None and record is None:
        sent.add(UNMAPPED)
    elif named is not None and named != record:
        raise RequestError(Reason.BODY_INVALID, "The body names another record than the address.")
    return frozenset(sent)


def _id_in(value: Any, resource: Resource) -> str | None:
    """The record id that a body names, as text; None if it names none."""
    for step in resource.id.steps if resource.id is not None else ():
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    if resource.id is None:
        return None
    # `true`, `7.0` and `["7"]` may mean 7 to a CRM; as JSON they equal no id of an address.
    return value if isinstance(value, str) else json.dumps(value)


def require_writable(
    sent: frozenset[str],
    *,
    hidden: frozenset[str],
    unwritable: frozenset[str],
    method: str,
    resource: Resource,
) -> None:
    """Refuse a write of what may not be written, or over what may not be seen.

    Args:
        sent: from `fields_sent`.
        hidden: of the record that is written, by its verdict; where nothing depends on the
            record, of the permit.
        unwritable: likewise.
        method: the request's.
        resource: what is written.

    Raises:
        RequestError: FIELD_NOT_WRITABLE, also for whoever sends a record inside another; or
            OVERWRITES_HIDDEN for a PUT by someone from whom anything of the record is
            hidden: they never saw what it would replace.
    """
    if not sent and method != "PUT":
        return  # nothing is written: most requests
    inside = _listed(sent & resource.embeds.keys())
    if inside:
        raise RequestError(
            Reason.FIELD_NOT_WRITABLE,
            f"A record of its own cannot be written inside another; send it to its own"
            f" address: {inside}.",
        )
    refused = _listed(sent & unwritable)
    if refused:
        raise RequestError(Reason.FIELD_NOT_WRITABLE, f"You may not write: {refused}.")
    # Undeclared members are no secret of a resource that is not sensitive.
    secret = hidden if resource.sensitive else hidden - {UNMAPPED}
    if method == "PUT" and secret:
        raise RequestError(
            Reason.OVERWRITES_HIDDEN,
            "A PUT would overwrite fields you cannot see; send only the changed ones by PATCH.",
        )


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _members(
    spot: Spot, members: dict[str, Any], *, covered: bool, classed: bool
) -> Iterator[str]:
    """What the members of an object send."""
    for name, value in members.items():
        child = spot.members.get(name)
        if child is not None:
            yield from _sent(child, value, covered=covered, classed=classed)
        elif not covered:
            yield UNMAPPED
        elif classed:
            _refuse_mask(value)


def _sent(spot: Spot, value: Any, *, covered: bool, classed: bool) -> Iterator[str]:
    """What a value sends at a place of the tree.

    `covered`: a `.**` stands here or above, so what nothing else names belongs to it;
    `classed`: and that field is in a class.
    """
    if spot.embed is not None:
        yield spot.embed
        return
    own = () if spot.is_id else spot.fields
    yield from (f.name for f in own)
    covered = covered or bool(spot.whole)
    classed = classed or any(f.field_class and f.name in spot.whole for f in own)
    if isinstance(value, dict) and value and spot.members:
        yield from _members(spot, value, covered=covered, classed=classed)
        return
    if isinstance(value, list) and spot.items is not None:
        yield from (f.name for f in spot.items.all_fields())
        yield from spot.items.all_embeds()
        for item in value:
            yield from _sent(spot.items, item, covered=covered, classed=classed)
        return
    overwritten = [f for child in spot.children() for f in child.all_fields()]
    embedded = [name for child in spot.children() for name in child.all_embeds()]
    yield from (f.name for f in overwritten)
    yield from embedded
    if classed or any(f.field_class for f in (*own, *overwritten)):
        _refuse_mask(value)
    misfit = overwritten or embedded or not _is_leaf_value(value)
    if misfit and not covered:
        yield UNMAPPED


def _is_leaf_value(value: Any) -> bool:
    """A scalar, or an array of scalars."""
    items = value if isinstance(value, list) else [value]
    return not any(isinstance(item, dict | list) for item in items)


def _refuse_mask(value: Any) -> None:
    """Look for a mask marker in a value and everything inside it."""
    if isinstance(value, dict):
        for inner in value.values():
            _refuse_mask(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_mask(inner)
    elif isinstance(value, str) and _is_mask(value):
        raise RequestError(
            Reason.BODY_INVALID,
            "The body holds a mask where a value belongs; leave out what you cannot see.",
        )


def _is_mask(text: str) -> bool:
    """`***`, `●●●●`, `xxx-xxxx`, `***@***`: nothing but mask characters, three or more."""
    masks = sum(character in _MASK_CHARACTERS for character in text)
    return masks >= _MIN_MASK and all(c in _MASK_CHARACTERS or c in _BETWEEN for c in text)
