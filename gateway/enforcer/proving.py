"""Does an assertion hold? Proved for everybody it speaks of, or a counter-example is shown.

WHO it speaks of:
* `role:R`: somebody with this role and no other; and everyone on the roster whose roles in some
  salon lie within what R carries, with the rows and links in their own name;
* `role:anyone`: everyone on the roster, and somebody on it without any role;
* `staff:x`: that person.

An assertion that cannot be proved within the bounds is an error, not a maybe.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.domain.finding import Finding
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import ANYONE, Role, StaffId
from gateway.enforcer.assertions import Assertion, questions
from gateway.enforcer.circumstances import NO_RULES, Answer, Bearer, Inquiry, Ways
from gateway.enforcer.cubes import TooManyError
from gateway.enforcer.index import Index
from gateway.enforcer.witness import Witness, example


@dataclass(frozen=True, slots=True, kw_only=True)
class Everyone:
    """Everybody there is to ask about.

    Attributes:
        people: everyone on the roster.
        own: their roles as the roster gives them, by salon.
        roles: each role alone, and `role:anyone` for somebody without one.
        carried: role → itself and what it inherits.
    """

    index: Index
    ways: Ways
    people: Mapping[StaffId, Bearer]
    own: Mapping[StaffId, Mapping[str, frozenset[Role]]]
    roles: Mapping[Role, Bearer]
    carried: Mapping[Role, frozenset[Role]]

    def meant(self, who: str) -> Iterator[tuple[Bearer, frozenset[str]]]:
        """Everybody an assertion speaks of, and in which of their salons."""
        if who.startswith("staff:"):
            yield _everywhere(self.people[StaffId(who)])
            return
        role = Role(who)
        yield _everywhere(self.roles[role])
        for staff, bearer in self.people.items():
            if role == ANYONE:
                yield _everywhere(bearer)
                continue
            salons = {s for s, own in self.own[staff].items() if own and own <= self.carried[role]}
            if salons:
                yield bearer, frozenset(salons)


def _everywhere(bearer: Bearer) -> tuple[Bearer, frozenset[str]]:
    return bearer, frozenset(post.salon for post in bearer.posts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterexample:
    """What breaks an assertion."""

    bearer: Bearer
    answer: Answer
    witness: Witness

    def __str__(self) -> str:
        who = describe(self.bearer, self.answer)
        given = " and ".join(f"`{text}`" for text in self.witness.given)
        with_what = f", with {given}" if given else " at any time"
        asked = self.answer.question
        doing = f"`{asked.action}` `{asked.target}`"
        inside = f" inside a record that embeds `{asked.resource.name}`"
        where = inside if self.witness.inside else ""
        by = ", ".join(map(str, self.witness.by))
        return f"{who} may {doing}{where}{with_what}, by {by}"


def describe(bearer: Bearer, answer: Answer) -> str:
    """`staff:mei in aoyama`, `somebody with role:stylist alone`."""
    if bearer.name == ANYONE:
        return "somebody without a role"
    if bearer.name.startswith("role:"):
        return f"somebody with {bearer.name} alone"
    return f"{bearer.name} in {' and '.join(post.salon for post in answer.posts)}"


def counterexample(
    everyone: Everyone, assertion: Assertion, without: frozenset[RuleRef] = NO_RULES
) -> Counterexample | None:
    """Look for somebody who may do what must never be possible; None = proved.

    Args:
        everyone: under whose rules.
        assertion: of the same policy.
        without: denies that are left out, as if somebody deleted them.

    Raises:
        TooManyError: there are too many combinations; nothing is proved then.
    """
    for inquiry, answer in _answers(everyone, assertion, without):
        broken = inquiry.doubtful(answer, assertion.condition.literals)
        if broken:
            cube = inquiry.space.tidy(broken)[0]
            witness = example(inquiry, answer, cube)
            return Counterexample(bearer=inquiry.bearer, answer=answer, witness=witness)
    return None


def rests_on(everyone: Everyone, assertion: Assertion) -> frozenset[RuleRef]:
    """The denies, hours included, without which a proved assertion would be broken.

    Where two rows say the same, it rests on neither alone; ask `counterexample` about both.

    Raises:
        TooManyError: as `counterexample`.
    """
    heard: set[RuleRef] = set()
    for inquiry, _ in _answers(everyone, assertion, NO_RULES):
        heard |= inquiry.heard
    return frozenset(
        ref for ref in heard if counterexample(everyone, assertion, frozenset({ref})) is not None
    )


def broken(everyone: Everyone, assertion: Assertion) -> Finding | None:
    """What is wrong with an assertion, at its place; None if it holds."""
    try:
        found = counterexample(everyone, assertion)
    except TooManyError:
        return Finding(
            assertion.place,
            "cannot be proved: the rules on it combine too many conditions; use fewer in each, "
            "or narrow the assertion",
        )
    return None if found is None else Finding(assertion.place, f"broken: {found}")


def _answers(
    everyone: Everyone, assertion: Assertion, without: frozenset[RuleRef]
) -> Iterator[tuple[Inquiry, Answer]]:
    asked = questions(assertion.action, assertion.target, everyone.index.vocabulary)
    for bearer, salons in everyone.meant(assertion.who):
        inquiry = Inquiry(everyone.index, bearer, everyone.ways, without)
        for question in asked:
            for answer in inquiry.ask(question):
                if any(post.salon in salons for post in answer.posts):
                    yield inquiry, answer
