"""What the scorer writes keeps the directions of columns, on every loan."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from loan_scoring.contract import Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.features.applications import read_labelled
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.models import registry
from loan_scoring.models.training.run import train
from loan_scoring.models.training.trials import recorded_failures

pytestmark = pytest.mark.integration

STEPS = {"credit_score": 20, "income_usd_per_month": 500}


@pytest.mark.parametrize("algorithm", ["hist_gradient_boosting", "xgboost"])
def test_better_score_or_income_raises_the_probability_of_no_loan(
    algorithm: str, new_database: Callable[..., str], drops: Any, loan_default: Contract
) -> None:
    raw = loan_default.model_dump()
    light = raw["training"]["candidates"]
    raw["training"] |= {
        "candidates": {"random_forest": light["random_forest"], algorithm: light[algorithm]},
        "personas": 3,
        "resamples": 100,
    }
    for column in raw["columns"]:
        if column["name"] in STEPS:
            column["direction"] = "down"
    with open_session("loan_default", new_database()) as opened:
        session = Session(Contract.model_validate(raw), opened.connection)
        ingest_batch(session, "history", drops.application_files["history"])
        versions, _ = train(session)
        row = registry.model_row(session, versions["propensity"])
        failures = recorded_failures(session, row["fingerprint"])
        assert row["metrics"]["trial"] == f"{algorithm}-1"
        # A trial that cannot keep the directions is left out, with the reason on record.
        assert failures["random_forest-1"].endswith(
            "random_forest cannot keep the direction of income_usd_per_month, credit_score"
        )
        scorer = registry.load_scorer(session, versions["propensity"], versions["personas"])
        table = read_labelled(session, scorer.columns)
        before = scorer.score(table).column("default_probability").to_numpy()
        for name, step in STEPS.items():
            place = table.column_names.index(name)
            values = table.column(name).to_numpy() + step
            raised = table.set_column(
                place, name, pa.array(values, from_pandas=True).cast(table.column(name).type)
            )
            after = scorer.score(raised).column("default_probability").to_numpy()
            assert (np.isnan(after) == np.isnan(before)).all()
            assert np.nanmax(after - before) <= 1e-12
            assert np.nanmin(after - before) < -0.01
