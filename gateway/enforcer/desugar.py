"""hours.yaml as deny rows: the next allow anyone adds cannot forget the window.

`protected: [client]` becomes
`p, role:anyone, client, *, outside_window & !role:manager & !role:owner, deny`
with the file and line of its entry in hours.yaml. Such rows report `outside_hours`.
"""

from gateway.domain.finding import Finding, did_you_mean
from gateway.domain.resource import ANY, Vocabulary
from gateway.domain.subject import ANYONE
from gateway.enforcer.calendar import Calendar
from gateway.enforcer.rules import Effect, Origin, Rule
from gateway.enforcer.when import Condition, Literal
from gateway.texts.yamltext import Document


def hours_rules(calendar: Calendar) -> tuple[Rule, ...]:
    """One deny row per protected resource."""
    exempt = tuple(Literal(role, negated=True) for role in calendar.exempt_roles)
    condition = Condition((Literal("outside_window"), *exempt))
    return tuple(
        Rule(
            ref=ref,
            who=ANYONE,
            resource=resource,
            actions=frozenset({ANY}),
            condition=condition,
            effect=Effect.DENY,
            origin=Origin.HOURS,
        )
        for resource, ref in calendar.protected
    )


def check_hours(
    calendar: Calendar, document: Document, vocabulary: Vocabulary, roles: frozenset[str]
) -> list[Finding]:
    """Names in hours.yaml that nothing declares."""
    findings = []
    known = set(vocabulary.targets())
    for index, (resource, _) in enumerate(calendar.protected):
        if resource not in known:
            message = f"unknown resource `{resource}`; {did_you_mean(resource, known)}"
            findings.append(document.finding(message, "protected", index))
    for index, role in enumerate(calendar.exempt_roles):
        if role not in roles:
            message = f"unknown role `{role}`; {did_you_mean(role, roles)}"
            findings.append(document.finding(message, "exempt_roles", index))
    return findings
