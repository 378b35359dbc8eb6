"""The trials on record: what cross-validation found of each candidate of a training."""

import json
import math

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models.training.candidates import Trial, TrialResult


def record_trial(session: Session, fingerprint: str, result: TrialResult, loans: int) -> None:
    """Write a trial's row; where the trial is on record already, the row stays as it is."""
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
            calibration_slope=_known(result.calibration_slope),
            calibration_intercept=_known(result.calibration_intercept),
            loans=loans,
            seconds=result.seconds,
            **{name: result.mean(name) for name in result.folds[0]},
        )


def recorded_trials(session: Session, fingerprint: str) -> list[TrialResult]:
    """Return the trials on record of a training, from the simplest on."""
    with database.transaction(session.connection):
        found = database.rows(session.connection, "select_trials", fingerprint=fingerprint)
    return [
        TrialResult(
            Trial(row["trial"], row["place"], row["algorithm"], row["parameters"]),
            row["folds"],
            _number(row["calibration_slope"]),
            _number(row["calibration_intercept"]),
            row["seconds"],
        )
        for row in found
    ]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
