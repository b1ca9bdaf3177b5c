"""What loads, but hardly means what its owner thinks: warnings, each at its place.

What a warning says of rows and people is proved, in this order, at most one a row:

1. contradictory: no facts make the condition hold (`reach.never_true`);
2. never asked: the row speaks about no question that a route of the adapter leads to. It is
   judged as a whole: one unused action in a list is left alone;
3. shadowed: one deny fires whenever this allow does (`reach.Coverage.shadowed_by`);
4. redundant: one other row gives the same effect whenever this one does. Rows that are spelt
   alike are left to the warning at load.

Taking out all rows of 2 to 4 changes no answer, but for the reason of a denial where a row of
hours.yaml shadows the allow. Then, of people: nobody is said to be without rights whom some
facts could let do anything (`reach.has_rights`; dates do not count). Only what is said of
fields is a guess, from their names (`delicate.py`).
"""

from collections.abc import Iterator

from gateway.bundle import Bundle
from gateway.domain.finding import Finding, Place, Severity
from gateway.domain.resource import ANY, Field, Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import ANYONE
from gateway.enforcer.matcher import PLAIN_MATCHER
from gateway.enforcer.rules import Effect, Origin, Rule
from gateway.tools.delicate import sounds_like
from gateway.tools.reach import (
    MAX_STEPS,
    Budget,
    Clash,
    Coverage,
    Question,
    Reach,
    has_rights,
    never_true,
    undeclared,
)


def lint(bundle: Bundle, max_steps: int = MAX_STEPS) -> tuple[Finding, ...]:
    """Everything worth a warning, in the order of places.

    Args:
        bundle: a policy that loaded.
        max_steps: bounds the comparisons of rows; beyond it a finding says that not all
            were compared.
    """
    budget = Budget(max_steps)
    cards = _cards(bundle)
    found = [
        # What model.conf asks on top of a row is not weighed here, so nothing is claimed then.
        *(_rows(bundle, cards, budget) if bundle.matcher == PLAIN_MATCHER else ()),
        *_roles_of_nobody(bundle),
        *_people(bundle, cards, budget),
        *_fields(bundle),
    ]
    if budget.spent:
        message = (
            f"too many rules to compare all of them (stopped after {max_steps} comparisons): "
            "rows without effect may be missing here; remove those that are named and check again"
        )
        found.append(_warning(Place(bundle.rules[0].ref.file), message))
    return tuple(sorted(found))


def _cards(bundle: Bundle) -> frozenset[Question]:
    """What the routes ask rules about. `pass` and `public` routes ask none."""
    return frozenset(
        (route.resource.name, route.action) for route in bundle.adapter.routes.ruled()
    )


def _rows(bundle: Bundle, cards: frozenset[Question], budget: Budget) -> Iterator[Finding]:
    reach = Reach(bundle.adapter.vocabulary)
    coverage = Coverage(
        rules=bundle.rules,
        reach=reach,
        graph=bundle.graph,
        held={
            staff: frozenset.intersection(*(post.held for post in person.posts))
            for staff, person in bundle.people.items()
        },
        budget=budget,
    )
    served = reach.served(cards)
    conditions = {rule.condition for rule in bundle.rules}
    clashes = {condition: never_true(condition, bundle.apps) for condition in conditions}
    for rule in bundle.rules:
        clash = clashes[rule.condition]
        message = _said_of(rule, clash, bundle, cards, served, coverage)
        if message is not None:
            yield _warning(_place(rule.ref), message)


def _said_of(
    rule: Rule,
    clash: Clash | None,
    bundle: Bundle,
    cards: frozenset[Question],
    served: int,
    coverage: Coverage,
) -> str | None:
    """The first thing to say of one row."""
    if clash is not None:
        return _contradictory(rule, clash)
    if not coverage.reach.of(rule) & served:
        return _never_asked(rule, bundle, cards)
    if rule.effect is Effect.ALLOW:
        deny = coverage.shadowed_by(rule)
        if deny is not None:
            return (
                f"this allow never helps: the deny at {deny.ref} refuses all of it, and a deny "
                "always wins; narrow the deny or delete this row"
            )
    other = coverage.redundant_with(rule)
    if other is None or other.row == rule.row:
        return None
    does = "allows" if rule.effect is Effect.ALLOW else "denies"
    what = "entry" if rule.origin is Origin.HOURS else "row"
    return f"the {what} at {other.ref} {does} all of this already; delete this one"


