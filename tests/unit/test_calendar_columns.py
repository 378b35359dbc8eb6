"""A calendar column is compared with the business date, and with no applicants."""

from datetime import date

import pyarrow as pa
import pytest
from pydantic import ValidationError

from loan_scoring.contract import Contract, MonitoringPolicy
from loan_scoring.models.baseline import fit_baseline, fit_column_baseline
from loan_scoring.models.training.rows import fingerprint_of
from loan_scoring.monitoring.alerts.grouping import group_by_cause
from loan_scoring.monitoring.drift.compare import BaselineColumn, FittedBaseline, compare_column
from loan_scoring.monitoring.drift.decide import DriftedFeature, decide_drift

POLICY = MonitoringPolicy()


def drifted(
    values: list[int | None], day: date | None, trained: list[int], calendar: str = "year"
) -> list[DriftedFeature]:
    baseline = pa.chunked_array([pa.array(trained)])
    column = BaselineColumn.fit(fit_column_baseline(baseline, POLICY.bins), baseline, calendar)
    batch = pa.chunked_array([pa.array(values, pa.int64())])
    compared = compare_column("application_year", POLICY, column, batch, day=day)
    return decide_drift(POLICY, [compared])[1]


@pytest.mark.parametrize(
    ("day", "values"),
    [
        (date(2020, 1, 1), [2020] * 2000),
        (date(2020, 1, 2), [2019] * 900 + [2020] * 1100),
        (date(2026, 11, 28), [2019] * 2000),
        (date(2026, 11, 28), [2019] * 1000 + [2026] * 500 + [2025] * 500),
        (None, [2031] * 2000),
    ],
)
def test_a_year_in_time_or_of_the_training_is_no_alert(day: date, values: list[int]) -> None:
    assert drifted(values, day, [2019] * 50_000) == []


def test_a_month_that_training_did_not_have_is_no_alert() -> None:
    trained = [1, 2, 3, 4, 5, 6] * 5000
    assert drifted([7] * 2000, date(2020, 7, 3), trained, "month") == []
    assert drifted([11] * 2000, date(2020, 7, 3), trained, "month")


def test_a_year_out_of_time_is_bad_data(loan_default: Contract) -> None:
    findings = drifted([2020] * 1900 + [2091] * 100, date(2020, 3, 1), [2019] * 50_000)
    assert [each.failed_tests for each in findings] == [["calendar"]]
    (found,) = group_by_cause(loan_default, {"application_year": "data"}, findings, [])
    assert found.cause == "bad_data"
    assert "is 2091 in 5.0% of the batch, which is neither the time of the batch" in found.message


def test_nulls_of_a_calendar_column_are_watched() -> None:
    findings = drifted([2020] * 1800 + [None] * 200, date(2020, 3, 1), [2019] * 50_000)
    assert [each.failed_tests for each in findings] == [["null_share"]]


def test_a_calendar_column_is_in_no_joint_test_and_in_no_fingerprint(
    loan_default: Contract,
) -> None:
    rows = 300
    table = pa.table(
        {
            "application_year": pa.array([2019] * rows),
            "credit_score": pa.array([500 + n for n in range(rows)]),
        }
    )
    plain = loan_default.model_copy(
        update={"columns": [c.model_copy(update={"calendar": None}) for c in loan_default.columns]}
    )
    fitted = FittedBaseline.fit(loan_default, fit_baseline(loan_default, table), table)
    assert fitted.joint is not None
    assert fitted.joint.encoding.names == ["credit_score"]
    assert fitted.columns["application_year"].calendar == "year"
    assert loan_default.by_name["application_year"].calendar == "year"
    assert fingerprint_of(loan_default, table) == fingerprint_of(plain, table)


def test_only_an_integer_has_a_calendar(loan_default: Contract) -> None:
    raw = loan_default.model_dump()
    column = next(each for each in raw["columns"] if each["name"] == "income_usd_per_month")
    column |= {"calendar": "year", "type": "number"}
    with pytest.raises(ValidationError, match="only an integer has calendar"):
        Contract.model_validate(raw)
