"""Who may do this, and under which circumstances? Complete: whoever is not listed never may.

Asked of everyone on the roster, salon by salon, with the full token, and of each role as
somebody new would hold it, alone. Every line names the rules that make it so, as an example
of its circumstances has them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from gateway.bundle import Bundle
from gateway.domain.errors import GatewayError
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import StaffId
from gateway.domain.time import Instant
from gateway.enforcer.assertions import questions
from gateway.enforcer.bearers import DATES, NO_SALON, WINDOW, at_moment, from_date, given
from gateway.enforcer.circumstances import Answer, Bearer, Dial, Inquiry, Setting
from gateway.enforcer.cubes import Cube, Space, TooManyError
from gateway.enforcer.proving import describe
from gateway.enforcer.witness import conditions, example, stretches
from gateway.identity.session import CurrentPrincipal, require_standing
from gateway.tools.week import week_in_words

_OWN_WORDS = frozenset({DATES, WINDOW})  # said in columns of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoCan:
    """The question.

    Attributes:
        action: of the adapter's list; for classes and fields `read` or `write`.
        target: a card, a class or a field.
        now: when it is asked; what is over by then is left out.
        at: time zone of a salon → the instant it is about; None = at any time.
        told: fact → its value, None = not known; all others may be anything.
        salon: records of this salon only; None = of any.
    """

    action: str
    target: str
    now: Instant
    at: Callable[[str], Instant] | None = None
    told: tuple[tuple[str, bool | None], ...] = ()
    salon: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Somebody who may.

    Attributes:
        who: `staff:mei`, `role:stylist`.
        said: the same in words, with the salon whose records it is about.
        name: as the team writes it; "" for a role.
        salons: that one, or all of the person's for records that tell no salon.
        targets: the fields of a class that this is so for; else what was asked.
        hours: when, on the salon's clock.
        dates: from when, until when; "" = from now on.
        given: what else has to be so, in the words of the rules.
        by: the rules that allow it.
        inside: only inside another record.
    """

    who: str
    said: str
    name: str
    salons: tuple[str, ...]
    targets: tuple[str, ...]
    hours: str
    dates: str
    given: tuple[str, ...]
    by: tuple[RuleRef, ...]
    inside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The whole answer.

    Attributes:
        never: everybody else.
        unlisted: whose rules combine too many conditions; of them nothing is said.
    """

    lines: tuple[Line, ...]
    never: tuple[str, ...]
    unlisted: tuple[str, ...] = ()


def who_can(bundle: Bundle, question: WhoCan) -> Listing:
    """Ask about everybody.

    Args:
        bundle: the policy.
        question: with names that the policy knows.
    """
    everyone = bundle.everyone()
    lines: list[Line] = []
    never: list[str] = []
    unlisted: list[str] = []
    people = (_narrowed(bundle, question, bearer) for bearer in everyone.people.values())
    roles = (_told(question, everyone.roles[role]) for role in sorted(everyone.roles))
    names = (*everyone.people, *sorted(everyone.roles))
    for name, bearer in zip(names, (*people, *roles), strict=True):
        try:
            inquiry = bearer and Inquiry(everyone.index, bearer, everyone.ways)
            found = list(_merged(_lines(bundle, question, inquiry))) if inquiry else []
        except TooManyError:
            unlisted.append(name)
            continue
        lines += found
        never += [] if found else [name]
    return Listing(lines=tuple(lines), never=tuple(never), unlisted=tuple(unlisted))


def _narrowed(bundle: Bundle, question: WhoCan, bearer: Bearer) -> Bearer | None:
    """A person at the time that is asked about, under what is told; None = never so."""
    home = bearer.posts[0].salon
    told = _told(question, bearer)
    if told is None:
        return None
    if question.at is None:
        return from_date(told, bundle.today(home, question.now))
    hours = bundle.hours(home)
    at = question.at(hours.timezone if hours else "UTC")
    if not _works(bundle, bearer.staff, at):
        return None
    salons = [post.salon for post in bearer.posts]
    return at_moment(
        told,
        {salon: bundle.today(salon, at) for salon in salons},
        {salon: bundle.window(salon, at).state.inside for salon in salons},
    )


def _told(question: WhoCan, bearer: Bearer) -> Bearer | None:
    return given(bearer, question.told, question.target.partition(".")[0])


def _works(bundle: Bundle, staff: StaffId, at: Instant) -> bool:
    principal = CurrentPrincipal(bundle.full_token(staff))
    try:
        require_standing(principal, bundle.today(principal.home.salon, at))
    except GatewayError:
        return False
    return True


def _lines(bundle: Bundle, question: WhoCan, inquiry: Inquiry) -> Iterator[Line]:
    """One for each way in which the circumstances can be put."""
    bearer, space = inquiry.bearer, inquiry.space
    member = bundle.roster.members.get(bearer.staff)
    today = bundle.today(bearer.posts[0].salon, question.now)
    vocabulary = bundle.adapter.vocabulary
    for asked in questions(question.action, question.target, vocabulary):
        for answer in inquiry.ask(asked):
            salons = tuple(post.salon for post in answer.posts)
            if question.salon is not None and not {question.salon, NO_SALON} & {*salons}:
                continue
            for cube in space.tidy(answer.cover):
                witness = example(inquiry, answer, cube)
                yield Line(
                    who=bearer.name,
                    said=describe(bearer, answer),
                    name=member.name if member else "",
                    salons=tuple(filter(None, salons)),
                    targets=(asked.target,),
                    hours=_hours(bundle, question, answer, bearer, space, cube),
                    dates="" if question.at and member else _dates(bearer, space, cube, today),
                    given=tuple(conditions(bearer, space, cube, but=_OWN_WORDS)),
                    by=witness.by,
                    inside=witness.inside,
                )


def _merged(lines: Iterable[Line]) -> Iterator[Line]:
    """Fields of a class for which everything is the same, in one line."""
    together: dict[Line, list[str]] = {}
    for line in lines:
        together.setdefault(replace(line, targets=()), []).extend(line.targets)
    for line, targets in together.items():
        yield replace(line, targets=tuple(targets))


def _hours(
    bundle: Bundle, question: WhoCan, answer: Answer, bearer: Bearer, space: Space, cube: Cube
) -> str:
    """When the window has to be how, for each salon where it matters."""
    parts = []
    for at, dial in enumerate(bearer.dials):
        settings = space.settings(cube, at)
        if dial.name != WINDOW or settings.bit_count() == len(dial.settings):
            continue
        only = next(s for i, s in enumerate(dial.settings) if settings >> i & 1)
        own = dial.salon in {post.salon for post in answer.posts} and len(answer.posts) == 1
        parts.append(_side(bundle, dial, only) + ("" if own else f" (in {dial.salon})"))
    if parts:
        return " and ".join(parts)
    return "then" if question.at and bearer.staff else "always"


def _side(bundle: Bundle, dial: Dial, side: Setting) -> str:
    inside = side.facts["inside_window"]
    if not dial.salon:
        return "within opening hours" if inside else "only outside opening hours"
    week = week_in_words(bundle.hours(dial.salon))
    return week if inside else f"only outside opening hours ({week})"


def _dates(bearer: Bearer, space: Space, cube: Cube, today: date) -> str:
    parts = []
    for at, dial in enumerate(bearer.dials):
        if dial.name == DATES:
            settings = space.settings(cube, at)
            chosen = [s for i, s in enumerate(dial.settings) if settings >> i & 1]
            parts.append(" or ".join(stretches(chosen, today)))
    told = dict.fromkeys(part for part in parts if part != "at any date")
    return " and ".join(told)
