"""The policy decision point: one pure function.

Theorems, each with a property test of the same name in tests/properties/test_decide.py:

* default_deny: no allow row can fire -> denial.
* deny_trumps_allow: a deny row fires -> denial, whatever else fires.
* order_is_irrelevant: shuffling salon_rules.csv changes no decision.
* unknown_never_helps: a fact turned unknown, of the request or of the record, never turns a
  denial into a permit, nor lets a record pass, nor shows or opens a field.
* narrowing_never_widens: a token with fewer roles gets no permit, no record, no field and no
  write that the same person's full token would not get.
* a_permit_has_a_rule: every permit names a row that allows it.
* a_salon_speaks_for_its_own_records: a record of one salon is judged by the roles, rules and
  hours of that salon, and one of no known salon passes only where every salon lets it.
* hidden_in_some_is_hidden_from_questions: whatever is hidden in a record that passes stands
  in the permit's `hidden`.
* lifting_lifts_the_window_and_nothing_else (tests/properties/test_lifting.py): with a salon's
  window lifted nothing passes, shows or can be sent that would not inside the window, nor that
  a row of salon_rules.csv refuses or hides as the clock stands; other salons decide as before.

The decision is partial. What the request tells is settled here; what only the record can tell
(`own_client`) is left in the permit, as one table row for each salon that does not refuse.

First stop wins, in this order: an explicit deny, no allow, outside the window. If only the
device's approval made the difference, the reason says so instead. Somebody whom several salons
refuse is told the stop that came last, since the least is missing there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

from gateway.domain.access import Access, Facts
from gateway.domain.decision import Decision, Denial, Permit
from gateway.domain.obligation import CLOSED, Grant, Residual, all_of
from gateway.domain.reason import Reason
from gateway.domain.record import NOTHING_KNOWN, RecordState
from gateway.domain.resource import Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import Post, StaffId
from gateway.enforcer.index import READ, WRITE, Firing, Index, places

APPROVED = "approved_device"
STOPS = (Reason.RULE_DENIES, Reason.NO_RULE_ALLOWS, Reason.OUTSIDE_HOURS)
MAX_ENUMERATED = 6  # facts; 3^6 states are looked at, once for each new permit
# Where a window is lifted the rows of hours.yaml there do not count, and no other row is told
# whether it is open: unknown never helps, so nothing comes of it but what both would give.
NO_WINDOW = {"inside_window": None, "outside_window": None}


def decide(index: Index, access: Access, lifted: str | None = None) -> Decision:
    """Answer one access request.

    Args:
        index: the compiled rules.
        access: who, what, and every fact known from the request, for each of their salons.
        lifted: the salon whose window a grant lifts; None = no one's.

    Returns:
        A permit with what is left to ask of each record, or a denial with its reason and the
        rows that determined it.
    """
    if lifted is not None:
        there = {**access.facts.get(lifted, {}), **NO_WINDOW}
        access = replace(access, facts={**access.facts, lifted: there})
    decision = _judge(index, access, lifted)
    unapproved = any(facts.get(APPROVED) is not True for facts in access.facts.values())
    if isinstance(decision, Denial) and unapproved:
        approved = {salon: {**facts, APPROVED: True} for salon, facts in access.facts.items()}
        if isinstance(_judge(index, replace(access, facts=approved), lifted), Permit):
            return replace(decision, reason=Reason.DEVICE_NOT_APPROVED)
    return decision


def _judge(index: Index, access: Access, lifted: str | None) -> Decision:
    """Ask each salon, then put their answers together."""
    staff, resource = access.principal.staff, access.resource
    grants: dict[str, Grant] = {}
    denials: list[Denial] = []
    by: list[RuleRef] = []
    for post in access.principal.posts:
        facts = access.facts.get(post.salon, {})
        cell = index.cell(staff, post, resource.name, access.action)
        hours = post.salon != lifted
        firing = cell.firing(staff, post, facts, hours=hours)
        denial = stop(firing)
        if denial is not None:
            denials.append(replace(denial, salon=post.salon))
            continue
        # The window would have shut this out, had the row spoken of this role.
        exempt = hours and bool(cell.hours) and facts.get("outside_window") is not False
        grants[post.salon] = _grant(
            index, staff, post, resource, facts, firing, exempt=exempt, hours=hours
        )
        by += places(firing.allows)
    # Without a salon of its own, a record must pass in all of the person's.
    if not grants or (denials and resource.salon is None):
        return max(denials, key=lambda denial: STOPS.index(denial.reason))
    return _permit(grants, tuple(dict.fromkeys(by)), resource, everywhere=not denials)


def stop(firing: Firing) -> Denial | None:
    """The first stop that rows put in the way whatever the record, if any."""
    settled = tuple(deny for deny in firing.denies if deny.settled)
    if settled:
        return Denial(reason=Reason.RULE_DENIES, by=places(settled))
    if not firing.live:
        return Denial(reason=Reason.NO_RULE_ALLOWS)
    if firing.hours:
        return Denial(reason=Reason.OUTSIDE_HOURS, by=places(firing.hours))
    return None


def _grant(
    index: Index,
    staff: StaffId,
    post: Post,
    resource: Resource,
    facts: Facts,
    firing: Firing,
    *,
    exempt: bool,
    hours: bool,
) -> Grant:
    """What one salon lets the person do with its records."""
    view = index.view(staff, post)
    read, write = (
        view.field_set(resource, action).residuals(staff, post, facts, hours=hours) if view else {}
        for action in (READ, WRITE)
    )
    return Grant(
        test=firing.residual,
        fields={n: (read.get(n, CLOSED), write.get(n, CLOSED)) for n in resource.maskable},
        exempt=exempt,
    )


def _permit(
    grants: Mapping[str, Grant], by: tuple[RuleRef, ...], resource: Resource, *, everywhere: bool
) -> Permit:
    depends = resource.salon is not None or any(grant.asks for grant in grants.values())
    exempt = any(grant.exempt for grant in grants.values())
    if not depends:
        verdict = all_of(grant.judge(NOTHING_KNOWN) for grant in grants.values())
        return Permit(by=by, hidden=verdict.hidden, unwritable=verdict.unwritable, exempt=exempt)
    hidden, unwritable = set[str](), set[str]()
    for grant in grants.values():
        for more_hidden, more_unwritable in _in_some_record(grant):
            hidden |= more_hidden
            unwritable |= more_unwritable
    return Permit(
        by=by,
        hidden=frozenset(hidden),
        unwritable=frozenset(unwritable),
        exempt=exempt,
        depends=True,
        grants=grants,
        everywhere=everywhere,
        refuses=resource.salon is not None
        or any(grant.test.settled is None for grant in grants.values()),
    )


def _in_some_record(grant: Grant) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """What is hidden and unwritable, in every state in which a record passes; or more."""
    bits = [1 << at for at in range(grant.asks.bit_length()) if grant.asks >> at & 1]
    if len(bits) > MAX_ENUMERATED:
        yield (
            _unless_open([(name, read) for name, (read, _) in grant.fields.items()]),
            (_unless_open([(name, send) for name, (_, send) in grant.fields.items()])),
        )
        return
    for values in product((True, False, None), repeat=len(bits)):
        known = tuple(zip(bits, values, strict=True))
        true = sum(bit for bit, value in known if value is True)
        false = sum(bit for bit, value in known if value is False)
        verdict = grant.judge(RecordState(None, true, false))
        if verdict.passes:
            yield verdict.hidden, verdict.unwritable


def _unless_open(fields: list[tuple[str, Residual]]) -> frozenset[str]:
    return frozenset(name for name, residual in fields if residual.settled is not True)
