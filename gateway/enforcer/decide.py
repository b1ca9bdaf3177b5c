"""The policy decision point: one pure function.

Theorems, each with a property test of the same name in tests/properties/test_decide.py:

* default_deny: no allow row fires -> denial.
* deny_trumps_allow: a deny row fires -> denial, whatever else fires.
* order_is_irrelevant: shuffling salon_rules.csv changes no decision.
* unknown_never_helps: a fact turned unknown never turns a denial into a permit, nor shows
  or opens a field.
* narrowing_never_widens: a token with fewer roles gets no permit, no field and no write
  that the same person's full token would not get.
* a_permit_has_a_rule: every permit names a row that allows it.

First stop wins, in this order: an explicit deny, no allow, outside the window. If only the
device's approval made the difference, the reason says so instead.
"""

from gateway.domain.access import Access
from gateway.domain.decision import Decision, Denial, Permit
from gateway.domain.reason import Reason
from gateway.enforcer.index import READ, WRITE, Firing, Index

APPROVED = "approved_device"


def decide(index: Index, access: Access) -> Decision:
    """Answer one access request.

    Args:
        index: the compiled rules.
        access: who, what, and every fact known from the request.

    Returns:
        A permit with the hidden and unwritable fields, or a denial with its reason and the
        rows that determined it.
    """
    decision = _judge(index, access)
    if isinstance(decision, Denial) and access.facts.get(APPROVED) is not True:
        approved = Access(
            principal=access.principal,
            resource=access.resource,
            action=access.action,
            facts={**access.facts, APPROVED: True},
        )
        if isinstance(_judge(index, approved), Permit):
            return Denial(reason=Reason.DEVICE_NOT_APPROVED, by=decision.by)
    return decision


def _judge(index: Index, access: Access) -> Decision:
    """Judge the card, then its fields."""
    principal, resource, facts = access.principal, access.resource, access.facts
    view = index.view(principal)
    cell = view.cells.get((resource.name, access.action)) if view else None
    if view is None or cell is None:
        return Denial(reason=Reason.NO_RULE_ALLOWS)
    firing = cell.firing(principal, facts)
    denial = stop(firing)
    if denial is not None:
        return denial
    return Permit(
        by=firing.allows,
        hidden=view.fields[resource.name, READ].hidden_under(principal, facts),
        unwritable=view.fields[resource.name, WRITE].hidden_under(principal, facts),
        # The window would have shut this out, had the row spoken of this role.
        exempt=bool(cell.hours) and facts.get("outside_window") is not False,
    )


def stop(firing: Firing) -> Denial | None:
    """The first stop that rows put in the way, if any."""
    if firing.denies:
        return Denial(reason=Reason.RULE_DENIES, by=firing.denies)
    if not firing.allows:
        return Denial(reason=Reason.NO_RULE_ALLOWS)
    if firing.hours:
        return Denial(reason=Reason.OUTSIDE_HOURS, by=firing.hours)
    return None
