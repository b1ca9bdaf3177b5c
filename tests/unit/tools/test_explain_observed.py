"""`explain` while something is observed: what counts today, and beside it what will."""

from datetime import datetime

from gateway.cli.explain import as_data, sentences
from gateway.domain.reason import Reason
from gateway.domain.subject import staff_id
from gateway.domain.time import instant
from gateway.tools.explain import Question, explain
from tests.unit.test_records import DORMANT, MINE, NIGHT, NOON
from tests.unit.test_shadow import CLOSING, DELETES, DORMANCY, EVERYTHING, PHONES


def explained(bundle, target="/clients/7", who="mei", method="GET", at=NOON, **more):
    return explain(
        bundle,
        Question(
            staff=staff_id(who),
            method=method,
            target=target,
            at=instant(datetime.fromisoformat(at)),
            app="backoffice",
            **more,
        ),
    )


def test_an_observed_deny_is_no_stop_and_is_named_with_its_day_and_line():
    answer = explained(DELETES, method="DELETE", record=MINE)
    assert answer.allowed
    (sentence,) = answer.observed
    assert sentence.startswith("until 2026-12-01: would be refused: rule_denies")
    assert sentence.endswith("(rules.x:1)")
    assert f"  observed {sentence}" in sentences(answer)
    assert as_data(answer)["observed"] == [sentence]


def test_from_its_day_on_it_is_a_stop():
    answer = explained(DELETES, method="DELETE", at="2026-12-02T12:00+09:00")
    assert answer.stops[0].reason is Reason.RULE_DENIES
    assert answer.observed == ()


def test_the_hours():
    answer = explained(CLOSING, at=NIGHT)
    assert answer.allowed
    assert [sentence[:48] for sentence in answer.observed] == [
        "until 2026-12-01: would be refused: outside_hour"
    ]


def test_fields_that_would_be_hidden():
    answer = explained(PHONES, record=MINE)
    assert "phone" in answer.shown
    assert answer.observed == ("until 2026-12-01: would be hidden: phone (rules.x:1)",)
    # Of which records they show today, the answer says as ever.
    told = explained(PHONES)
    (phone,) = [field for field in told.hidden if field.name == "phone"]
    assert phone.unless.startswith("own_client")
    assert told.observed == ("until 2026-12-01: would be hidden: phone (rules.x:1)",)


def test_records_that_would_not_be_there():
    assert explained(DORMANCY, record=DORMANT).allowed
    (sentence,) = explained(DORMANCY, record=DORMANT).observed
    assert "would be refused: no_such_record" in sentence
    sentence, *_ = explained(DORMANCY).observed
    assert sentence == "until 2026-12-01: would show only records with surely not (dormant)"


def test_while_everything_is_observed_only_what_is_no_rule_stops_a_request():
    answer = explained(EVERYTHING, method="DELETE", at=NIGHT)
    assert answer.allowed
    assert [str(ref) for ref in answer.allowed_by] == ["observe.yaml:1"]
    assert (answer.hidden, answer.unwritable, answer.only) == ((), (), "")
    assert {"rule_denies", "outside_hours"} <= {
        sentence.split(": ")[2] for sentence in answer.observed
    }
    answer = explained(EVERYTHING, "/clients?fields=phone")
    assert [stop.reason for stop in answer.stops] == [Reason.UNKNOWN_PARAMETER]
    assert explained(EVERYTHING, who="aki").stops[0].reason is Reason.HAS_LEFT


def test_without_anything_to_say_it_says_nothing():
    assert explained(DELETES).observed == ()
