"""The default-propensity model: how it is built, fitted and measured."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import (
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from loan_scoring.contract import Contract


def build(contract: Contract, features: list[str]) -> Pipeline:
    """Return the unfitted pipeline: levels to codes, then histogram gradient boosting.

    A level that training never saw is treated as missing.
    """
    numbers = [name for name in features if contract.by_name[name].is_numeric]
    categories = [name for name in features if name not in numbers]
    encode = ColumnTransformer(
        [
            ("numbers", "passthrough", numbers),
            (
                "categories",
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
                categories,
            ),
        ]
    )
    # Of (100, 0.1), (200, 0.1), (200, 0.06) and (300, 0.05) trees and rate, 200 x 0.06 had the
    # best hold-out AUC and Brier score on the public loan file.
    boost = HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.06,
        early_stopping=False,
        categorical_features=list(range(len(numbers), len(features))),
        random_state=contract.training.seed,
    )
    return Pipeline([("encode", encode), ("boost", boost)])


def parameters(pipeline: Pipeline) -> dict[str, Any]:
    """Return the estimator's own parameters, fit for JSON."""
    return {
        name: value
        for name, value in pipeline[-1].get_params(deep=False).items()
        if isinstance(value, bool | int | float | str | list | None)
    }


def probabilities(pipeline: Pipeline, X: pd.DataFrame) -> np.ndarray:
    """Return the probability of default of each row, shape (rows,)."""
    return np.asarray(pipeline.predict_proba(X)[:, 1])


def measure(y: np.ndarray, probability: np.ndarray, decline_from: float) -> dict[str, float]:
    """Return what the model is judged by on an untouched hold-out.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted, shape (rows,).
        decline_from: threshold at which F1, precision and recall of default are taken.
    """
    auc = float(roc_auc_score(y, probability))
    false_positive, true_positive, _ = roc_curve(y, probability)
    declined = probability >= decline_from
    return {
        "rows": len(y),
        "default_rate": float(np.mean(y)),
        "auc": auc,
        "gini": 2 * auc - 1,
        "ks": float(np.max(true_positive - false_positive)),
        "brier": float(brier_score_loss(y, probability)),
        "log_loss": float(log_loss(y, probability)),
        "f1": float(f1_score(y, declined)),
        "precision": float(precision_score(y, declined, zero_division=0.0)),
        "recall": float(recall_score(y, declined)),
    }
