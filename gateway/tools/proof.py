"""The compiled index, held against stock pycasbin on the policy at hand.

Casbin's model is the authority on what a decision is. Its cost is linear in the rules, so
the questions are bounded; the property tests ask the same of random policies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import product

from gateway.bundle import Bundle
from gateway.domain.access import Facts
from gateway.domain.subject import ANYONE, Principal, Role, StaffId
from gateway.enforcer.model import stock_verdict

MAX_ROW_VISITS = 40_000  # questions x rules; about a second of pycasbin


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One question on which the index and pycasbin disagree."""

    staff: StaffId
    target: str
    action: str
    index_allows: bool

    def __str__(self) -> str:
        ours, theirs = ("allows", "denies") if self.index_allows else ("denies", "allows")
        question = f"{self.staff} {self.action} {self.target}"
        return f"the index {ours} what pycasbin {theirs}: {question}; please report this"


def prove(bundle: Bundle) -> tuple[int, tuple[Difference, ...]]:
    """Ask both the same questions.

    Returns:
        How many decisions were compared, and every difference.
    """
    held = [(staff, person.held) for staff, person in bundle.people.items()]
    stock = stock_verdict(bundle.model_text, bundle.rules, held, bundle.adapter.vocabulary)
    differences = []
    budget = max(1, MAX_ROW_VISITS // max(1, len(bundle.rules)))
    asked = sorted(_questions(bundle), key=_mixed)[:budget]
    for principal, target, action, facts in asked:
        ours = bundle.index.cell(principal, target, action).firing(principal, facts).allowed
        if ours != stock(principal, target, action, facts):
            differences.append(
                Difference(staff=principal.staff, target=target, action=action, index_allows=ours)
            )
    return len(asked), tuple(differences)


def _questions(bundle: Bundle) -> Iterator[tuple[Principal, str, str, Facts]]:
    """One person of each set of roles, every card and field, inside and outside the hours."""
    vocabulary = bundle.adapter.vocabulary
    targets = [
        target
        for resource in vocabulary.resources.values()
        for target in (resource.name, *map(resource.target, resource.maskable))
    ]
    people = {person.held: staff for staff, person in bundle.people.items()}
    for inside in (True, False):
        window = {"inside_window": inside, "outside_window": not inside}
        for held, staff in people.items():
            facts = {role: role in held for role in bundle.roles} | window
            for target, action in product(targets, sorted(vocabulary.actions)):
                yield _principal(staff, held), target, action, facts


def _mixed(question: tuple[Principal, str, str, Facts]) -> bytes:
    """An order in which every prefix is a fair sample, the same at each run."""
    principal, target, action, facts = question
    return sha256(f"{principal.staff} {target} {action} {facts}".encode()).digest()


def _principal(staff: StaffId, held: frozenset[Role]) -> Principal:
    return Principal(
        staff=staff,
        salon="",
        held=held,
        acting=held,
        first_role=ANYONE,
        device=None,
        epoch=0,
        app=None,
    )
