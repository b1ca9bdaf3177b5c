"""The rules of the house, written a second time, slowly and plainly.

One row after the other, no index, no compiled anything; from the policy guide's text.
"""

FIELD_ACTIONS = ("read", "write")


def condition_value(text, facts):
    """Three values: False beats unknown beats True."""
    values = []
    for part in [p.strip() for p in text.split("&") if p.strip()]:
        name = part.removeprefix("!")
        known = facts.get(name)
        values.append(None if known is None else (not known if part.startswith("!") else known))
    if False in values:
        return False
    return None if None in values else True


def row_speaks(row, principal, target, action, field_of):
    """Who, resource and action fit. `field_of[target]` = (card, class or None)."""
    who, resource, actions, _, effect = row
    if effect == "deny":
        if who not in principal.held and who != principal.staff:
            return False
    elif who not in principal.acting and who != principal.staff:
        return False
    if actions != "*" and action not in actions.split("|"):
        return False
    if resource in {"*", target}:
        return True
    if effect == "deny":
        return target.startswith(resource + ".")
    if target in field_of:
        card, field_class = field_of[target]
        if field_class is None:
            return resource == card
        return resource == f"{card}.{field_class}"
    return False


def outcome(rows, principal, target, action, facts, field_of):
    """(explicit denies, hour denies, allows) as lists of row numbers."""
    denies, hours, allows = [], [], []
    for number, (origin, row) in enumerate(rows):
        if not row_speaks(row, principal, target, action, field_of):
            continue
        value = condition_value(row[3], facts)
        if row[4] == "deny" and value is not False:
            (hours if origin == "hours" else denies).append(number)
        if row[4] == "allow" and value is True:
            allows.append(number)
    return denies, hours, allows


def decide(rows, principal, resource, action, facts):
    """("permit", hidden, unwritable, exempt) or ("deny", reason)."""
    field_of = {
        resource.target(name): (resource.name, field.field_class)
        for name, field in resource.fields.items()
    }
    field_of[resource.target("unmapped")] = (resource.name, "unmapped")

    def judge(known):
        denies, hours, allows = outcome(rows, principal, resource.name, action, known, field_of)
        if denies:
            return ("deny", "rule_denies")
        if not allows:
            return ("deny", "no_rule_allows")
        if hours:
            return ("deny", "outside_hours")
        refused = {}
        for field_action in FIELD_ACTIONS:
            refused[field_action] = frozenset(
                name
                for name in resource.maskable
                if not field_open(resource.target(name), field_action, known)
            )
        protected = any(
            origin == "hours" and row_speaks(row, principal, resource.name, action, field_of)
            for origin, row in rows
        )
        exempt = protected and known.get("outside_window") is not False
        return ("permit", refused["read"], refused["write"], exempt)

    def field_open(target, field_action, known):
        denies, hours, allows = outcome(rows, principal, target, field_action, known, field_of)
        return bool(allows) and not denies and not hours

    verdict = judge(facts)
    if (
        verdict[0] == "deny"
        and facts.get("approved_device") is not True
        and judge({**facts, "approved_device": True})[0] == "permit"
    ):
        return ("deny", "device_not_approved")
    return verdict
