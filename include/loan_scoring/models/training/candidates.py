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
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, SplineTransformer
from threadpoolctl import threadpool_limits

from loan_scoring.contract import KEEPS_DIRECTIONS, Contract
from loan_scoring.errors import ContractError
from loan_scoring.models.binning import BinnedLevels, BinnedNumbers
from loan_scoring.models.estimators import LevelGrouper, XGBoost
from loan_scoring.models.layout import encoded_features, transformers_of
from loan_scoring.models.mean_of_two import MeanOfTwo
from loan_scoring.models.scorecard import Scorecard

MEAN_OF = "mean_of"
"""The algorithm of the trial that is the mean of two others."""
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
    parameters: dict[str, int | float | str]


def declared_trials(contract: Contract) -> list[Trial]:
    """Return all trials in the order in which the contract declares them, the simplest first."""
    declared = [
        (algorithm, number, parameters)
        for algorithm, several in contract.training.candidates.items()
        for number, parameters in enumerate(several, 1)
    ]
    trials = [
        Trial(f"{algorithm}-{number}", place, algorithm, {**parameters})
        for place, (algorithm, number, parameters) in enumerate(declared)
    ]
    if contract.training.mean_of is not None:
        first, second = contract.training.mean_of
        parts: dict[str, int | float | str] = {"first": first, "second": second}
        trials.append(Trial(f"{MEAN_OF}-1", len(trials), MEAN_OF, parts))
    return trials


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

    A scorecard has bins instead, and nulls are a bin of their own.

    A mean of two candidates has the encoders and the classifiers of both.

    Raises:
        ContractError: the algorithm cannot keep the directions of the features.
    """
    if trial.algorithm == MEAN_OF:
        declared = {each.name: each for each in declared_trials(contract)}
        first, second = (
            build_candidate(contract, features, declared[str(trial.parameters[each])])
            for each in ("first", "second")
        )
        both = FeatureUnion([("first", first[0]), ("second", second[0])])
        return Pipeline([("encode", both), ("classify", MeanOfTwo(first[-1], second[-1]))])
    numbers = [name for name in features if contract.by_name[name].is_numeric_feature]
    limits = {name: contract.by_name[name].most_levels for name in features if name not in numbers}
    directions = {name: sign for name, sign in contract.directions.items() if name in features}
    if directions and trial.algorithm not in KEEPS_DIRECTIONS:
        raise ContractError(
            f"{trial.algorithm} cannot keep the direction of {', '.join(directions)}"
        )
    # Numbers come before categories in the encoded rows.
    places = [directions.get(name, 0) for name in numbers] + [0] * (len(features) - len(numbers))
    constraints = places if directions else None
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
    elif trial.algorithm == "scorecard":
        bins = {
            name: parameters.pop(name)
            for name in ("max_bins", "min_bin_share")
            if name in parameters
        }
        encode_numbers = BinnedNumbers(
            directions=[directions.get(name, 0) for name in numbers],
            special_codes=[contract.by_name[name].special_codes for name in numbers],
            **bins,
        )
        encode_categories = BinnedLevels(min_frequency=RARE_LOANS, max_categories=LEVELS, **bins)
        group_levels, most = encode_categories, LEVELS - 1
        classifier = Scorecard(solver="newton-cholesky", max_iter=1000, **parameters)
    elif trial.algorithm == "hist_gradient_boosting":
        encode_categories.set_params(max_categories=LEVELS)
        most = LEVELS - 1
        classifier = HistGradientBoostingClassifier(
            early_stopping=False,
            categorical_features=list(range(len(numbers), len(features))),
            monotonic_cst=constraints,
            random_state=seed,
            **parameters,
        )
    else:
        classifier = XGBoost(random_state=seed, monotone_constraints=constraints, **parameters)
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
    pipeline: Pipeline,
    X: pd.DataFrame,
    y: np.ndarray,
    weights: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> Pipeline:
    """Fit a pipeline and return it. The result does not depend on the number of cores.

    The fit uses one thread. Several threads would add their sums in the order in which they finish,
    and the rounding errors would differ from fit to fit.

    Args:
        pipeline: unfitted pipeline of a trial.
        X: training set, as `feature_frame` returns it.
        y: outcomes, 1 for default, shape (rows,).
        weights: weights of the rows, shape (rows,). If None, all rows count the same.
        labels: what the classifier learns instead of `y`, shape (rows,). The encoder still gets
            `y`, so that a scorecard's bins have the counts and default rates of real outcomes.
    """
    weighted = {} if weights is None else {"classify__sample_weight": weights}
    if isinstance(pipeline[-1], MeanOfTwo):
        with threadpool_limits(limits=1):
            encoded = np.asarray(pipeline[0].fit_transform(X, y))
            width = len(encoded_features(transformers_of(pipeline[0])[0]))
            pipeline[-1].fit(encoded, y, weights, first_columns=width)
        return pipeline
    with threadpool_limits(limits=1):
        if labels is None:
            pipeline.fit(X, y, **weighted)
        else:
            pipeline[-1].fit(pipeline[0].fit_transform(X, y), labels, sample_weight=weights)
    if isinstance(pipeline[-1], LogisticRegression):
        # The means are kept, because contributions are measured from the mean of the encoded rows.
        pipeline[-1].means_ = np.asarray(pipeline[0].transform(X)).mean(axis=0)
    return pipeline
