"""Fit the personas: named clusters of applicants.

The clusters are found from the inputs of the applications, without their outcomes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import silhouette_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer
from threadpoolctl import threadpool_limits

from loan_scoring.contract import Contract
from loan_scoring.models.layout import encoded_levels, encoded_widths, fitted_parts
from loan_scoring.statistics.intervals import wilson

HIGH = 0.35
"""The distance from the mean beyond which a persona's name says "high" or "low".

The distance is measured in standard deviations.
"""
QUANTILES = 1000
"""The largest number of quantiles that map a numeric column to a normal distribution."""
SAMPLE_ROWS = 5000
"""The largest number of loans on which the number of personas is chosen.

The limit saves time, because a silhouette compares every pair of loans.
"""
SAME = 0.5
"""The Jaccard index above which an old and a new cluster count as the same persona.

If the limit is at least 0.5, a cluster can match only one other cluster. Hennig (2007) calls a
cluster dissolved if its largest Jaccard index with a new cluster is at most 0.5.
"""


def fit_personas(
    contract: Contract, features: list[str], X: pd.DataFrame
) -> tuple[Pipeline, dict[int, float]]:
    """Fit the personas. Return the fitted pipeline and the mean silhouette by number of personas.

    The chosen number of personas has the largest mean silhouette (Rousseeuw 1987) on a sample of
    the loans. If two numbers of personas have equal silhouettes, the smaller number is chosen. If
    only one number is possible, no silhouette is computed. There are never more personas than
    distinct applicants in the sample. The fit uses one thread, for the reason given in
    `fit_pipeline`.

    Args:
        contract: contract with the allowed numbers of personas and the random seed.
        features: names of the columns of X to use.
        X: training set, as `feature_frame` returns it.
    """
    counts = contract.training.persona_counts
    with threadpool_limits(limits=1):
        scale = build_personas(contract, features, counts[0])[0]
        # Without this, scikit-learn warns if there are fewer loans than the usual 1,000 quantiles.
        scale.set_params(numbers__scale__n_quantiles=min(QUANTILES, len(X))).fit(X)
        scaled = np.asarray(scale.transform(X))
        dice = np.random.default_rng(contract.training.seed)
        sample = scaled[dice.permutation(len(scaled))[:SAMPLE_ROWS]]
        distinct = len(np.unique(sample, axis=0))
        possible = [count for count in counts if count <= distinct] or [distinct]
        silhouettes = {}
        if len(possible) > 1:
            silhouettes = {count: _silhouette(contract, sample, count) for count in possible}
        chosen = max(possible, key=lambda count: (silhouettes.get(count, 0.0), -count))
        clusters = build_personas(contract, features, chosen)[-1].fit(scaled)
    return Pipeline([("scale", scale), ("clusters", clusters)]), silhouettes


def _silhouette(contract: Contract, sample: np.ndarray, count: int) -> float:
    clusters = KMeans(count, n_init=4, random_state=contract.training.seed).fit_predict(sample)
    return float(silhouette_score(sample, clusters))


def build_personas(contract: Contract, features: list[str], count: int) -> Pipeline:
    """Return the unfitted pipeline of the personas, which scales inputs and then runs k-means.

    The quantiles of a numeric column are mapped to a normal distribution. The reason is that a few
    incomes and property values are a hundred times the median. After linear scaling, k-means would
    make a separate cluster for each of these values.

    Args:
        contract: contract with the types of the columns and the random seed.
        features: names of the columns to use.
        count: number of clusters.
    """
    numbers = [name for name in features if contract.by_name[name].is_numeric_feature]
    categories = [name for name in features if name not in numbers]
    seed = contract.training.seed
    scale = Pipeline(
        [
            ("impute", SimpleImputer(strategy="median")),
            ("scale", QuantileTransformer(output_distribution="normal", random_state=seed)),
        ]
    )
    # Levels with less than 1 % of the loans are merged, because so few loans make no persona.
    levels = OneHotEncoder(
        min_frequency=0.01, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    return Pipeline(
        [
            (
                "scale",
                ColumnTransformer(
                    [("numbers", scale, numbers), ("categories", levels, categories)]
                ),
            ),
            (
                "clusters",
                KMeans(n_clusters=count, n_init=4, random_state=seed),
            ),
        ]
    )


def name_clusters(
    pipeline: Pipeline, contract: Contract, X: pd.DataFrame, kept: Mapping[int, str] | None = None
) -> list[str]:
    """Return a unique name for each cluster.

    A name is made from the two columns in which the centroid of the cluster differs most from the
    mean. If two clusters would get the same name, more columns are added to all names. If two names
    are still equal, the cluster number is added to the names.

    Args:
        pipeline: fitted pipeline of the personas.
        contract: contract with the labels of the columns.
        X: training set, as `feature_frame` returns it.
        kept: names to take over from the champion's personas, by cluster number. These names are
            not changed.
    """
    kept = kept or {}
    scaled = np.asarray(pipeline[0].transform(X))
    centroids = pipeline[-1].cluster_centers_
    spread = scaled.std(axis=0)
    away = (centroids - scaled.mean(axis=0)) / np.where(spread > 0, spread, 1)
    columns = _encoded_columns(pipeline[0])
    words: list[list[str]] = []
    for cluster in range(len(centroids)):
        phrases: dict[str, str] = {}
        for place in np.argsort(-np.abs(away[cluster]), kind="stable"):
            name, level = columns[place]
            text = _phrase(contract, name, level, float(away[cluster][place]))
            phrases.setdefault(name, text)
        words.append(list(phrases.values()))
    for count in range(2, max(3, len(words[0]) + 1)):
        names = [kept.get(i, ", ".join(each[:count])) for i, each in enumerate(words)]
        if len(set(names)) == len(names):
            return names
    return [name if i in kept else f"{name} ({i})" for i, name in enumerate(names)]


def match_names(
    old: np.ndarray, new: np.ndarray, old_names: Sequence[str], count: int
) -> dict[int, str]:
    """Return the names that new clusters take over from old clusters, by new cluster number.

    Old and new clusters are paired so that the sum of their Jaccard indices is largest (Kuhn
    1955). The Jaccard index is the number of loans in both clusters, divided by the number of
    loans in at least one of them. A new cluster takes over the name of its old cluster only if
    their index is above SAME.

    Args:
        old: cluster number of each loan in the old model, shape (rows,).
        new: cluster number of each loan in the new model, shape (rows,).
        old_names: names of the old clusters.
        count: number of new clusters.
    """
    both = np.zeros((len(old_names), count))
    np.add.at(both, (old, new), 1)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    overlap = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    pairs = zip(*linear_sum_assignment(-overlap), strict=True)
    return {int(j): old_names[i] for i, j in pairs if overlap[i, j] > SAME}


def describe_personas(
    clusters: np.ndarray, y: np.ndarray, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return for each cluster its name, size and default rate with a Wilson interval.

    An empty cluster gets the default rate of all loans, with the interval from 0 to 1.

    Args:
        clusters: cluster number of each row, shape (rows,).
        y: outcomes, 1 for default, shape (rows,).
        names: names of the clusters.
    """
    sizes = np.bincount(clusters, minlength=len(names))
    defaults = np.bincount(clusters, weights=y, minlength=len(names)).astype(int)
    overall = float(np.mean(y))
    return [
        {
            "name": name,
            "loans": int(n),
            "share": float(n / len(clusters)),
            "default_rate": float(bad / n) if n else overall,
            "default_rate_interval": list(wilson(int(bad), int(n))),
        }
        for name, n, bad in zip(names, sizes, defaults, strict=True)
    ]


