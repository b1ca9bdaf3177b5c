"""Random small salons: vocabulary, rules, people and facts, for the decision's properties."""

from hypothesis import strategies as st

from gateway.domain.decision import RuleRef
from gateway.domain.fieldpath import FieldPath
from gateway.domain.resource import Field, Resource, Vocabulary
from gateway.domain.subject import ANYONE, Principal, Role, StaffId
from gateway.enforcer.rules import Effect, Origin, Rule
from gateway.enforcer.when import Condition, Literal

ACTIONS = ("list", "read", "write", "export", "delete")
ROLES = ("role:stylist", "role:reception", "role:manager")
PEOPLE = ("staff:mei", "staff:ken")
CONDITIONS = (
    "approved_device", "on_notice", "inside_window", "outside_window", "app:phone",
    "network:salon", *ROLES,
)  # fmt: skip


def a_field(name, field_class=None):
    return Field(name=name, paths=(FieldPath((name,)),), field_class=field_class)


CLIENT = Resource(
    name="client",
    fields={
        f.name: f
        for f in (
            a_field("name"),
            a_field("phone", "contact"),
            a_field("email", "contact"),
            a_field("notes", "health"),
        )
    },
)
BOOKING = Resource(name="booking", sensitive=False, fields={"menu": a_field("menu")})
VOCABULARY = Vocabulary(
    resources={"client": CLIENT, "booking": BOOKING}, actions=frozenset(ACTIONS)
)
TARGETS = tuple(dict.fromkeys(VOCABULARY.targets()))

literals = st.builds(Literal, st.sampled_from(CONDITIONS), st.booleans())
conditions = st.one_of(
    st.just(Condition()),
    st.lists(literals, min_size=1, max_size=3, unique=True).map(lambda ls: Condition(tuple(ls))),
)
actions = st.one_of(
    st.just(frozenset({"*"})), st.frozensets(st.sampled_from(ACTIONS), min_size=1, max_size=3)
)
bare_rules = st.builds(
    dict,
    who=st.sampled_from((*ROLES, *PEOPLE, ANYONE)),
    resource=st.sampled_from(("*", *TARGETS)),
    actions=actions,
    condition=conditions,
    effect=st.sampled_from((Effect.ALLOW, Effect.ALLOW, Effect.DENY)),
)


def _number(rows):
    return [
        Rule(ref=RuleRef("salon_rules.csv", line), **row) for line, row in enumerate(rows, start=1)
    ]


def _protected(resource, line):
    return Rule(
        ref=RuleRef("hours.yaml", line),
        who=ANYONE,
        resource=resource,
        actions=frozenset({"*"}),
        condition=Condition((Literal("outside_window"), Literal("role:manager", negated=True))),
        effect=Effect.DENY,
        origin=Origin.HOURS,
    )


csv_rules = st.lists(bare_rules, max_size=10).map(_number)
hour_rules = st.lists(st.sampled_from(("client", "booking", "client.contact")), unique=True).map(
    lambda names: [_protected(name, line) for line, name in enumerate(names, start=1)]
)
rule_lists = st.builds(lambda a, b: a + b, csv_rules, hour_rules)


@st.composite
def principals(draw):
    held = draw(st.frozensets(st.sampled_from(ROLES)))
    acting = held & draw(st.one_of(st.just(held), st.frozensets(st.sampled_from(ROLES))))
    return Principal(
        staff=StaffId(draw(st.sampled_from(PEOPLE))),
        salon="aoyama",
        held=frozenset(map(Role, held)) | {ANYONE},
        acting=frozenset(map(Role, acting)) | {ANYONE},
        first_role=Role("role:stylist"),
        device=None,
        epoch=1,
        app=None,
    )


facts = st.dictionaries(st.sampled_from(CONDITIONS), st.sampled_from((True, False, None)))
