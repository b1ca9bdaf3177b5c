"""A decision with the facts it rests on: what one request was told, and why, in one value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.domain.access import Access, Facts
from gateway.domain.decision import Decision
from gateway.enforcer.decide import decide
from gateway.enforcer.index import Index
from gateway.enforcer.observe import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the rules say to one request.

    Attributes:
        decision: what counts.
        full: what all rows say, the observed ones included; `decision` itself unless one of
            them makes a difference. Never more open than `decision`.
        facts: salon → everything that was known from the request.
        noted: the facts that some rule asks about, as an audit entry keeps them, of the first
            salon: `app:phone` was true, `?approved_device` not known; the rest was false.
    """

    decision: Decision
    full: Decision
    facts: Mapping[str, Facts]
    noted: tuple[str, ...]


def ruling_on(
    index: Index, access: Access, trial: Trial | None = None, lifted: str | None = None
) -> Ruling:
    """Decide, and keep what it was decided on.

    Args:
        index: all rows.
        access: what is asked.
        trial: what is only observed today; None = nothing.
        lifted: the salon whose window a grant lifts; None = no one's.
    """
    home = access.facts.get(access.principal.home.salon, {})
    full = decide(index, access, lifted)
    counts = full if trial is None else trial.decide(access, lifted)
    return Ruling(
        decision=full if counts == full else counts,
        full=full,
        facts=access.facts,
        noted=tuple(_noted(home, index.asked)),
    )


def _noted(facts: Facts, asked: Iterable[str]) -> Iterable[str]:
    for name in sorted(asked):
        value = facts.get(name)
        if value is None:
            yield f"?{name}"
        elif value:
            yield name
