"""An audit entry as a question to `explain`, with the clock and the facts of then.

True here: what the trail does not keep is named, not made up. Without its query and its body a
request is explained as far as its address, its sender and its record go.
"""

from dataclasses import dataclass

from gateway.bundle import Bundle
from gateway.domain.record import NOT_KNOWN, state_of
from gateway.mapping.pattern import RECORD, Slot, parse_pattern
from gateway.mapping.target import own_target
from gateway.tools.asked_again import Policy
from gateway.tools.explain import Question
from gateway.tools.recorded import Recorded, known_facts

NOT_KEPT = "-"  # stands in the address for a segment that the trail does not keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, and what of it nobody knows any more.

    Attributes:
        unknown: parts of the address, as the adapter writes them: `{client}`.
        unnoted: facts of the record that rules may ask and nobody noted then.
    """

    question: Question
    unknown: tuple[str, ...] = ()
    unnoted: tuple[str, ...] = ()


def question_of(bundle: Bundle, recorded: Recorded) -> Asked | None:
    """What to ask a policy about an entry; None if nobody known asked, or nothing was kept."""
    if recorded.staff is None:
        return None
    target, unknown = _address(recorded)
    if not target:
        return None
    match = Policy(bundle).match(recorded)
    note, resource = recorded.note, match.route.resource if match else None
    noted = note is not None and resource is not None
    facts = known_facts(note) if note else {}
    return Asked(
        question=Question(
            staff=recorded.staff,
            method=recorded.method,
            target=target,
            at=recorded.at,
            device=recorded.device,
            app=recorded.app,
            roles=frozenset(recorded.narrowed_to) or None,
            peer=None if recorded.unplaced else recorded.peer,
            # As this policy numbers the facts; what was not noted is not known.
            state=state_of(resource.facts, facts, None if note.salon == NOT_KNOWN else note.salon)
            if note and resource
            else None,
            sends=frozenset(recorded.sent),
        ),
        unknown=unknown,
        unnoted=tuple(
            fact.name
            for fact in (resource.facts if noted and resource else ())
            if fact.name not in facts
        ),
    )


def _address(recorded: Recorded) -> tuple[str, tuple[str, ...]]:
    """The path, and the parts of it that are not kept."""
    if recorded.route is None:
        return recorded.path or "", ()
    pattern = parse_pattern(recorded.route)
    segments, unknown = [], []
    for step in pattern.steps:
        if not isinstance(step, Slot):
            segments.append(step)
        elif step.name == RECORD and recorded.record is not None:
            segments.append(recorded.record)
        else:
            segments.append(NOT_KEPT)
            unknown.append(f"{{{step.name}}}")
    if pattern.rest:
        segments.append(NOT_KEPT)
        unknown.append("**")
    return own_target(tuple(segments), slash=pattern.slash).wire, tuple(unknown)
