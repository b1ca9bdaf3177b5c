"""The owner's cases speak of the policy, not of what is only observed of it."""

from gateway.build import SourceFile
from gateway.tools.cases import failed_cases, read_cases
from tests.unit.test_shadow import CLOSING, DELETES, DORMANCY, EVERYTHING, PHONES

CASES = b"""\
cases:
  - says: stylists delete nobody
    who: mei
    what: DELETE /clients/7
    at: 2026-11-25T12:00
    decision: deny
    reason: rule_denies
"""


def failures(bundle):
    cases = read_cases([SourceFile(name="x.yaml", data=CASES)])
    return failed_cases(bundle, cases)


def test_a_case_is_kept_although_its_rule_is_only_observed():
    assert failures(DELETES) == ()
    assert failures(EVERYTHING) == ()


def test_a_case_that_no_rule_keeps_fails_as_ever():
    assert all(len(failures(bundle)) == 1 for bundle in (PHONES, DORMANCY, CLOSING))
