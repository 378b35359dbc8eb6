"""Another portfolio, consumer credit, runs on the same code; random forests reach F1 0.8627."""

from pathlib import Path

import pytest

from loan_scoring import contract as contracts
from loan_scoring import database
from loan_scoring.database.session import open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.models.training.report import training_summary
from loan_scoring.models.training.run import train

pytestmark = pytest.mark.integration

REFERENCE = 0.8627
"""The five-fold F1 of the class good of the reference random forest."""


def test_five_fold_f1_of_the_paid_is_at_least_the_references(
    new_database, real_loans: Path
) -> None:
    source = real_loans.with_name("credit_data.csv.gz")
    if "credit_data" not in contracts.names() or not source.is_file():
        pytest.skip("there is no contract of credit_data, or its file is not beside the loans")
    with open_session("credit_data", new_database()) as session:
        ingest_batch(session, "history", str(source))
        versions, rows = train(session)
        assert rows == 4454
        found, text = training_summary(session, versions)
        _, trials = database.select_read_only(
            session.connection,
            "select t.f1_paid, jsonb_array_length(t.folds) from trials t join models m"
            " on m.metrics ->> 'trial' = t.trial and m.fingerprint = t.fingerprint",
        )
    ((f1, folds),) = trials
    assert folds == 5
    assert f1 >= REFERENCE
    assert f"{f1:.4f}" in text
    assert found["metrics"]["calibration_slope"] == pytest.approx(1, abs=0.2)
