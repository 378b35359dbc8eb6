"""Make a pipeline of the project from what a federated run found."""

import json
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from loan_scoring.contract import KEEPS_DIRECTIONS, Contract
from loan_scoring.errors import StateError
from loan_scoring.federated import trees
from loan_scoring.federated.agreement import build_encoder
from loan_scoring.models.estimators import XGBoost
from loan_scoring.models.scorecard import Scorecard


def pipeline_of(contract: Contract, result: dict[str, Any]) -> Pipeline:
    """Return the fitted pipeline of a result. It is like one that training fits in one place.

    Raises:
        StateError: the result is of another portfolio, or its algorithm cannot keep directions.
    """
    if result["portfolio"] != contract.portfolio:
        raise StateError(
            f"this result is of portfolio {result['portfolio']}, not of {contract.portfolio}"
        )
    algorithm, scheme = result["algorithm"], result["scheme"]
    check_directions(contract, algorithm)
    encoder = build_encoder(scheme, algorithm)
    return Pipeline([("encode", encoder), ("classify", _classifier(result))])


def check_directions(contract: Contract, algorithm: str) -> None:
    """Check that a model of an algorithm can be registered.

    Raises:
        StateError: it cannot keep the directions of the contract.
    """
    if contract.directions and algorithm not in KEEPS_DIRECTIONS:
        raise StateError(
            f"{algorithm} cannot keep the direction of {', '.join(contract.directions)}, so it is "
            "compared only, not registered; set federated.algorithm to xgboost or scorecard, or "
            "remove direction from these columns"
        )


def features_of(result: dict[str, Any]) -> list[str]:
    """Return the names of the columns that the model reads."""
    return [*result["scheme"]["numbers"], *result["scheme"]["categories"]]


def _classifier(result: dict[str, Any]) -> Any:
    model, scheme = result["model"], result["scheme"]
    if result["algorithm"] == "xgboost":
        booster = trees.load(model["trees"].encode())
        count = len(json.loads(model["trees"])["learner"]["gradient_booster"]["model"]["trees"])
        policy = result["policy"]
        found = XGBoost(
            n_estimators=count, learning_rate=policy["learning_rate"],
            max_depth=policy["max_depth"],
            min_child_weight=max(policy["min_loans"] / 4, 5.0), subsample=1.0, colsample_bytree=1.0,
        )  # fmt: skip
        found.ubj_ = bytes(booster.save_raw("ubj"))
        found.n_features_in_ = len(scheme["numbers"]) + len(scheme["categories"])
        found.classes_ = np.array([0, 1])
        return found
    coefficients = np.array([model["coefficients"]])
    linear: Any = LogisticRegression()
    if result["algorithm"] == "scorecard":
        linear = Scorecard()
        linear.left_out_ = np.flatnonzero(coefficients[0] <= 0).tolist()
        linear.wrong_ = [0.0] * len(linear.left_out_)
    linear.coef_, linear.intercept_ = coefficients, np.array([model["intercept"]])
    linear.classes_ = np.array([0, 1])
    linear.n_features_in_ = coefficients.shape[1]
    linear.n_iter_ = np.array([result["policy"]["rounds"]])
    linear.means_ = np.array(model["means"])
    return linear
