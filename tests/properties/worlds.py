"""Random small salons: vocabulary, rules, people and facts, for the decision's properties."""

from hypothesis import strategies as st

from gateway.domain.fieldpath import FieldPath
from gateway.domain.record import Is, IsMe, RecordFact, RecordState, SalonOf
from gateway.domain.resource import Field, Resource, Vocabulary
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import ANYONE, Post, Principal, Role, StaffId
from gateway.enforcer.rules import Effect, Origin, Rule
from gateway.enforcer.when import Condition, Literal

ACTIONS = ("list", "read", "write", "export", "delete")
ROLES = ("role:stylist", "role:reception", "role:manager")
PEOPLE = ("staff:mei", "staff:ken")
CONDITIONS = (
    "approved_device", "on_notice", "inside_window", "outside_window", "app:phone",
    "network:salon", *ROLES,
)  # fmt: skip
RECORD_FACTS = ("own_client", "consented")  # of a client; a booking knows its stylist only
SALONS = ("aoyama", "shibuya")


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
            a_field("stylist"),
            a_field("consent", "health"),
            a_field("salon"),
        )
    },
    facts=(
        RecordFact(name="own_client", field="stylist", comparison=IsMe()),
        RecordFact(name="consented", field="consent", comparison=Is(value=True)),
    ),
    salon=SalonOf(field="salon"),
)
BOOKING = Resource(
    name="booking",
    sensitive=False,
    fields={"menu": a_field("menu"), "stylist": a_field("stylist")},
    facts=(RecordFact(name="own_client", field="stylist", comparison=IsMe()),),
)
RESOURCES = (CLIENT, BOOKING)
VOCABULARY = Vocabulary(
    resources={"client": CLIENT, "booking": BOOKING}, actions=frozenset(ACTIONS)
)
TARGETS = tuple(dict.fromkeys(VOCABULARY.targets()))

literals = st.builds(
    Literal, st.sampled_from((*CONDITIONS, *RECORD_FACTS, *RECORD_FACTS)), st.booleans()
)
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
def principals(draw, *, salons=2):
    """Somebody who works in one salon or in two."""
    where = draw(st.lists(st.sampled_from(SALONS), min_size=1, max_size=salons, unique=True))
    return Principal(
        staff=StaffId(draw(st.sampled_from(PEOPLE))),
        posts=tuple(draw(posts(salon)) for salon in where),
        device=None,
        epoch=1,
        app=None,
    )


@st.composite
def posts(draw, salon="aoyama"):
    held = draw(st.frozensets(st.sampled_from(ROLES)))
    acting = held & draw(st.one_of(st.just(held), st.frozensets(st.sampled_from(ROLES))))
    return Post(
        salon=salon,
        held=frozenset(map(Role, held)) | {ANYONE},
        acting=frozenset(map(Role, acting)) | {ANYONE},
        first_role=Role("role:stylist"),
    )


def subjects(principal):
    """What `compile_index` is told about everyone on the roster."""
    return [post.held | {principal.staff} for post in principal.posts]


facts = st.dictionaries(st.sampled_from(CONDITIONS), st.sampled_from((True, False, None)))
facts_by_salon = st.fixed_dictionaries(dict.fromkeys(SALONS, facts))
# What is known of a record: its salon (or not), and each fact.
records = st.tuples(
    st.sampled_from((*SALONS, "ginza", None)),
    st.fixed_dictionaries({name: st.sampled_from((True, False, None)) for name in RECORD_FACTS}),
)


def state_of(resource, record):
    """The record as the gateway holds it, in bits."""
    salon, known = record
    true = sum(1 << at for at, fact in enumerate(resource.facts) if known[fact.name] is True)
    false = sum(1 << at for at, fact in enumerate(resource.facts) if known[fact.name] is False)
    return RecordState(salon if resource.salon else None, true, false)
