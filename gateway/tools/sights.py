"""What was shown of an answer, and what another policy would show of it.

True here:
- Only names that stand in the entry are compared: what was not in the answer has not changed.
- What leaves every record that could be meant is sure; of some of them, it is a *may*.
- An answer that went out as it came showed every field that the adapter declares.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.domain.resource import UNMAPPED, Resource
from gateway.tools.asked_again import Asked
from gateway.tools.recorded import Recorded
from gateway.tools.worlds import View, World, worlds


class Masks:
    """What of the answer changes; empty = nothing."""

    def __init__(self) -> None:
        self.hides: list[str] = []
        self.shows: list[str] = []
        self.may_hide: list[str] = []
        self.may_show: list[str] = []
        self.fewer = False
        self.more = False

    def __bool__(self) -> bool:
        fields = self.hides or self.shows or self.may_hide or self.may_show
        return bool(fields) or self.fewer or self.more


Left = frozenset[str] | None  # the fields that leave a record; None = the record itself


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sight:
    """What is seen of one kind of record, world by world, now and then.

    Attributes:
        then: None = the policy of then is not at hand.
        inside: it stands inside another record, and if it leaves, its fields are hidden.
    """

    resource: Resource
    now: list[Left]
    then: list[Left] | None = None
    inside: bool = False

    def always(self, name: str) -> bool | None:
        """Is it hidden (True), or shown (False), in every record that stays?"""
        found = {self._hides(left, name) for left in self.now} - {None}
        return found.pop() if len(found) == 1 else None

    def turns(self, name: str, *, hidden: bool) -> bool:
        """Is it so in some record in which it was not so then?"""
        return any(
            self._hides(left, name) is hidden
            and (self.then is None or self._hides(self.then[number], name) is not hidden)
            for number, left in enumerate(self.now)
        )

    def _hides(self, left: Left, name: str) -> bool | None:
        """Is a field hidden? "" = the record itself. None = its record is not there at all."""
        if left is None:
            return True if self.inside else None
        if name not in self.resource.fields and name:
            return UNMAPPED in left and self.resource.sensitive
        return name in left

    @property
    def fewer(self) -> bool:
        """May records be kept back that were not?"""
        return any(
            left is None and (self.then is None or self.then[number] is not None)
            for number, left in enumerate(self.now)
        )

    @property
    def more(self) -> bool:
        """May records come that were kept back?"""
        return any(
            left is not None and (self.then is None or self.then[number] is None)
            for number, left in enumerate(self.now)
        )


def compare(
    recorded: Recorded, now: Asked, was: Asked | None, listed: list[World] | None
) -> Masks:
    """What was shown, with what would be."""
    masks = Masks()
    shown, hidden = _seen(recorded, now), frozenset(recorded.hidden)
    if now.permit.uncut:
        masks.shows += sorted(hidden)
        masks.more = recorded.refused > 0
        return masks
    sights: dict[tuple[str, ...], _Sight | None] = {}
    for full in sorted(shown | hidden):
        way, name = _split(now.own.resource, full, now)
        if way not in sights:
            sights[way] = _sight(recorded, now, was, listed, way)
        sight = sights[way]
        if sight is None:
            continue
        always = sight.always(name)
        if full in shown and (always or sight.turns(name, hidden=True)):
            (masks.hides if always else masks.may_hide).append(full)
        if full in hidden and (always is False or sight.turns(name, hidden=False)):
            (masks.shows if always is False else masks.may_show).append(full)
    own = _sight(recorded, now, was, listed, ()) if now.lists else None
    if own is not None and not recorded.recordless:
        masks.fewer = bool(shown or hidden) and own.fewer
        masks.more = recorded.refused > 0 and own.more
    return masks


def _seen(recorded: Recorded, now: Asked) -> frozenset[str]:
    """The fields that were shown; all of them in an answer that went out as it came."""
    if recorded.whole and not recorded.recordless and recorded.method != "HEAD":
        return frozenset(now.own.resource.fields)
    return frozenset(recorded.shown)


def _split(resource: Resource, full: str, now: Asked) -> tuple[tuple[str, ...], str]:
    """`client.phone` → the embeds on the way, and the field; "" = the record inside itself."""
    known = now.bundle.adapter.vocabulary.resources
    way: list[str] = []
    names = full.split(".")
    while names and names[0] in resource.embeds:
        way.append(names.pop(0))
        resource = known[resource.embeds[way[-1]].resource]
    return tuple(way), ".".join(names)


def _sight(
    recorded: Recorded,
    now: Asked,
    was: Asked | None,
    listed: list[World] | None,
    way: tuple[str, ...],
) -> _Sight | None:
    """What is seen of the answer's own records, or of those inside them."""
    resource = now.own.resource
    if way:
        return _sight_inside(recorded, now, was, way)
    if recorded.recordless:  # an error: whatever is hidden of any record
        return _Sight(resource=resource, now=[now.permit.hidden])
    if now.own.change:  # the answer has the record as it is after the change
        listed = worlds(now.own, was.own if was else None, None)
    return _over(now.own, was.own if was else None, listed, inside=False)


def _sight_inside(
    recorded: Recorded, now: Asked, was: Asked | None, way: tuple[str, ...]
) -> _Sight | None:
    inner, then = _down(now, way), _down(was, way) if was else None
    if inner is None:
        return None
    if recorded.recordless:
        return _Sight(resource=inner.resource, now=[None], inside=True)
    return _over(inner, then, worlds(inner, then, None), inside=True)


def _down(asked: Asked, way: Iterable[str]) -> View | None:
    view: View | None = asked.own
    for name in way:
        view = asked.inside(view, name) if view is not None else None
    return view


def _over(now: View, then: View | None, listed: list[World] | None, *, inside: bool) -> _Sight:
    if listed is None:  # too many: anything may be
        hidden = frozenset[str]() if now.permit is None else now.permit.hidden
        return _Sight(resource=now.resource, now=[None, frozenset(), hidden], inside=inside)
    return _Sight(
        resource=now.resource,
        now=[now.hidden(world) for world in listed],
        then=None if then is None else [then.hidden(world) for world in listed],
        inside=inside,
    )
