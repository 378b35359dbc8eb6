"""Build the candidates for the propensity model from the trials that the contract declares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, SplineTransformer
from threadpoolctl import threadpool_limits

from loan_scoring.contract import Contract
from loan_scoring.models.estimators import LevelGrouper, XGBoost

LEVELS = 255
"""The largest number of levels of a category for hist gradient boosting and logistic regression.

It is the limit of scikit-learn's HistGradientBoostingClassifier.
"""
RARE_LOANS = 20
"""A level or a column with fewer loans in the training set is too rare to learn from.

The logistic regression groups such levels. A feature that fewer loans have is not a feature.
"""


@dataclass(frozen=True)
class Trial:
    """An algorithm with parameters, which is tried as the propensity model.

    `name` is ALGORITHM-NUMBER, for example xgboost-1. `place` is the index in the contract's list,
    where simpler trials come before more complex trials.
    """

    name: str
    place: int
    algorithm: str
    parameters: dict[str, int | float]


def declared_trials(contract: Contract) -> list[Trial]:
    """Return all trials in the order in which the contract declares them, the simplest first."""
    declared = [
        (algorithm, number, parameters)
        for algorithm, several in contract.training.candidates.items()
        for number, parameters in enumerate(several, 1)
    ]
    return [
        Trial(f"{algorithm}-{number}", place, algorithm, parameters)
        for place, (algorithm, number, parameters) in enumerate(declared)
    ]


def build_candidate(contract: Contract, features: Sequence[str], trial: Trial) -> Pipeline:
    """Return the unfitted pipeline of a trial, which has an encoder and a classifier.

    Hist gradient boosting takes at most LEVELS levels of a category. A category with more keeps its
    LEVELS - 1 most frequent ones, counted in the rows of the fit, and all others become one group.
    The logistic regression does the same, because each level is a column of its own and many
    thousand columns would not fit into memory.

    A category with `most_levels` keeps its most frequent levels, at most so many, in every
    algorithm. All others, the rare ones and those that the fit has not seen are one group.

    Nulls are not imputed. Trees take nulls as missing values. For the logistic regression, a null
    in a category is one more level, and a null in a numeric column sets all splines of the column
    to zero. Otherwise, a level that the fit has not seen counts as missing for trees. For the
    logistic regression, an unseen level and a rare level both count as infrequent.
    """
    numbers = [name for name in features if contract.by_name[name].is_numeric_feature]
    limits = {name: contract.by_name[name].most_levels for name in features if name not in numbers}
    parameters: dict[str, Any] = dict(trial.parameters)
    seed = contract.training.seed
    encode_numbers: Any = "passthrough"
    encode_categories: Any = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan
    )
    group_levels: Any = LevelGrouper(
        handle_unknown="use_encoded_value", unknown_value=np.nan, min_frequency=RARE_LOANS
    )
    most = max((limit for limit in limits.values() if limit), default=LEVELS)
    classifier: Any
    if trial.algorithm == "logistic_regression":
        encode_numbers = SplineTransformer(
            n_knots=parameters.pop("n_knots", 5),
            knots="quantile",
            extrapolation="constant",
            handle_missing="zeros",
        )
        encode_categories = OneHotEncoder(
            min_frequency=RARE_LOANS,
            max_categories=LEVELS,
            handle_unknown="infrequent_if_exist",
            sparse_output=False,
        )
        group_levels, most = encode_categories, LEVELS - 1
        classifier = LogisticRegression(solver="newton-cholesky", max_iter=1000, **parameters)
    elif trial.algorithm == "random_forest":
        classifier = RandomForestClassifier(
            **{"n_estimators": 100, "max_samples": 0.5, **parameters}, random_state=seed
        )
    elif trial.algorithm == "hist_gradient_boosting":
        encode_categories.set_params(max_categories=LEVELS)
        most = LEVELS - 1
        classifier = HistGradientBoostingClassifier(
            early_stopping=False,
            categorical_features=list(range(len(numbers), len(features))),
            random_state=seed,
            **parameters,
        )
    else:
        classifier = XGBoost(random_state=seed, **parameters)
    unlimited = [name for name, limit in limits.items() if limit is None]
    encode = ColumnTransformer(
        [
            ("numbers", encode_numbers, numbers),
            ("categories", encode_categories, unlimited),
            *(
                (
                    f"levels_{limit}",
                    clone(group_levels).set_params(max_categories=min(limit, most) + 1),
                    [name for name in limits if limits[name] == limit],
                )
                for limit in sorted({limit for limit in limits.values() if limit})
            ),
        ]
    )
    return Pipeline([("encode", encode), ("classify", classifier)])


def fit_pipeline(
    pipeline: Pipeline, X: pd.DataFrame, y: np.ndarray, weights: np.ndarray | None = None
) -> Pipeline:
    """Fit a pipeline and return it. The result does not depend on the number of cores.

    The fit uses one thread. Several threads would add their sums in the order in which they finish,
    and the rounding errors would differ from fit to fit.

    Args:
        pipeline: unfitted pipeline of a trial.
        X: training set, as `feature_frame` returns it.
        y: outcomes, 1 for default, shape (rows,).
        weights: weights of the rows, shape (rows,). If None, all rows count the same.
    """
    weighted = {} if weights is None else {"classify__sample_weight": weights}
    with threadpool_limits(limits=1):
        pipeline.fit(X, y, **weighted)
    if isinstance(pipeline[-1], LogisticRegression):
        # The means are kept, because contributions are measured from the mean of the encoded rows.
        pipeline[-1].means_ = np.asarray(pipeline[0].transform(X)).mean(axis=0)
    return pipeline
