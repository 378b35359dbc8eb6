"""Where batches are cut changes no bit of a tree's scores, and 1e-12 of a linear model's."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

from loan_scoring.contract import KEY, Contract
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.lab.synthetic import generate_loans
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.scorer import Scorer
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.training.personas import fit_personas
from loan_scoring.scoring.lake_rows import FILE, ROW, LakeRows, stored_columns

ROWS, LIMITS = 3000, {"hist_gradient_boosting": 0.0, "logistic_regression": 1e-12}
PARAMETERS = {"hist_gradient_boosting": {"max_iter": 20}, "logistic_regression": {"C": 1.0}}


@pytest.mark.parametrize("algorithm", LIMITS)
def test_scores_do_not_depend_on_where_batches_are_cut(
    loan_default: Contract, algorithm: str
) -> None:
    table = generate_loans(loan_default, ROWS, 7)
    typed, _ = RowRules(loan_default).apply(Block(table, np.arange(ROWS), []))
    y = table.column(loan_default.target.source).to_pandas().eq("1").to_numpy().astype(int)
    names = [each.name for each in loan_default.features if each.name != "application_year"]
    X = feature_frame(typed, loan_default, names)
    trial = Trial(f"{algorithm}-1", 0, algorithm, PARAMETERS[algorithm])
    model = fit_pipeline(build_candidate(loan_default, names, trial), X, y)
    clusters, _ = fit_personas(loan_default, names, X.head(1000), y[:1000])
    personas = [f"persona {n}" for n in range(clusters[-1].n_clusters)]
    scorer = Scorer(loan_default, model, names, clusters, names, personas, [0.1] * len(personas))
    stored = stored_columns(loan_default, "lake", table.schema, "2026-01-05")
    # What Spark sends to its executors.
    rows = pickle.loads(pickle.dumps(LakeRows(loan_default, scorer, stored)))  # noqa: S301

    placed = table.append_column(FILE, pa.repeat("a", ROWS))
    placed = placed.append_column(ROW, pa.array(np.arange(ROWS), pa.int64())).combine_chunks()
    found = [
        pa.Table.from_batches(rows.judge_all(placed.to_batches(max_chunksize=size))).sort_by(KEY)
        for size in (ROWS, 777)
    ]
    probabilities = [each.column("default_probability").to_numpy() for each in found]
    assert not np.isnan(probabilities[0]).all()
    np.testing.assert_allclose(*probabilities, rtol=0, atol=LIMITS[algorithm])
    if not LIMITS[algorithm]:
        assert found[0].equals(found[1])
