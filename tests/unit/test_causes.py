"""A joint finding joins the cause of single columns, and is a cause of its own without any."""

import pytest

from loan_scoring.contract import Contract
from loan_scoring.monitoring.alerts.grouping import group_by_cause
from loan_scoring.monitoring.drift.comparison import Comparison
from loan_scoring.monitoring.drift.decide import DriftedFeature

KINDS = {"income_usd_per_month": "data", "region": "data", "all": "joint"}
JOINT = {"rows": 500, "auc": 0.7, "told_by": {"region": 0.9}, "error": 2.0, "baseline_error": 2.0}


def together() -> DriftedFeature:
    return DriftedFeature(Comparison("all", [], facts=JOINT), "warning", ["domain_classifier"])


def of_column(feature: str, test: str, nulls: float = 0.2) -> DriftedFeature:
    facts = {
        "nulls": nulls,
        "baseline_nulls": 0.1,
        "shares": {"North": 0.2},
        "baseline_shares": {"North": 0.5},
    }
    return DriftedFeature(Comparison(feature, [], 0.2, 0.01, facts), "warning", [test])


@pytest.mark.parametrize(
    ("columns", "causes"),
    [
        ([], [("population", ["all"])]),
        (
            [("income_usd_per_month", "null_share")],
            [("bad_data", ["income_usd_per_month", "all"])],
        ),
        ([("region", "chi_square")], [("population", ["region", "all"])]),
        (
            [("income_usd_per_month", "null_share"), ("region", "chi_square")],
            [("bad_data", ["income_usd_per_month", "all"]), ("population", ["region"])],
        ),
    ],
)
def test_a_joint_finding_goes_with_its_columns(
    loan_default: Contract, columns: list[tuple[str, str]], causes: list[tuple[str, list[str]]]
) -> None:
    findings = [together(), *(of_column(*column) for column in columns)]
    found = group_by_cause(loan_default, KINDS, findings, [])
    assert [(each.cause, each.subjects) for each in found] == causes
    assert any("a classifier separates the batch" in each.message for each in found)


def test_fewer_nulls_are_no_bad_data(loan_default: Contract) -> None:
    column = of_column("income_usd_per_month", "null_share", nulls=0.0)
    (found,) = group_by_cause(loan_default, KINDS, [column], [])
    assert found.cause == "population"
    assert (
        "is filled in more often: missing in 0.0% of the batch against 10.0% at training"
        in found.message
    )


def test_a_message_names_few_of_many_unseen_levels(loan_default: Contract) -> None:
    column = of_column("region", "unseen_levels")
    column.comparison.facts.update(
        unseen=["a", "b", "c", "d"], unseen_levels=40, unseen_share=0.3, usual_unseen_share=0.1
    )
    (found,) = group_by_cause(loan_default, KINDS, [column], [])
    assert found.cause == "bad_data"
    assert (
        "never seen at training: a text of 1 character (letters) and 39 more (30.0%, usually 10.0%)"
        in found.message
    )
