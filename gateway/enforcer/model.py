"""model.conf: Casbin's model, which is the authority on what a decision is.

The only file that imports casbin. `check_model` refuses a model that is not the one the
index compiles; `stock_verdict` asks the real pycasbin, and tests and `check` hold the
index to its answers. Casbin sees closed words only (role, resource, action), never paths,
and never an owner's file: rows reach it from our strict reader.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass

import casbin

from gateway.domain.access import Facts
from gateway.domain.finding import Finding, Place, PolicyError
from gateway.domain.resource import ANY, Vocabulary
from gateway.domain.subject import Principal
from gateway.enforcer.index import covers
from gateway.enforcer.rules import Effect, Rule
from gateway.enforcer.when import Condition, Literal

# What the index compiles. A model may not differ: it would be honoured by half.
SECTIONS: Mapping[tuple[str, str], str] = {
    ("request_definition", "r"): "sub, res, act, ctx",
    ("policy_definition", "p"): "who, res, act, when, eft",
    ("role_definition", "g"): "_, _",
    ("policy_effect", "e"): "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
}
CONJUNCTS = (
    "g(r.sub, p.who)",
    "acts_as(r.ctx, p.who, p.eft)",
    "covers(p.res, r.res, p.eft)",
    "names(p.act, r.act)",
    "holds(p.when, r.ctx, p.eft)",
)
MATCHER = ("matchers", "m")


def check_model(text: str, file: str) -> None:
    """Hold a model.conf against what the index compiles.

    Raises:
        PolicyError: every construct that is missing, changed or not understood.
    """
    lines = text.split("\n")
    config = ConfigParser(strict=True, interpolation=None, delimiters=("=",))
    try:
        config.read_string(text)
    except ConfigError as error:
        line = getattr(error, "lineno", None) or 1
        first = str(error.args[0] if error.args else error).splitlines()[0]
        raise PolicyError([Finding(Place(file, line), f"not a Casbin model: {first}")]) from error
    findings = [
        Finding(_place(lines, file, key), message) for key, message in _differences(config)
    ]
    if findings:
        raise PolicyError(findings)


def _differences(config: ConfigParser) -> Iterable[tuple[str, str]]:
    """What differs from the model that the index compiles, with the word to look for."""
    found = {(section, key) for section in config.sections() for key in config[section]}
    for section, key in sorted(found - set(SECTIONS) - {MATCHER}):
        yield key, f"`{key}` in [{section}] is not understood; remove it"
    for (section, key), wanted in SECTIONS.items():
        got = config.get(section, key, fallback=None)
        if got is None:
            yield f"[{section}]", f"`{key}` is missing in [{section}]; write `{key} = {wanted}`"
        elif _squeeze(got) != _squeeze(wanted):
            yield key, f"`{key} = {got}` is not understood; write `{key} = {wanted}`"
    matcher = config.get(*MATCHER, fallback="")
    parts = [_squeeze(part) for part in matcher.split("&&")]
    known = {_squeeze(part): part for part in CONJUNCTS}
    for part, written in known.items():
        if part not in parts:
            yield "m", f"the matcher must keep `{written}`; without it, rules would match too much"
    for part in parts:
        if part not in known:
            yield "m", f"`{part}` in the matcher is not understood; remove it"


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _place(lines: list[str], file: str, key: str) -> Place:
    """The line on which a key or section stands; the first line if it is missing."""
    for number, line in enumerate(lines, start=1):
        if line.strip() == key or line.split("=")[0].strip() == key:
            return Place(file, number)
    return Place(file)


@dataclass(frozen=True, slots=True)
class Context:
    """What our functions need to know about a request besides Casbin's three words."""

    principal: Principal
    facts: Facts


StockVerdict = Callable[[Principal, str, str, Facts], bool]


def stock_verdict(
    model_text: str,
    rules: Iterable[Rule],
    held: Iterable[tuple[str, Iterable[str]]],
    vocabulary: Vocabulary,
) -> StockVerdict:
    """Load the rows into stock pycasbin and return a function that asks it.

    Args:
        model_text: model.conf.
        rules: every row, hours included.
        held: each staff or role with the roles it is given (roster, `g` rows, role:anyone).
        vocabulary: the adapter's resources, to know classes from fields.

    Returns:
        (principal, target, action, facts) → allowed?
    """
    model = casbin.Model()
    model.load_model_from_text(model_text)
    enforcer = casbin.Enforcer(model)
    logging.getLogger("casbin").setLevel(logging.WARNING)
    for rule in rules:
        model.add_policy("p", "p", list(rule.row))
    for child, roles in held:
        for role in roles:
            model.add_policy("g", "g", [child, role])
    enforcer.build_role_links()
    enforcer.add_function("acts_as", _acts_as)
    enforcer.add_function("names", _names)
    enforcer.add_function("holds", _holds)
    enforcer.add_function(
        "covers", lambda resource, target, eft: covers(resource, target, Effect(eft), vocabulary)
    )

    def ask(principal: Principal, target: str, action: str, facts: Facts) -> bool:
        context = Context(principal, facts)
        return bool(enforcer.enforce(principal.staff, target, action, context))

    return ask


def _acts_as(context: Context, who: str, eft: str) -> bool:
    """Denies are asked of every held role, allows of those this token may use."""
    principal = context.principal
    return eft == Effect.DENY or who in principal.acting or who == principal.staff


def _names(actions: str, action: str) -> bool:
    return actions == ANY or action in actions.split("|")


def _holds(when: str, context: Context, eft: str) -> bool:
    parts = [part.strip() for part in when.split("&") if part.strip()]
    condition = Condition(tuple(Literal(p.lstrip("!"), p.startswith("!")) for p in parts))
    return condition.fires(context.facts, deny=eft == Effect.DENY)
