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


def row_speaks(row, staff, post, target, action, field_of):
    """Who, resource and action fit. `field_of[target]` = (card, class or None)."""
    who, resource, actions, _, effect = row
    if effect == "deny":
        if who not in post.held and who != staff:
            return False
    elif who not in post.acting and who != staff:
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


def fields_of(resource):
    known = {
        resource.target(name): (resource.name, field.field_class)
        for name, field in resource.fields.items()
    }
    known[resource.target("unmapped")] = (resource.name, "unmapped")
    return known


def outcome(rows, staff, post, resource, target, action, facts):
    """(explicit denies, hour denies, allows) as lists of row numbers; everything is known."""
    denies, hours, allows = [], [], []
    for number, (origin, row) in enumerate(rows):
        if not row_speaks(row, staff, post, target, action, fields_of(resource)):
            continue
        value = condition_value(row[3], facts)
        if row[4] == "deny" and value is not False:
            (hours if origin == "hours" else denies).append(number)
        if row[4] == "allow" and value is True:
            allows.append(number)
    return denies, hours, allows


def is_open(rows, staff, post, resource, target, action, facts):
    denies, hours, allows = outcome(rows, staff, post, resource, target, action, facts)
    return bool(allows) and not denies and not hours


def without_record_facts(row, resource):
    """The row with only what the request can tell, and what it asks of the record."""
    names = {fact.name for fact in resource.facts}
    parts = [p.strip() for p in row[3].split("&") if p.strip()]
    kept = [p for p in parts if p.removeprefix("!") not in names]
    return (*row[:3], " & ".join(kept), row[4]), {p for p in parts if p not in kept}


def door(rows, staff, post, resource, action, facts):
    """What stops the request in one salon whatever the record is; None = nothing does."""
    denies, allows, hours = [], [], []
    for origin, row in rows:
        bare, of_record = without_record_facts(row, resource)
        fired = outcome([(origin, bare)], staff, post, resource, resource.name, action, facts)
        if fired[0]:
            denies.append(of_record)
        if fired[1]:
            hours.append(of_record)
        if fired[2]:
            allows.append(of_record)
    if set() in denies:
        return "rule_denies"
    # An allow that one deny accompanies wherever it fires, or that contradicts itself, is none.
    if all(
        any(deny <= allow for deny in denies) or any(f"!{name}" in allow for name in allow)
        for allow in allows
    ):
        return "no_rule_allows"
    return "outside_hours" if hours else None


ORDER = ["rule_denies", "no_rule_allows", "outside_hours"]


def decide(rows, principal, resource, action, facts):
    """("permit", exempt) or ("deny", reason), before any record is known."""

    def judge(known):
        stops = {
            post.salon: door(rows, principal.staff, post, resource, action, known[post.salon])
            for post in principal.posts
        }
        refusing = [reason for reason in stops.values() if reason]
        if len(refusing) == len(stops) or (refusing and resource.salon is None):
            return ("deny", max(refusing, key=ORDER.index))
        exempt = False
        for post in principal.posts:
            protected = any(
                origin == "hours"
                and row_speaks(
                    row, principal.staff, post, resource.name, action, fields_of(resource)
                )
                for origin, row in rows
            )
            outside = known[post.salon].get("outside_window") is not False
            if stops[post.salon] is None and protected and outside:
                exempt = True
        return ("permit", exempt)

    verdict = judge(facts)
    unapproved = any(
        facts[post.salon].get("approved_device") is not True for post in principal.posts
    )
    approved = {salon: {**known, "approved_device": True} for salon, known in facts.items()}
    if verdict[0] == "deny" and unapproved and judge(approved)[0] == "permit":
        return ("deny", "device_not_approved")
    return verdict


def judge_record(rows, principal, resource, action, facts, record):
    """("passes", hidden, unwritable) or ("refused",) for one record, everything known at once."""
    salon, known = record
    if resource.salon is None:
        salon = None
    posts = [post for post in principal.posts if salon in (None, post.salon)]
    if not posts:
        return ("refused",)
    hidden, unwritable = set(), set()
    for post in posts:
        # A fact of another resource's records is not known of this one.
        of_record = {fact.name: known[fact.name] for fact in resource.facts}
        everything = {**facts[post.salon], **of_record}
        if not is_open(rows, principal.staff, post, resource, resource.name, action, everything):
            return ("refused",)
        for name in resource.maskable:
            target = resource.target(name)
            for field_action, closed in (("read", hidden), ("write", unwritable)):
                if not is_open(
                    rows, principal.staff, post, resource, target, field_action, everything
                ):
                    closed.add(name)
    return ("passes", frozenset(hidden), frozenset(unwritable))