def _contradictory(rule: Rule, clash: Clash) -> str:
    parts = " & ".join(clash.typed)
    if rule.effect is Effect.ALLOW:
        return f"this allow never fires: `{parts}` is never true; write one row per case"
    if clash.unknown:
        return (
            f"`{parts}` is never true, so this deny fires only while {clash.unknown} is not "
            "known; write one row per case"
        )
    return f"this deny never fires: `{parts}` is never true; write one row per case"


def _never_asked(rule: Rule, bundle: Bundle, cards: frozenset[Question]) -> str:
    """Why no request ever comes to this row, from the widest cause to the narrowest."""
    card = rule.resource.partition(".")[0]
    typed = "|".join(sorted(rule.actions))
    if card == ANY:
        known = _listed({action for _, action in cards})
        return f"no route asks for `{typed}`, so this rule is never asked; routes ask for {known}"
    asked = {action for name, action in cards if name == card}
    if not asked:
        return (
            f"no route asks rules about `{card}` (`pass` and `public` routes ask none), so this "
            "rule is never asked; add a route to the adapter or delete this row"
        )
    if undeclared(rule) and not bundle.adapter.vocabulary.resources[card].sensitive:
        return (
            f"undeclared members of `{card}` always pass (`sensitive: false`), so this rule is "
            "never asked; make the resource sensitive or delete this row"
        )
    if rule.resource != card:
        return (
            f"fields are asked for with `read` and `write` only, so `{typed}` on "
            f"`{rule.resource}` is never asked; write one of them"
        )
    return (
        f"no route asks for `{typed}` of `{card}`, so this rule is never asked; its routes ask "
        f"for {_listed(asked)}"
    )


def _roles_of_nobody(bundle: Bundle) -> Iterator[Finding]:
    """Once a role, at its first row."""
    held = {ANYONE}.union(*(person.held for person in bundle.people.values()))
    seen: set[str] = set()
    for rule in sorted(bundle.rules, key=lambda rule: (rule.ref.file, rule.ref.line)):
        if rule.who.startswith("role:") and rule.who not in held and rule.who not in seen:
            seen.add(rule.who)
            message = (
                f"nobody on the roster holds `{rule.who}`, so its rules reach nobody now; give "
                "it to somebody in staff.yaml, or leave it for whoever comes next"
            )
            yield _warning(_place(rule.ref), message)


def _people(bundle: Bundle, cards: frozenset[Question], budget: Budget) -> Iterator[Finding]:
    """Everybody whom no facts could let do anything. People of one view have the same answer."""
    known: dict[frozenset[str], bool] = {}
    for staff, person in bundle.people.items():
        some = False
        for post in person.posts:
            spoken_of = (post.held | {staff}) & bundle.index.subjects
            if spoken_of not in known:
                view = bundle.index.views[spoken_of]
                known[spoken_of] = has_rights(view, sorted(cards), bundle.apps, budget)
            some = some or known[spoken_of]
        if not some:
            message = (
                f"no rule ever lets `{staff}` through to anything; allow one of their roles "
                "something, or give them another role"
            )
            yield _warning(person.member.place, message)


def _fields(bundle: Bundle) -> Iterator[Finding]:
    adapter = bundle.adapter
    for resource in adapter.vocabulary.resources.values():
        for found in resource.fields.values():
            kind = _delicate(found)
            if kind is None or (resource.sensitive and found.field_class is not None):
                continue
            place = adapter.places.get((resource.name, found.name), Place(adapter.name))
            yield _warning(place, _exposed(resource, found, kind))


def _delicate(found: Field) -> str | None:
    """What the field's name, or a member's, sounds like."""
    names = (found.name, *(step for path in found.paths for step in path.steps))
    return next((kind for kind in map(sounds_like, names) if kind is not None), None)


def _exposed(resource: Resource, found: Field, kind: str) -> str:
    name = f"`{resource.name}.{found.name}` sounds like {kind}"
    if not resource.sensitive:
        return (
            f"{name} but its resource has `sensitive: false`, so undeclared members pass "
            "uncut; remove that and put the field into a class"
        )
    return (
        f"{name} but is in no class, so whoever may read `{resource.name}` sees it; put it "
        "under `classes`"
    )


def _listed(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing"


def _place(ref: RuleRef) -> Place:
    return Place(ref.file, ref.line)


def _warning(place: Place, message: str) -> Finding:
    return Finding(place, message, Severity.WARNING)
