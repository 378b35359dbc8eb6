"""Write the results and the failures of the trials of each training to tables, and read them.

The results are rows of the table `trials`, the failures rows of the table `trial_failures`.
"""

import json
import math
from dataclasses import astuple

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models.training.candidates import Trial
from loan_scoring.models.training.cross_validation import TrialError, TrialResult
from loan_scoring.statistics.grades import Step


def record_trial(session: Session, fingerprint: str, result: TrialResult, loans: int) -> None:
    """Record the result of a trial. If the trial is recorded already, keep the existing row.

    Args:
        session: database session.
        fingerprint: fingerprint of the training.
        result: result of the cross-validation.
        loans: number of loans in the training set.
    """
    with database.transaction(session.connection):
        database.execute(
            session.connection,
            "insert_trial",
            fingerprint=fingerprint,
            trial=result.trial.name,
            place=result.trial.place,
            algorithm=result.trial.algorithm,
            parameters=json.dumps(result.trial.parameters),
            folds=json.dumps(result.folds),
            auc_standard_error=result.auc_standard_error,
            calibration_slope=_none_if_nan(result.calibration_slope),
            calibration_intercept=_none_if_nan(result.calibration_intercept),
            loans=loans,
            seconds=result.seconds,
            steps=None if result.steps is None else json.dumps([*map(astuple, result.steps)]),
            fairness=None if result.fairness is None else json.dumps(result.fairness),
            **{name: result.mean(name) for name in result.folds[0]},
        )


def recorded_trials(session: Session, fingerprint: str) -> list[TrialResult]:
    """Return the recorded results of a training's trials, the simplest trial first."""
    with database.transaction(session.connection):
        found = database.rows(session.connection, "select_trials", fingerprint=fingerprint)
    return [
        TrialResult(
            Trial(row["trial"], row["place"], row["algorithm"], row["parameters"]),
            row["folds"],
            _nan_if_none(row["calibration_slope"]),
            _nan_if_none(row["calibration_intercept"]),
            row["seconds"],
            None if row["steps"] is None else [Step(*each) for each in row["steps"]],
            row["fairness"],
        )
        for row in found
    ]


def record_failure(session: Session, fingerprint: str, failure: TrialError) -> None:
    """Record that a trial failed, with the reason.

    Args:
        session: database session.
        fingerprint: fingerprint of the training.
        failure: error of the trial.
    """
    with database.transaction(session.connection):
        database.execute(
            session.connection,
            "insert_trial_failure",
            fingerprint=fingerprint,
            trial=failure.trial.name,
            reason=failure.reason,
        )


def recorded_failures(session: Session, fingerprint: str) -> dict[str, str]:
    """Return the reasons of a training's trials that failed, by the name of the trial."""
    with database.transaction(session.connection):
        found = database.rows(session.connection, "select_trial_failures", fingerprint=fingerprint)
    return {row["trial"]: row["reason"] for row in found}


def _none_if_nan(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _nan_if_none(value: float | None) -> float:
    return math.nan if value is None else value
