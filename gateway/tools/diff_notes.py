"""What else two policies say differently: people, roles, the CRM's words, routes, hours.

A note *matters* if it changes what somebody can do in a way that no sentence about people and
rules could tell: an address that opens, a field that is another member now. The others are for
whoever wants to know why the sentences are as they are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum

from gateway.bundle import Bundle
from gateway.domain.resource import Resource
from gateway.domain.subject import Role
from gateway.enforcer.observe import Kind, Observation
from gateway.enforcer.rules import Effect, Rule
from gateway.enforcer.when import Literal
from gateway.identity.roster import Member
from gateway.mapping.routes import Route, RouteKind
from gateway.tools.hours_words import hours_in_words
from gateway.tools.timeline import Timeline
from gateway.tools.week import week_in_words


class About(StrEnum):
    """Of what a note is."""

    PEOPLE = "people"
    ROLES = "roles"
    HOURS = "hours"
    RECORDS = "records"  # resources, fields, classes, facts
    ROUTES = "routes"
    REQUESTS = "requests"  # apps and networks
    RULES = "rules"  # model.conf, assertions, what is observed


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that differs.

    Attributes:
        text: a sentence without a full stop; names in backticks.
        matters: somebody can do something by it, or cannot, that no sentence tells.
    """

    about: About
    text: str
    matters: bool = False


def notes(old: Bundle, new: Bundle, timeline: Timeline) -> Iterator[Note]:
    """Everything that differs besides rights, in a fixed order."""
    for about, found in (
        (About.PEOPLE, _people(old, new)),
        (About.ROLES, _roles(old, new)),
        (About.HOURS, _hours(old, new, timeline)),
        (About.RECORDS, _records(old, new)),
        (About.ROUTES, _routes(old, new)),
        (About.REQUESTS, _requests(old, new)),
        (About.RULES, _rules(old, new)),
    ):
        for text, matters in found:
            yield Note(about=about, text=text, matters=matters)


_Said = Iterator[tuple[str, bool]]


def _people(old: Bundle, new: Bundle) -> _Said:
    """Who is on the roster reaches what is under no rules, so coming and going matters."""
    before, after = old.roster.members, new.roster.members
    for staff in sorted(after.keys() - before.keys()):
        yield f"`{staff}` joins the roster: {_works(after[staff])}", True
    for staff in sorted(before.keys() - after.keys()):
        yield f"`{staff}` is no longer on the roster", True
    for staff in sorted(before.keys() & after.keys()):
        one, other = before[staff], after[staff]
        if _posts(one) != _posts(other):
            homes = next(iter(one.salons)) != next(iter(other.salons))
            yield f"`{staff}`: {_works(one)} -> {_works(other)}", homes
        for name in ("joined", "leaves_on"):
            yield from _value(staff, name, one, other, matters=True)
        for name in ("on_notice_since", "trained_until", "nda_signed"):
            yield from _value(staff, name, one, other, matters=False)
        if one.crm_id != other.crm_id:
            yield f"`{staff}`: `crm_id` {one.crm_id} -> {other.crm_id}", False
        yield from (
            (f"`{staff}`: {what}", False)
            for what in _came_and_went(
                "approved device", one.approved_devices, other.approved_devices
            )
        )


def _value(staff: str, name: str, one: Member, other: Member, *, matters: bool) -> _Said:
    was, now = getattr(one, name), getattr(other, name)
    if was != now:
        yield f"`{staff}`: `{name}` {_spelt(was)} -> {_spelt(now)}", matters


def _spelt(value: object) -> str:
    return "none" if value is None else str(value).lower()


def _posts(member: Member) -> list[tuple[str, frozenset[str]]]:
    return [(salon, frozenset(roles)) for salon, roles in member.salons.items()]


def _works(member: Member) -> str:
    return "; ".join(
        f"{salon}: {', '.join(roles) or 'no role'}" for salon, roles in member.salons.items()
    )


def _roles(old: Bundle, new: Bundle) -> _Said:
    for text in _came_and_went("role", old.roles, new.roles):
        yield text, False
    links = [
        {f"{who} has {role}" for who, roles in bundle.graph.parents.items() for role in roles}
        for bundle in (old, new)
    ]
    for text in _came_and_went("link", *links):
        yield text, False
    for text in _without_role(old, new):
        yield text, False


def _without_role(old: Bundle, new: Bundle) -> Iterator[str]:
    """Denies are inherited with a role: who loses one may do what it kept from them."""
    for staff in sorted(old.people.keys() & new.people.keys()):
        kept = {post.salon: post.held for post in new.people[staff].posts}
        for post in old.people[staff].posts:
            for role in sorted(post.held - kept.get(post.salon, frozenset())):
                closing = ", ".join(str(rule.ref) for rule in old.rules if _closes(rule, role))
                if closing and post.salon in kept:
                    yield (
                        f"`{staff}` no longer has `{role}` in `{post.salon}`, nor what it keeps "
                        f"closed: {closing}"
                    )


def _closes(rule: Rule, role: Role) -> bool:
    """Does a row keep something from whoever has a role, and from nobody without it?"""
    if rule.effect is Effect.DENY and rule.who == role:
        return True
    counts = Literal(role, negated=rule.effect is Effect.ALLOW)
    return counts in rule.condition.literals