def _encoded_columns(scale: ColumnTransformer) -> list[tuple[str, str | None]]:
    """Return for each scaled column the name of the contract's column, and the level if it has one.

    A numeric column has no level.
    """
    (numbers, number_names), (encoder, category_names) = fitted_parts(scale)
    widths = encoded_widths(numbers, number_names)
    found: list[tuple[str, str | None]] = [
        (name, None) for name, width in zip(number_names, widths, strict=True) if width
    ]
    for place, name in enumerate(category_names):
        found += [(name, level) for level in encoded_levels(encoder, place)]
    return found


def _phrase(contract: Contract, name: str, level: str | None, away: float) -> str:
    """Return a phrase such as "high income" on how a cluster differs from the mean in one column.

    Args:
        contract: contract with the labels of the columns.
        name: name of the column in the contract.
        level: level of a category, or None for a numeric column.
        away: distance of the centroid from the mean, in standard deviations.
    """
    label = _lower(contract.by_name[name].label)
    if level is None:
        size = "high" if away > HIGH else "low" if away < -HIGH else "middling"
        return f"{size} {label}"
    return f"{label} {'' if away >= 0 else 'not '}{contract.by_name[name].shown_level(level)}"


def _lower(label: str) -> str:
    return label[:1].lower() + label[1:]
