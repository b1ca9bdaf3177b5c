"""Who judges a record, by what, and how often."""

from datetime import date

import msgspec

from gateway.domain.decision import Permit
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.obligation import Conjunct, Grant, Residual
from gateway.domain.record import Asker, Is, IsMe, RecordFact, SalonOf
from gateway.domain.resource import UNMAPPED, Embed, Field, Resource
from gateway.domain.ruleref import RuleRef
from gateway.masking.judge import judge_of, something_leaves
from gateway.masking.plan import build_node

ANN = Asker(crm_id="ann", today=date(2026, 11, 21))
RULE = RuleRef("salon_rules.csv", 3)
ALWAYS = Residual(allows=(Conjunct(RULE),))
OWN = Residual(allows=(Conjunct(RULE, positive=0b01),))
UNLESS_VIP = Residual(allows=(Conjunct(RULE),), denies=(Conjunct(RULE, positive=0b10),))


def a_client(*, sensitive=True, salon=None, embeds=()):
    names = {"stylist": "stylist_id", "phone": "phone", "vip": "vip", "shop": "shop"}
    return Resource(
        name="client",
        sensitive=sensitive,
        fields={n: Field(name=n, paths=(parse_field_path(p),)) for n, p in names.items()},
        facts=(
            RecordFact(name="own_client", field="stylist", comparison=IsMe()),
            RecordFact(name="is_vip", field="vip", comparison=Is(value=True)),
        ),
        salon=salon,
        embeds={n: Embed(path=parse_field_path(n), resource=r) for n, r in embeds},
    )


def a_permit(test=ALWAYS, phone=ALWAYS):
    names = ("stylist", "phone", "vip", "shop", UNMAPPED)
    fields = {name: (phone if name == "phone" else ALWAYS, ALWAYS) for name in names}
    return Permit(
        by=(RULE,),
        depends=True,
        hidden=frozenset({"phone"} if phone is not ALWAYS else ()),
        grants={"aoyama": Grant(test=test, fields=fields)},
    )


class Bench:
    """A judge and what it had to build."""

    def __init__(self, permit, resource=None):
        self.resource = resource or a_client()
        self.built = []
        self.judge = judge_of(permit, self.resource, asker=ANN, node_of=self.node_of)

    def node_of(self, hidden, prefix):
        self.built.append((hidden, prefix))
        return build_node(self.resource, hidden, prefix)

    def node(self, text, *prefix):
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        return self.judge.node(members, prefix)


def test_a_record_that_does_not_pass_has_no_node():
    bench = Bench(a_permit(test=OWN))
    assert bench.node('{"stylist_id":"bob"}') is None
    assert bench.node("{}") is None
    assert bench.node('{"stylist_id":"ann"}') is not None


def test_each_record_is_cut_by_what_is_hidden_of_it():
    bench = Bench(a_permit(phone=OWN))
    assert bench.node('{"stylist_id":"ann"}').members["phone"].gone is None
    assert bench.node('{"stylist_id":"bob"}').members["phone"].gone is not None


def test_records_that_say_the_same_are_judged_once_for_each_place():
    bench = Bench(a_permit(phone=OWN))
    first = bench.node('{"stylist_id":"ann","name":"x"}')
    assert bench.node('{"stylist_id":"ann","name":"y"}') is first
    assert bench.node('{"stylist_id":"ann"}', "client") is not first
    assert bench.built == [(frozenset(), ()), (frozenset(), ("client",))]


def test_a_permit_that_does_not_depend_never_looks_at_a_record():
    permit = Permit(by=(RULE,), hidden=frozenset({"phone"}))
    bench = Bench(permit)
    assert bench.judge.node(None).members["phone"].gone is not None
    assert bench.judge.node(None) is bench.judge.node(None)


def test_a_deny_on_what_a_record_does_not_tell_keeps_it_back():
    bench = Bench(a_permit(test=UNLESS_VIP))
    assert bench.node('{"vip":false}') is not None
    for text in ("{}", '{"vip":true}', '{"vip":null}', '{"vip":"false"}'):
        assert bench.node(text) is None


def test_a_record_is_judged_by_its_own_salon():
    bench = Bench(a_permit(), a_client(salon=SalonOf(field="shop")))
    assert bench.node('{"shop":"aoyama"}') is not None
    assert bench.node('{"shop":"shibuya"}') is None
    assert bench.node("{}") is not None


def test_something_leaves_where_a_record_inside_may_be_cut_or_kept_back():
    whole = Bench(Permit(by=(RULE,))).judge
    masked = Bench(Permit(by=(RULE,), hidden=frozenset({"phone"}))).judge
    judged = Bench(a_permit(test=OWN)).judge
    assert not something_leaves([], {})
    assert not something_leaves(["client"], {"client": whole})
    assert something_leaves(["client"], {})
    assert something_leaves(["client"], {"client": masked})
    assert something_leaves(["client"], {"client": judged})


def test_something_leaves_also_where_it_is_inside_what_is_inside():
    around = Bench(Permit(by=(RULE,)), a_client(embeds=[("friend", "client"), ("s", "stylist")]))
    judges = {"client": around.judge}
    assert something_leaves(["client"], judges)
    assert not something_leaves(["client"], {**judges, "stylist": Bench(Permit(by=(RULE,))).judge})


def test_unmapped_is_no_secret_of_a_resource_that_is_not_sensitive():
    permit = Permit(by=(RULE,), hidden=frozenset({UNMAPPED}))
    assert Bench(permit).judge.hides
    assert not Bench(permit, a_client(sensitive=False)).judge.hides
