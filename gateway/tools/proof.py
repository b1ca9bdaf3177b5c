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
from gateway.domain.record import state_of
from gateway.domain.resource import Resource
from gateway.domain.subject import Post, StaffId
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
    stock = stock_verdict(
        bundle.model_text, bundle.rules, _everyone(bundle), bundle.adapter.vocabulary
    )
    differences = []
    budget = max(1, MAX_ROW_VISITS // max(1, len(bundle.rules)))
    asked = sorted(_questions(bundle), key=_mixed)[:budget]
    for staff, post, card, target, action, facts in asked:
        firing = bundle.index.cell(staff, post, target, action).firing(staff, post, facts)
        state = state_of(card.facts, facts, None)
        ours = firing.residual.open(state)
        if ours != stock(staff, post, target, action, facts):
            differences.append(
                Difference(staff=staff, target=target, action=action, index_allows=ours)
            )
    return len(asked), tuple(differences)


Asked = tuple[StaffId, Post, Resource, str, str, Facts]


def _everyone(bundle: Bundle) -> Iterator[tuple[StaffId, Post]]:
    for staff, person in bundle.people.items():
        for post in person.posts:
            yield staff, post


def _questions(bundle: Bundle) -> Iterator[Asked]:
    """One person of each set of roles, every card and field, inside and outside the hours.

    Of each record fact, all three values; not in all combinations, but changing together.
    """
    vocabulary = bundle.adapter.vocabulary
    targets = [
        (resource, target)
        for resource in vocabulary.resources.values()
        for target in (resource.name, *map(resource.target, resource.maskable))
    ]
    people = {post.held: (staff, post) for staff, post in _everyone(bundle)}
    for inside, record in product((True, False), (True, False, None)):
        known = {"inside_window": inside, "outside_window": not inside}
        for held, (staff, post) in people.items():
            facts = known | {role: role in held for role in bundle.roles}
            for (card, target), action in product(targets, sorted(vocabulary.actions)):
                of_record = {fact.name: record for fact in card.facts}
                if of_record or record is None:
                    yield staff, post, card, target, action, facts | of_record


def _mixed(question: Asked) -> bytes:
    """An order in which every prefix is a fair sample, the same at each run."""
    staff, _, _, target, action, facts = question
    return sha256(f"{staff} {target} {action} {facts}".encode()).digest()
