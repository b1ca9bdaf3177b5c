"""Circumstances in words, and an example of them with the rules that let it through.

The words are those of `when` in the rules, so that a line can be copied into one: `own_client`,
`!app:phone`. What no condition says (dates, "not known") is said in English.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from gateway.domain.record import RecordState
from gateway.domain.resource import Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import Post
from gateway.enforcer.bearers import DATES, WINDOW
from gateway.enforcer.circumstances import Answer, Bearer, Dial, Inquiry, Question, Setting
from gateway.enforcer.cubes import Cube, Space
from gateway.enforcer.when import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """One example of what is allowed.

    Attributes:
        given: what has to be so; nothing else matters.
        by: the rules that allow it then.
        inside: only inside another record that is shown.
    """

    given: tuple[str, ...]
    by: tuple[RuleRef, ...]
    inside: bool = False


def conditions(
    bearer: Bearer, space: Space, cube: Cube, *, but: frozenset[str] = frozenset()
) -> Iterator[str]:
    """What has to be so, one text for each dial that matters.

    Args:
        bearer: whose dials the space has.
        space: of the cube.
        cube: the circumstances.
        but: names of dials to leave out.
    """
    for at, dial in enumerate(bearer.dials):
        settings = space.settings(cube, at)
        chosen = [s for i, s in enumerate(dial.settings) if settings >> i & 1]
        if dial.name not in but and len(chosen) < len(dial.settings):
            where = f" of {dial.salon}" if dial.salon and len(bearer.posts) > 1 else ""
            yield _said(dial, chosen) + where


def example(inquiry: Inquiry, answer: Answer, cube: Cube) -> Witness:
    """Somebody in these circumstances: of each dial that matters, its first setting here.

    Args:
        inquiry: that gave the answer.
        answer: with some circumstances.
        cube: within the answer's cover.
    """
    space, bearer = inquiry.space, inquiry.bearer
    point, narrow = _first(space, cube)
    way = next(w for w in answer.ways if any(point & ~c == 0 for c in w.cover))
    asked = [(answer.question.resource.name, way.action)]
    if answer.question.field is not None:
        asked.append((answer.question.target, answer.question.action))
    by = {
        ref
        for post in answer.posts
        for target, action in asked
        for ref in _allowing(inquiry, point, post, answer.question, target, action)
    }
    return Witness(
        given=tuple(conditions(bearer, space, narrow)), by=tuple(sorted(by)), inside=way.inside
    )


def stops(inquiry: Inquiry, answer: Answer, allowed: Answer, cube: Cube) -> tuple[RuleRef, ...]:
    """The denies that fire in the example of what another policy allows.

    Args:
        inquiry: that gave the answer.
        answer: to the question.
        allowed: the other policy's answer, in the same space.
        cube: within its cover.

    Returns:
        None at all where there is only no allow.
    """
    point, _ = _first(inquiry.space, cube)
    held = [way for way in allowed.ways if any(point & ~c == 0 for c in way.cover)]
    asked = [(answer.question.resource.name, way.action) for way in held]
    if answer.question.field is not None:
        asked.append((answer.question.target, answer.question.action))
    found = set()
    for post in answer.posts:
        facts, state = _at(inquiry, point, post, answer.question.resource)
        for target, action in asked:
            cell = inquiry.index.cell(inquiry.bearer.staff, post, target, action)
            firing = cell.firing(inquiry.bearer.staff, post, facts)
            denies = (*firing.denies, *firing.hours)
            found |= {deny.ref for deny in denies if deny.denies(state)}
    return tuple(sorted(found))


def _first(space: Space, cube: Cube) -> tuple[Cube, Cube]:
    """A cube with every dial at its first setting here; and with those alone that matter so."""
    point = narrow = cube
    for at, size in enumerate(space.sizes):
        settings = space.settings(cube, at)
        first = space.where(at, settings & -settings)
        point &= first
        if settings.bit_count() < size:
            narrow &= first
    return point, narrow


def _allowing(
    inquiry: Inquiry, point: Cube, post: Post, question: Question, target: str, action: str
) -> Iterator[RuleRef]:
    """The allows that fire at a point, as the decision itself says."""
    bearer = inquiry.bearer
    facts, state = _at(inquiry, point, post, question.resource)
    firing = inquiry.index.cell(bearer.staff, post, target, action).firing(
        bearer.staff, post, facts
    )
    yield from (allow.ref for allow in firing.allows if allow.allows(state))


def _at(
    inquiry: Inquiry, point: Cube, post: Post, resource: Resource
) -> tuple[dict[str, bool | None], RecordState]:
    """What rules are told at a point: of the request, and of a record."""
    facts: dict[str, bool | None] = {}
    record: dict[str, bool | None] = {}
    for at, dial in enumerate(inquiry.bearer.dials):
        if dial.salon in {None, post.salon} and dial.resource in {None, resource.name}:
            setting = dial.settings[inquiry.space.settings(point, at).bit_length() - 1]
            (record if dial.resource else facts).update(setting.facts)
    bits = [(1 << at, record.get(fact.name)) for at, fact in enumerate(resource.facts)]
    state = RecordState(
        post.salon,
        sum(bit for bit, value in bits if value is True),
        sum(bit for bit, value in bits if value is False),
    )
    return facts, state


def _said(dial: Dial, chosen: list[Setting]) -> str:
    if dial.name == DATES:
        return " or ".join(stretches(chosen))
    names = sorted({name for setting in dial.settings for name in setting.facts})
    for negated in (False, True):
        for name in names:
            literal = Literal(name, negated)
            if [s for s in dial.settings if literal.value(s.facts)] == chosen:
                return str(literal)
    if dial.name != WINDOW and not any(_is_unknown(setting) for setting in chosen):
        known = [s for s in dial.settings if not _is_unknown(s)]
        if len(chosen) == len(known):
            return f"{dial.name} known"
    return " or ".join(_one(dial, setting) for setting in chosen)


def _one(dial: Dial, setting: Setting) -> str:
    if _is_unknown(setting):
        return f"{dial.name} not known"
    true = [name for name, value in setting.facts.items() if value is True]
    return true[0] if true else " & ".join(f"!{name}" for name in setting.facts)


def _is_unknown(setting: Setting) -> bool:
    return all(value is None for value in setting.facts.values())


def stretches(chosen: Sequence[Setting], today: date = date.min) -> Iterator[str]:
    """Settings of a dial of dates in words, those that follow each other in one.

    Args:
        chosen: in the order of time.
        today: what began by then has no beginning worth telling.
    """
    begun = date.min
    for at, setting in enumerate(chosen):
        if at == 0 or not _follows(chosen[at - 1], setting):
            begun = setting.since or date.min
        if at + 1 < len(chosen) and _follows(setting, chosen[at + 1]):
            continue
        parts = [f"from {begun}"] if begun > today else []
        parts += [f"until {setting.until}"] if setting.until is not None else []
        yield " ".join(parts) or "at any date"


def _follows(before: Setting, after: Setting) -> bool:
    if before.until is None or after.since is None:
        return False
    return (after.since - before.until).days == 1
