"""Applications as JSON get the scores of a night, or an error that names the field."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from loan_scoring import database, settings
from loan_scoring.database.session import Session
from loan_scoring.errors import InputError, MissingError, StateError
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.scoring.request import (
    explain_application,
    load_pair,
    score_and_record,
    score_applications,
)

pytestmark = pytest.mark.integration


def applications(session: Session, where: str = "true", limit: int = 300) -> list[dict[str, Any]]:
    """Return applications as read from JSON text."""
    rows = database.select_read_only(
        session.connection,
        "select (to_jsonb(a) - '{batch_id,revision,line_number}'::text[])::text"
        f" from current_applications as a join current_scores as s using (batch_id, loan_id)"
        f" where {where} order by loan_id limit {limit}",
    )[1]
    return [json.loads(row[0]) for row in rows]


def nightly(session: Session) -> dict[Any, dict[str, Any]]:
    names = [
        "loan_id", "default_probability", "exclusion_reason", "decision", "persona",
        "persona_default_rate", "grade", "propensity_version", "personas_version",
    ]  # fmt: skip
    header, rows = database.select_read_only(
        session.connection,
        f"select {', '.join(names)}, array_remove(array[reason_1, reason_2, reason_3, reason_4],"
        " null) as reasons from current_scores",
    )
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def faults(session: Session, *given: dict[str, Any]) -> list[tuple[int, str, str]]:
    with pytest.raises(InputError) as raised:
        score_applications(session, given)
    return [(each.row, each.field, each.rule) for each in raised.value.faults]


def test_scores_are_those_of_the_night(scored: Session) -> None:
    expected = nightly(scored)
    given = applications(scored, limit=1000)
    assert len(given) == 1000
    answer = score_applications(scored, given)
    for told in answer.scores:
        of_the_night = expected.pop(told["loan_id"])
        if of_the_night["default_probability"] is not None:
            assert told["default_probability"] == pytest.approx(
                of_the_night["default_probability"], abs=1e-12
            )
            del told["default_probability"], of_the_night["default_probability"]
        assert told == of_the_night
    assert expected == {}


def test_one_application_is_scored_as_many_are(scored: Session) -> None:
    for each in applications(scored, limit=20):
        (told,) = score_applications(scored, [each]).scores
        chance = nightly(scored)[each["loan_id"]]["default_probability"]
        assert told["default_probability"] == (chance and pytest.approx(chance, abs=1e-12))


def test_text_and_numbers_are_read_alike(scored: Session) -> None:
    given = applications(scored, "s.default_probability is not null", 5)
    texts = [{name: value and str(value) for name, value in each.items()} for each in given]
    floats = [
        {name: float(v) if isinstance(v, int) else v for name, v in each.items()} for each in given
    ]
    expected = score_applications(scored, given).scores
    assert score_applications(scored, texts).scores == expected
    assert score_applications(scored, floats).scores == expected


def test_named_version_scores_and_the_champion_is_the_default(
    scored: Session, challenge: Callable[..., dict[str, str]], ready: Session
) -> None:
    given = applications(scored, "s.default_probability is not null", 50)
    pair = challenge("another")
    of_champion = score_applications(ready, given)
    of_another = score_applications(ready, given, pair["propensity"])
    assert of_champion.propensity_version == "propensity-1"
    assert of_another.propensity_version == pair["propensity"]
    # A version of either kind names the pair that it was fitted in.
    assert score_applications(ready, given, pair["personas"]).scores == of_another.scores
    assert of_champion.scores != of_another.scores
    promote_by_hand(ready, pair["propensity"], "cli:tests", "to see")
    assert score_applications(ready, given).scores == of_another.scores
    with pytest.raises(MissingError, match="no model propensity-9 in loan_default"):
        score_applications(ready, given, "propensity-9")


def test_excluded_application_is_referred_without_probability(scored: Session) -> None:
    (given,) = applications(scored, "s.decision = 'refer'", 1)
    (told,) = score_applications(scored, [given]).scores
    assert told["decision"] == "refer"
    assert told["exclusion_reason"] == nightly(scored)[given["loan_id"]]["exclusion_reason"]
    assert (told["default_probability"], told["persona"], told["reasons"]) == (None, None, [])
    assert explain_application(scored, given, "champion") is None


def test_every_fault_names_row_field_and_rule(scored: Session) -> None:
    contract = scored.contract
    good, other = applications(scored, "s.default_probability is not null", 2)
    number = next(c for c in contract.features if c.type == "number" and c.range)
    integer = next(c for c in contract.features if c.type == "integer" and c.range)
    level = next(c for c in contract.features if c.levels and not c.open_levels)
    ratio = contract.ratios[0]
    without = {name: value for name, value in good.items() if name != level.name}
    for changed, expected in [
        (good | {number.name: "much"}, (1, number.name, "not_a_number")),
        (good | {number.name: math.nan}, (1, number.name, "not_a_number")),
        (good | {number.name: 1e300}, (1, number.name, "out_of_range")),
        (good | {integer.name: 1.5}, (1, integer.name, "not_a_number")),
        (good | {integer.name: 10**400}, (1, integer.name, "not_a_number")),
        (good | {level.name: "<script>"}, (1, level.name, "unknown_level")),
        (good | {level.name: True}, (1, level.name, "not_plain")),
        (good | {level.name: ["a"]}, (1, level.name, "not_plain")),
        (good | {level.name: "a\x00"}, (1, level.name, "encoding")),
        (good | {level.name: "a\ud800"}, (1, level.name, "encoding")),
        (good | {"incom": 5}, (1, "incom", "unknown_field")),
        (without, (1, level.name, "missing")),
        (good | {"loan_id": None}, (1, "loan_id", "null_key")),
        (good | {"loan_id": 2.0**60}, (1, "loan_id", "exponent_key")),
        (good | {"loan_id": other["loan_id"]}, (1, "loan_id", "duplicate_key")),
    ]:
        found = faults(scored, other, changed)
        assert found[0] == expected
        assert {each[0] for each in found} == {1}
    off = good | {ratio.column: good[ratio.column] * 2}
    assert faults(scored, off) == [(0, ratio.column, ratio.name)]
    several = faults(scored, good | {number.name: "?", level.name: "?"}, other | {"x": 1})
    assert several == [
        (0, level.name, "unknown_level"),
        (0, number.name, "not_a_number"),
        (1, "x", "unknown_field"),
    ]


def test_fields_that_no_model_uses_may_be_absent(scored: Session) -> None:
    (good,) = applications(scored, "s.default_probability is not null", 1)
    scorer, _ = load_pair(scored, "champion")
    needed = {"loan_id", *scorer.columns}
    assert len(needed) < len(good)
    few = {name: value for name, value in good.items() if name in needed}
    assert score_applications(scored, [few]).scores == score_applications(scored, [good]).scores


def test_contributions_sum_to_the_log_odds(scored: Session) -> None:
    expected = nightly(scored)
    for each in applications(scored, "s.default_probability is not null", 30):
        found = explain_application(scored, each, "propensity-1")
        assert found is not None
        base, added, derived = found
        assert derived == {}
        chance = expected[each["loan_id"]]["default_probability"]
        tolerance = 1e-6  # XGBoost adds up in 32 bits
        log_odds = math.log(chance / (1 - chance))
        assert base + sum(added.values()) == pytest.approx(log_odds, abs=tolerance)


def test_call_is_recorded_with_caller_models_input_and_output(scored: Session) -> None:
    given = applications(scored, limit=3)
    answer = score_and_record(scored, given, "champion", "airflow:ann")
    header, rows = database.select_read_only(scored.connection, "select * from calls")
    (row,) = (dict(zip(header, each, strict=True)) for each in rows)
    assert (row["call_id"], row["called_by"], row["purpose"]) == (
        answer.call_id, "airflow:ann", "score",
    )  # fmt: skip
    assert (row["propensity_version"], row["applications"]) == ("propensity-1", 3)
    assert (row["input"], row["output"]) == (given, answer.scores)
    assert database.select_read_only(
        scored.connection,
        "select relname from pg_class where oid = (select tableoid from calls)",
    )[1] == [[f"calls_{row['called_on']:%Y_%m}"]]


def test_missing_champion_is_an_error(empty: Session) -> None:
    with pytest.raises(StateError, match="has no champion"):
        score_applications(empty, [{"loan_id": 1}])


@pytest.mark.attack
def test_tampered_artifact_is_refused_at_loading(scored: Session) -> None:
    (given,) = applications(scored, limit=1)
    with database.transaction(scored.connection), scored.connection.cursor() as cursor:
        cursor.execute("update models set artifact_sha256 = repeat('0', 64) where number = 1")
    with pytest.raises(StateError, match="was changed"):
        score_applications(scored, [given])


def test_importing_loads_no_statistics() -> None:
    code = (
        "import sys, loan_scoring.scoring.request, loan_scoring.desk.application;"
        "import loan_scoring.desk.decisions, loan_scoring.desk.extracts, loan_scoring.desk.queue;"
        "import loan_scoring.database.audit;"
        "print([m for m in ('pandas', 'sklearn', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=settings.home()
    )
    assert done.stdout.strip() == "[]"
