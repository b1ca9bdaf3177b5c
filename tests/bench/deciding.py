"""A decision: remembered, worked out, and asked of stock pycasbin, from 10 to 100,000 rows."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from gateway.bundle import Bundle
from gateway.domain.resource import Resource
from gateway.domain.subject import Principal, StaffId
from gateway.domain.time import instant
from gateway.enforcer.index import compile_index
from gateway.enforcer.model import stock_verdict
from tests.bench.measure import Contender, side_by_side, spell
from tests.bench.tables import Section

AT = instant(datetime.fromisoformat("2026-11-18T12:07:00+09:00"))  # all salons are open
PEER = "192.0.2.7"
# In one salon, in one with what depends on the record, in two salons, without a head row.
PEOPLE = ("staff:p0", "staff:p1", "staff:p9", "staff:p50")
ASKED = (("client", "list"), ("client", "read"), ("message", "list"), ("booking", "list"))

Question = tuple[Principal, Resource, str]


def deciding(bundles: dict[int, Bundle], *, quick: bool, most_of_casbin: int) -> Section:
    """Time it.

    Args:
        bundles: rows → a policy of so many.
        quick: once, and little of it.
        most_of_casbin: rows; beyond that pycasbin is not asked, it would take minutes.
    """
    rounds = 1 if quick else 7
    known = side_by_side(  # all sizes in turn, so that the growth is the rows' alone
        {f"{count:,}": _remembered(bundle, quick=quick) for count, bundle in bundles.items()},
        rounds=2 * rounds,
    )
    first = next(iter(known.values()))
    rows = []
    for (name, remembered), (count, bundle) in zip(known.items(), bundles.items(), strict=True):
        contenders = _contenders(bundle, quick=quick, casbin=count <= most_of_casbin)
        timings = side_by_side(contenders, rounds=rounds)
        new, casbin = timings["new"], timings.get("casbin")
        rows.append(
            (
                name,
                spell(remembered.seconds),
                spell(remembered.least),
                f"{remembered.times(first):.2f}×",
                spell(new.seconds),
                spell(timings["very first"].seconds),
                spell(casbin.seconds) if casbin else "not asked",
                f"{casbin.times(new):,.0f}×" if casbin else "-",
                f"{casbin.seconds / remembered.seconds:,.0f}×" if casbin else "-",
            )
        )
    return Section(
        title="One decision",
        about=_about(quick=quick),
        columns=(
            "rows",
            "remembered",
            "best round",
            "against 10 rows",
            "worked out anew",
            "the very first",
            "stock pycasbin",
            "pycasbin / anew",
            "pycasbin / remembered",
        ),
        rows=rows,
    )


def _about(*, quick: bool) -> str:
    asked = len(PEOPLE) * len(ASKED)
    return (
        f"Target: remembered in at most 0.6 µs with the file and line of every determining rule, "
        f"and growing by at most 1.2× from 10 to 100,000 rows.\n\n"
        f"Each figure is the mean over {asked} questions ({len(PEOPLE)} people, {len(ASKED)} "
        f"kinds of request), median of {1 if quick else 7} rounds, of twice as many for what is "
        "remembered. *Remembered*: what the gateway does for nearly every request, "
        "`Bundle.ruling` on a question that was asked before. *Worked out anew*: the same with "
        "nothing remembered, as at the first request of a person after the salon opened. *The "
        "very first*: just after the policy was loaded. "
        "All three also say which fields are hidden and what is left to be asked of each record; "
        "*stock pycasbin* is asked whether the card may be seen, and no more."
    )


def _remembered(bundle: Bundle, *, quick: bool) -> Contender:
    repeated = _questions(bundle) * (2 if quick else 500)

    def ask() -> None:
        for principal, resource, action in repeated:
            bundle.ruling(principal, resource, action, AT, PEER)

    ask()
    return Contender(run=ask, operations=len(repeated))


def _contenders(bundle: Bundle, *, quick: bool, casbin: bool) -> dict[str, Contender]:
    questions = _questions(bundle)
    forgetful = replace(bundle)  # with a memory of its own
    fresh = [bundle]

    def anew() -> None:
        for principal, resource, action in questions:
            forgetful._rulings.clear()
            forgetful.ruling(principal, resource, action, AT, PEER)

    def load_again() -> None:
        people = subjects(bundle)
        index = compile_index(bundle.rules, bundle.adapter.vocabulary, people, bundle.matcher)
        fresh[0] = replace(bundle, index=index)

    def very_first() -> None:
        for principal, resource, action in questions:
            fresh[0].ruling(principal, resource, action, AT, PEER)

    found = {
        "new": Contender(run=anew, operations=len(questions)),
        "very first": Contender(run=very_first, operations=len(questions), before=load_again),
    }
    if casbin:
        ask = _of_casbin(bundle, questions)
        # What is linear in the rows takes long: as much of it as a tenth of a second holds.
        began = time.process_time()
        ask(1)
        once = time.process_time() - began
        times = 1 if quick else max(1, min(len(questions), int(0.1 / once)))
        found["casbin"] = Contender(run=lambda: ask(times), operations=times)
    return found


def subjects(bundle: Bundle) -> list[frozenset[str]]:
    """Everybody, once for each salon: what the index is compiled for."""
    return [post.held | {staff} for staff, who in bundle.people.items() for post in who.posts]


def _questions(bundle: Bundle) -> list[Question]:
    """Tokens as people have them: all of their roles, from the app on the phone."""
    principals = [replace(bundle.full_token(StaffId(who)), app="phone") for who in PEOPLE]
    resources = bundle.adapter.vocabulary.resources
    return [(who, resources[name], action) for who in principals for name, action in ASKED]


def _of_casbin(bundle: Bundle, questions: list[Question]) -> Callable[[int], None]:
    posts = [(who.staff, who.home) for who, _, _ in questions]
    stock = stock_verdict(bundle.model_text, bundle.rules, posts, bundle.adapter.vocabulary)
    facts = [bundle.facts(who, who.home, AT, PEER) for who, _, _ in questions]

    def ask(times: int) -> None:
        for (who, resource, action), known in list(zip(questions, facts, strict=True))[:times]:
            stock(who.staff, who.home, resource.name, action, known)

    return ask
