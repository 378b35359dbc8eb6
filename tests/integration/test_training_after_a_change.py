"""After a change, the model is fitted on all loans, and calibrated and judged on those since."""

import numpy as np
import pytest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.applications import labelled_applications
from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.models import registry
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.promotion.judge import judge_challenger
from loan_scoring.models.scorer import exclusion_reasons
from loan_scoring.models.training.rows import load_rows
from loan_scoring.models.training.run import plan_training, train
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def worse(loan_default: Contract, labelled_loans, tmp_path_factory) -> Replay:
    """Two nights of 2,000 loans whose outcomes are worse than those of the history."""
    return replay_loans(
        loan_default,
        source=str(labelled_loans) if labelled_loans else None,
        nights=2,
        per_night=2000,
        scenarios={1: ["target_shift"], 2: ["target_shift"]},
        landing=tmp_path_factory.mktemp("worse"),
    )


@pytest.fixture
def changed(ready: Session, worse: Replay) -> Session:
    """A session with those nights ingested, scored and mature, and an open alert on the change."""
    policy = ready.contract.training.model_copy(update={"min_recent_loans": 3000})
    session = Session(ready.contract.model_copy(update={"training": policy}), ready.connection)
    for batch_id in worse.batch_ids:
        ingest_batch(session, batch_id, worse.application_files[batch_id])
        score_batch(session, batch_id)
    for path in worse.outcome_files:
        take_outcomes(session, path)
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO alerts (kind, batch_id, last_batch_id, scoring_run_id, severity, subject,"
            " message, evidence) SELECT 'concept', batch_id, batch_id, scoring_run_id, 'warning',"
            " 'default_probability', 'worse', '{}' FROM scoring_runs WHERE batch_id = %s",
            (worse.batch_ids[0],),
        )
    return session


def test_the_new_model_predicts_the_default_rate_since_the_change(
    changed: Session, worse: Replay
) -> None:
    versions, loans = train(changed)
    model = registry.model_row(changed, versions["propensity"])
    assert loans > 10_000  # the history is in the fit, too
    assert model["training_data"]["since"] == worse.batch_ids[0]
    assert model["baseline"]["credit_score"]["rows"] == 4000

    table = labelled_applications(
        changed, [column.name for column in changed.contract.inputs], worse.batch_ids[0]
    )
    table = table.filter(table.column("is_recent"))
    judged = exclusion_reasons(changed.contract, table).is_null().to_numpy(zero_copy_only=False)
    y = table.column("is_default").to_numpy().astype(int)[judged]

    def mean_prediction(version: str) -> float:
        row = registry.model_row(changed, version)
        X = feature_frame(table, changed.contract, row["features"]).iloc[judged]
        return float(np.mean(registry.model_estimator(changed, row).predict_proba(X)[:, 1]))

    noise = np.sqrt(y.mean() * (1 - y.mean()) / len(y))
    assert abs(mean_prediction("propensity-1") - y.mean()) > 5 * noise
    assert abs(mean_prediction(versions["propensity"]) - y.mean()) < 3 * noise

    judgement = judge_challenger(changed, versions)
    assert judgement.holdout["since"] == worse.batch_ids[0]
    assert judgement.holdout["rows"] < 1000
    assert judgement.gates[0].passed, judgement.gates[0].sentence


def test_too_few_outcomes_since_a_change_are_ignored(changed: Session) -> None:
    policy = changed.contract.training.model_copy(update={"min_recent_loans": 4001})
    contract = changed.contract.model_copy(update={"training": policy})
    session = Session(contract, changed.connection)
    planned = plan_training(session)
    assert load_rows(session, planned.fingerprint).since is None
