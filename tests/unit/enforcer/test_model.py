"""A model that the index does not compile is refused, never honoured by half."""

from pathlib import Path

import pytest

from gateway.domain.finding import PolicyError
from gateway.enforcer.model import check_model

SHIPPED = Path("policies/model.conf").read_text(encoding="utf-8")


def refused(text):
    with pytest.raises(PolicyError) as caught:
        check_model(text, "model.conf")
    return [str(finding) for finding in caught.value.findings]


def test_the_shipped_model_is_understood():
    check_model(SHIPPED, "model.conf")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("when, eft", "when, effect", "write `p = who, res, act, when, eft`"),
        (" && !some(where (p.eft == deny))", "", "write `e = some"),
        ("some(where (p.eft == allow)) && ", "", "write `e = some"),
        ("g(r.sub, p.who) && ", "", "must keep `g(r.sub, p.who)`"),
        ("covers(p.res, r.res, p.eft) && ", "", "must keep `covers"),
        ("names(p.act, r.act) && ", "", "must keep `names"),
        (" && holds(p.when, r.ctx, p.eft)", "", "must keep `holds"),
        ("m = g(", "m = r.sub == 'staff:ken' || g(", "is not understood"),
        ("m = g(", "m = r.act != 'export' && g(", "`r.act!='export'` in the matcher"),
        ("g = _, _", "g = _, _\ng2 = _, _", "`g2` in [role_definition] is not understood"),
        ("[matchers]", "[matcher]", "must keep"),
        ("[policy_effect]", "policy_effect]", "model.conf"),
        ("r = sub, res, act, ctx", "r = sub, res, act", "write `r = sub, res, act, ctx`"),
    ],
)
def test_a_model_that_drops_or_adds_something_is_refused_by_name(old, new, says):
    changed = SHIPPED.replace(old, new)
    assert changed != SHIPPED
    found = refused(changed)
    assert any(says in finding for finding in found), found


def test_blanks_do_not_matter():
    check_model(SHIPPED.replace(" && ", "&&"), "model.conf")
