"""Register the result of a federated run as a challenger, as training registers its models."""

import hashlib
import json
from dataclasses import replace
from typing import Any

from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.federated.compare import compare_pooled, compare_told
from loan_scoring.federated.model import features_of, pipeline_of
from loan_scoring.models import registry
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.training.alternatives import Alternative
from loan_scoring.models.training.candidates import Trial
from loan_scoring.models.training.cross_validation import TrialResult
from loan_scoring.models.training.fit import TrainingParts, champion_personas, fit_pair, split_rows
from loan_scoring.models.training.rows import TrainingRows, freeze_rows
from loan_scoring.models.training.run import describe_training
from loan_scoring.statistics.grades import isotonic_steps

TRIAL = "federated"


def compare_result(session: Session, result: dict[str, Any]) -> dict[str, Any]:
    """Return the comparison of a result. It has a pooled model if this database has all sites."""
    if not result["policy"].get("sites"):
        return compare_told(result)
    training = freeze_rows(session)
    parts = split_rows(session.contract, training)
    return compare_pooled(session.contract, training.table, parts, result)


def register_result(
    session: Session, result: dict[str, Any], comparison: dict[str, Any], triggered_by: str | None
) -> dict[str, str]:
    """Register the model of a result with personas, and return the versions by kind.

    The model is measured on the hold-out of this database. The same result gives the same versions.

    Raises:
        StateError: the result does not fit the portfolio, or this database has too few loans.
    """
    contract = session.contract
    model, features = pipeline_of(contract, result), features_of(result)
    training = freeze_rows(session)
    own = hashlib.sha256(
        json.dumps([training.fingerprint, result["model"]], sort_keys=True).encode()
    ).hexdigest()
    known = registry.versions_by_fingerprint(session, own)
    if known:
        return known
    training = replace(training, features=_usable(training, features))
    parts = split_rows(contract, training)
    if parts.features != features:
        raise StateError(
            f"{', '.join(sorted({*features} - {*parts.features}))} has one value or hardly any in "
            f"the loans of {contract.portfolio}, and the federated model reads it; ingest more "
            "history"
        )
    trial = TrialResult(
        Trial(TRIAL, 0, result["algorithm"], {"rounds": result["policy"]["rounds"]}),
        [], 1.0, 0.0, result["seconds"], _steps(session, parts, model, features),
    )  # fmt: skip
    pair = fit_pair(
        contract, training, trial, champion_personas(session), given=Alternative(None, trial, model)
    )
    described = {name: value for name, value in result.items() if name not in ("model", "scheme")}
    pair = [_described(each, described | {"comparison": comparison}) for each in pair]
    data = describe_training(contract, training, triggered_by) | {"trials_of": own}
    return registry.register_models(session, pair, own, data)


def _usable(training: TrainingRows, features: list[str]) -> list[str]:
    """Return the features of the model, if the leak gate of this database lets all of them pass."""
    leaking = [name for name in features if name not in training.features]
    if leaking:
        raise StateError(
            f"the federated model reads {', '.join(leaking)}, which the leak gate drops here; "
            "type: loan-scoring leaks"
        )
    return features


def _steps(session: Session, parts: TrainingParts, model: Any, features: list[str]) -> Any:
    """Return the steps from which grades are derived, on the training set of this database."""
    if not isinstance(session.contract.grades, int):
        return None
    learn = parts.learn
    return isotonic_steps(parts.y[learn], model.predict_proba(parts.X.iloc[learn][features])[:, 1])


def _described(model: FittedModel, described: dict[str, Any]) -> FittedModel:
    if model.evaluation is None:
        return model
    return replace(model, evaluation=model.evaluation | {"federated": described})