def _hours(old: Bundle, new: Bundle, timeline: Timeline) -> _Said:
    before, after = old.calendar, new.calendar
    for salon in sorted(timeline.salons):
        pair = timeline.pair(salon)
        if pair.old is None or pair.new is None:
            gone = "has hours now" if pair.old is None else "has no hours any more"
            yield f"`{salon}` {gone}: {week_in_words(pair.any)}", False
        elif pair.old.timezone != pair.new.timezone:
            yield f"`{salon}`: timezone {pair.old.timezone} -> {pair.new.timezone}", False
        elif not pair.same:
            more = hours_in_words(timeline, salon, {(False, True)})
            less = hours_in_words(timeline, salon, {(True, False)})
            said = [f"opens {more}"] if more.ever else []
            said += [f"closes {less}"] if less.ever else []
            yield f"`{salon}` {', '.join(said) or 'lists its hours otherwise'}", False
    protected = [{name for name, _ in calendar.protected} for calendar in (before, after)]
    for text in _came_and_went("protected resource", *protected):
        yield text, False
    for text in _came_and_went("exempt role", before.exempt_roles, after.exempt_roles):
        yield text, False


def _records(old: Bundle, new: Bundle) -> _Said:
    before, after = (bundle.adapter.vocabulary.resources for bundle in (old, new))
    for text in _came_and_went("resource", before, after):
        yield text, False
    for name in sorted(before.keys() & after.keys()):
        yield from _resource(before[name], after[name])


def _resource(old: Resource, new: Resource) -> _Said:
    name = f"`{new.name}`"
    for text in _came_and_went(f"field of {name}", old.fields, new.fields):
        yield text, False
    for each in sorted(old.fields.keys() & new.fields.keys()):
        was, now = old.fields[each], new.fields[each]
        if was.field_class != now.field_class:
            yield f"`{old.target(each)}` is `{new.target(each)}` now", False
        if {*was.paths} != {*now.paths}:
            yield f"`{new.target(each)}` is read from {_paths(now.paths)} now", True
    facts = [{fact.name: fact for fact in resource.facts} for resource in (old, new)]
    for text in _came_and_went(f"fact of {name}", *facts):
        yield text, False
    for each in sorted(facts[0].keys() & facts[1].keys()):
        if facts[0][each] != facts[1][each]:
            yield f"the fact `{each}` of {name} is compared otherwise now", False
    for what in ("id", "salon", "embeds", "sensitive"):
        if getattr(old, what) != getattr(new, what):
            yield f"`{what}` of {name} is another now", True


def _paths(paths: Iterable[object]) -> str:
    return " and ".join(f"`{path}`" for path in paths)


def _routes(old: Bundle, new: Bundle) -> _Said:
    before, after = (
        {route.template: route for route in bundle.adapter.routes.routes} for bundle in (old, new)
    )
    for template in sorted(after.keys() - before.keys()):
        yield f"new route: {_open_to(after[template])}", True
    for template in sorted(before.keys() - after.keys()):
        yield f"no route any more: {_open_to(before[template])}", True
    for template in sorted(before.keys() & after.keys()):
        was, now = before[template], after[template]
        if _asks(was) != _asks(now):
            yield f"route `{template}`: {_asks(was)} -> {_asks(now)}", True
        for each in _differing(was, now):
            yield f"route `{template}`: `{each}` is another now", True
    if old.adapter.lookups != new.adapter.lookups:
        yield "records are looked up otherwise before they are changed", True


def _open_to(route: Route) -> str:
    return f"`{route.template}`: {_asks(route)}"


def _asks(route: Route) -> str:
    match route.kind:
        case RouteKind.PUBLIC:
            return "for anybody, even without a token"
        case RouteKind.PASS:
            return "for everyone on the roster, without rules"
        case RouteKind.RULED:
            return f"for whoever may `{route.action}` `{route.resource.name}`"


def _differing(was: Route, now: Route) -> Iterator[str]:
    # By `_asks`; and what follows from `query` and `variants`.
    told = {"method", "template", "kind", "resource", "action", "folded"}
    for each in fields(Route):
        if each.name not in told and getattr(was, each.name) != getattr(now, each.name):
            yield each.name


def _requests(old: Bundle, new: Bundle) -> _Said:
    for text in _came_and_went("app", old.apps, new.apps):
        yield text, False
    for text in _came_and_went("network", old.networks, new.networks):
        yield text, False
    for name in sorted(old.networks.keys() & new.networks.keys()):
        ranges = (map(str, networks[name]) for networks in (old.networks, new.networks))
        for text in _came_and_went(f"range of network `{name}`", *ranges):
            yield text, False


def _rules(old: Bundle, new: Bundle) -> _Said:
    if old.matcher != new.matcher:
        yield "model.conf asks for something else beside the rules", False
    texts = [{one.text for one in bundle.assertions} for bundle in (old, new)]
    for text in _came_and_went("assertion", *texts):
        yield text, False
    observed = [{_observation(one) for one in bundle.observed} for bundle in (old, new)]
    for text in _came_and_went("observation", *observed):
        yield text, True


def _observation(one: Observation) -> str:
    what = one.text if one.kind is Kind.RULE else one.kind.value
    return f"{what} (enforced from {one.enforce_from})"


def _came_and_went(what: str, old: Iterable[str], new: Iterable[str]) -> Iterator[str]:
    before, after = {*old}, {*new}
    for name in sorted(after - before):
        yield f"new {what}: `{name}`"
    for name in sorted(before - after):
        yield f"no {what} any more: `{name}`"
