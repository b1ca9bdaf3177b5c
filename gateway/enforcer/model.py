"""model.conf: Casbin's model, which is the authority on what a decision is.

The only file that imports casbin. `check_model` refuses a model that is not one the index
compiles, and says what else it asks for; `stock_verdict` asks the real pycasbin, and tests
and `check` hold the index to its answers. Casbin sees closed words only (role, resource,
action), never paths, and never an owner's file: rows reach it from our strict reader.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import casbin

from gateway.domain.access import Facts
from gateway.domain.finding import Finding, Place, PolicyError
from gateway.domain.resource import ANY, Vocabulary
from gateway.domain.subject import Post, StaffId
from gateway.enforcer.index import covers
from gateway.enforcer.matcher import CONJUNCTS, Matcher, parse_matcher
from gateway.enforcer.modeltext import Entries, parse_model_text
from gateway.enforcer.rules import Effect, Rule
from gateway.enforcer.when import Condition, Literal

# What the index compiles. A model may not differ here: it would be honoured by half.
SECTIONS: Mapping[tuple[str, str], str] = {
    ("request_definition", "r"): "sub, res, act, ctx",
    ("policy_definition", "p"): "who, res, act, when, eft",
    ("role_definition", "g"): "_, _",
    ("policy_effect", "e"): "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
}
EFFECT = ("policy_effect", "e")  # Casbin knows it by its exact spelling, blanks included
MATCHER = ("matchers", "m")


def check_model(text: str, file: str) -> Matcher:
    """Hold a model.conf against what the index compiles.

    Returns:
        What it asks beyond the five conjuncts.

    Raises:
        PolicyError: every construct that is missing, changed or not understood.
    """
    entries = parse_model_text(text, file)
    findings = list(_differences(entries, file))
    matcher = Matcher()
    try:
        if MATCHER in entries:
            matcher = parse_matcher(entries[MATCHER])
    except PolicyError as error:
        findings += error.findings
    if findings:
        raise PolicyError(findings)
    return matcher


def _differences(entries: Entries, file: str) -> Iterator[Finding]:
    """What differs from the model that the index compiles, the matcher's value apart."""
    required = {**SECTIONS, MATCHER: " && ".join(CONJUNCTS)}
    for (section, key), entry in entries.items():
        if (section, key) not in required:
            yield Finding(entry.place, f"`{key}` in [{section}] is not understood; remove it")
    for (section, key), wanted in required.items():
        got = entries.get((section, key))
        if got is None:
            message = f"`{key}` is missing in [{section}]; write `{key} = {wanted}`"
            yield Finding(Place(file), message)
        elif (section, key) in SECTIONS and not _same((section, key), got.value, wanted):
            message = f"`{key} = {got.value}` is not understood; write `{key} = {wanted}`"
            yield Finding(got.place, message)


def _same(key: tuple[str, str], got: str, wanted: str) -> bool:
    """Blanks round a column's name do not matter, to Casbin neither."""
    return got == wanted if key == EFFECT else _columns(got) == _columns(wanted)


def _columns(text: str) -> list[str]:
    return [column.strip() for column in text.split(",")]


@dataclass(frozen=True, slots=True)
class Context:
    """What our functions need to know about a request besides Casbin's three words.

    Attributes:
        facts: of the request and of the record, by name.
    """

    staff: StaffId
    post: Post
    facts: Facts


StockVerdict = Callable[[StaffId, Post, str, str, Facts], bool]


def stock_verdict(
    model_text: str,
    rules: Iterable[Rule],
    held: Iterable[tuple[StaffId, Post]],
    vocabulary: Vocabulary,
) -> StockVerdict:
    """Load the rows into stock pycasbin and return a function that asks it.

    Casbin's `g` has no salons here, so a person is one subject for each salon,
    `staff:mei@aoyama`, who holds `staff:mei` and the roles of that post.

    Args:
        model_text: model.conf, as `check_model` has accepted it.
        rules: every row, hours included.
        held: everyone who will be asked about, once for each salon; `Post.held` counts.
        vocabulary: the adapter's resources, to know classes from fields.

    Returns:
        (staff, post, target, action, facts of request and record) → allowed?
    """
    model = casbin.Model()
    model.load_model_from_text(model_text)
    enforcer = casbin.Enforcer(model)
    logging.getLogger("casbin").setLevel(logging.WARNING)
    for rule in rules:
        model.add_policy("p", "p", list(rule.row))
    for staff, post in held:
        for name in (staff, *sorted(post.held)):
            model.add_policy("g", "g", [_subject(staff, post), name])
    enforcer.build_role_links()
    enforcer.add_function("acts_as", _acts_as)
    enforcer.add_function("names", _names)
    enforcer.add_function("holds", _holds)
    enforcer.add_function("covers", partial(_covers, vocabulary))

    def ask(staff: StaffId, post: Post, target: str, action: str, facts: Facts) -> bool:
        context = Context(staff, post, facts)
        return bool(enforcer.enforce(_subject(staff, post), target, action, context))

    return ask


def _subject(staff: StaffId, post: Post) -> str:
    """A name that no staff id and no role can have."""
    return f"{staff}@{post.salon}"


def _acts_as(context: Context, who: str, eft: str) -> bool:
    """Denies are asked of every held role, allows of those this token may use."""
    return eft == Effect.DENY or who in context.post.acting or who == context.staff


def _covers(vocabulary: Vocabulary, resource: str, target: str, eft: str) -> bool:
    # Of a policy without rows Casbin asks one row of empty columns; it speaks about nothing.
    return eft in set(Effect) and covers(resource, target, Effect(eft), vocabulary)


def _names(actions: str, action: str) -> bool:
    return actions == ANY or action in actions.split("|")


def _holds(when: str, context: Context, eft: str) -> bool:
    parts = [part.strip() for part in when.split("&") if part.strip()]
    condition = Condition(tuple(map(_literal, parts)))
    return condition.fires(context.facts, deny=eft == Effect.DENY)


def _literal(part: str) -> Literal:
    """`!app:phone`; in a text of the model itself, Casbin has made `not app:phone` of it."""
    for mark in ("!", "not "):
        if part.startswith(mark):
            return Literal(part.removeprefix(mark).strip(), negated=True)
    return Literal(part)
