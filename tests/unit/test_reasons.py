"""Scores equal those of the plain pipelines; declined and reviewed loans have reasons."""

import numpy as np
import pyarrow as pa
import pytest

from loan_scoring.contract import Contract
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.lab.synthetic import generate_loans
from loan_scoring.models.contributions import Contributions
from loan_scoring.models.encoding import Encoder, feature_frame, split_columns
from loan_scoring.models.reasons import REASONS
from loan_scoring.models.scorer import Scorer
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.training.personas import fit_personas

TRIALS = [
    Trial("logistic_regression-1", 0, "logistic_regression", {"C": 1.0}),
    Trial("hist_gradient_boosting-1", 2, "hist_gradient_boosting", {"max_iter": 40}),
]


@pytest.fixture(scope="module")
def loans(loan_default: Contract) -> tuple[pa.Table, np.ndarray]:
    """Generated loans, typed, and their outcomes."""
    table = generate_loans(loan_default, 5000, 7)
    lines = np.arange(2, 5002)
    typed, rejected = RowRules(loan_default).apply(Block(table, lines, []))
    assert not rejected
    return typed, table.column(loan_default.target.source).to_pandas().eq("1").to_numpy().astype(
        int
    )


@pytest.fixture(scope="module", params=TRIALS, ids=lambda trial: trial.algorithm)
def scorer(loan_default: Contract, loans: tuple, request: pytest.FixtureRequest) -> Scorer:
    table, y = loans
    names = [c.name for c in loan_default.features if c.name != "application_year"]
    X = feature_frame(table, loan_default, names)
    model = fit_pipeline(build_candidate(loan_default, names, request.param), X, y)
    clusters, _ = fit_personas(loan_default, names, X.head(2000), y[:2000])
    personas = [f"persona {n}" for n in range(clusters[-1].n_clusters)]
    rates = [0.1] * len(personas)
    return Scorer(loan_default, model, names, clusters, names, personas, rates)


def altered(table: pa.Table) -> pa.Table:
    """Return the table with new levels in some rows and nulls in others."""
    purpose = table.column("loan_purpose").to_pylist()
    purpose[:40] = ["p9"] * 40
    income = table.column("income_usd_per_month").to_pylist()
    income[20:60] = [None] * 40
    for name, values in (("loan_purpose", purpose), ("income_usd_per_month", income)):
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values, table.column(name).type))
    return table


def test_scores_are_those_of_the_plain_pipelines(
    loan_default: Contract, loans: tuple, scorer: Scorer
) -> None:
    table = altered(loans[0].slice(0, 1000))
    found = scorer.score(table)
    judged = found.column("exclusion_reason").is_null().to_numpy()
    X = feature_frame(table, loan_default, scorer.propensity_features)[judged]
    probability = found.column("default_probability").to_numpy()[judged]
    assert probability == pytest.approx(scorer.propensity.predict_proba(X)[:, 1], abs=1e-12)
    persona = np.array(found.column("persona").to_pylist())[judged]
    assert (persona == np.array(scorer.persona_names)[scorer.personas.predict(X)]).all()
    assert (found.column("default_probability").is_null().to_numpy() == ~judged).all()


def test_encoding_by_level_is_the_transformers_bit_for_bit(
    loan_default: Contract, loans: tuple, scorer: Scorer
) -> None:
    table = altered(loans[0].slice(0, 1000))
    X = feature_frame(table, loan_default, scorer.propensity_features)
    columns = split_columns(table, loan_default, scorer.propensity_features)
    for pipeline in (scorer.propensity, scorer.personas):
        plain = np.asarray(pipeline[0].transform(X), dtype=float)
        assert np.array_equal(Encoder(pipeline[0]).encode(columns), plain, equal_nan=True)


def test_reasons_are_the_largest_contributions_of_loans_that_are_not_approved(
    loan_default: Contract, loans: tuple, scorer: Scorer
) -> None:
    table = altered(loans[0].slice(0, 1000))
    found = scorer.score(table)
    X = feature_frame(table, loan_default, scorer.propensity_features)
    encoded = np.asarray(scorer.propensity[0].transform(X), dtype=float)
    _, added = Contributions(scorer.propensity, scorer.propensity_features).by_feature(encoded)
    decided = found.column("decision").to_pylist()
    assert {"approve", "review", "decline", "refer"} == set(decided)
    for row, decision in enumerate(decided):
        reasons = [found.column(name)[row].as_py() for name in REASONS]
        if decision in ("approve", "refer"):
            assert reasons == [None] * 4
            continue
        pushes = sorted(
            (
                (push, name)
                for push, name in zip(added[row], scorer.propensity_features, strict=True)
                if push > 0
            ),
            reverse=True,
        )[:4]
        expected = [
            loan_default.by_name[name].label
            + (" is missing" if table.column(name)[row].as_py() is None else "")
            for _, name in pushes
        ]
        assert reasons == [*expected, *[None] * (4 - len(expected))]
    missing = [found.column(name)[row].as_py() for name in REASONS for row in range(20, 60)]
    assert "Monthly income is missing" in missing
