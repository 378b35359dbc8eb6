"""The persona model: clusters of applicants by their inputs, without the target, with names."""

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
from loan_scoring.statistics.intervals import wilson

HIGH = 0.35
"""Standard deviations from the mean from which a name says high or low."""
SAMPLE_ROWS = 5000
"""Loans on which the number of personas is chosen: a silhouette compares each with each."""
SAME = 0.5
"""Jaccard index from which two clusters are one: above it, a cluster has one partner at most
(Hennig 2007 calls clusters dissolved that stay below)."""


def fit_personas(
    contract: Contract, features: list[str], X: pd.DataFrame
) -> tuple[Pipeline, dict[int, float]]:
    """Return the fitted pipeline, and the silhouette of each number of personas in question.

    The number with the largest mean silhouette (Rousseeuw 1987) on a sample is taken, the smaller
    of two alike. On one thread, as `candidates.fit` does and why.

    Args:
        contract: the numbers to choose from, and the seed.
        features: the columns of X to use.
        X: the training part, as `features.frame` gives it.
    """
    counts = contract.training.persona_counts
    with threadpool_limits(limits=1):
        scale = build_personas(contract, features, counts[0])[0].fit(X)
        scaled = np.asarray(scale.transform(X))
        silhouettes = _silhouettes(contract, scaled) if len(counts) > 1 else {}
        count = max(silhouettes, key=lambda k: (silhouettes[k], -k)) if silhouettes else counts[0]
        clusters = build_personas(contract, features, count)[-1].fit(scaled)
    return Pipeline([("scale", scale), ("clusters", clusters)]), silhouettes


def _silhouettes(contract: Contract, scaled: np.ndarray) -> dict[int, float]:
    seed = contract.training.seed
    dice = np.random.default_rng(seed)
    sample = scaled[dice.permutation(len(scaled))[:SAMPLE_ROWS]]
    return {
        k: float(
            silhouette_score(sample, KMeans(k, n_init=4, random_state=seed).fit_predict(sample))
        )
        for k in contract.training.persona_counts
    }


def build_personas(contract: Contract, features: list[str], count: int) -> Pipeline:
    """Return the unfitted pipeline: scaled inputs, then k-means into `count` clusters.

    Numbers go through their quantiles to a normal shape: a few incomes and values are a hundred
    times the median, and k-means on plain scaling would give each its own cluster.
    """
    numbers = [name for name in features if contract.by_name[name].is_numeric]
    categories = [name for name in features if name not in numbers]
    seed = contract.training.seed
    scale = Pipeline(
        [
            ("impute", SimpleImputer(strategy="median")),
            ("scale", QuantileTransformer(output_distribution="normal", random_state=seed)),
        ]
    )
    # A level rarer than 1 in 100 tells two people apart, not two kinds of people.
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
    """Return a name for each cluster, from the two columns that set its centroid apart most.

    Names differ: where two clusters would share one, more columns are told. `kept` are the names
    that clusters have already, from the champion's personas.
    """
    kept = kept or {}
    scaled = np.asarray(pipeline[0].transform(X))
    centroids = pipeline[-1].cluster_centers_
    spread = scaled.std(axis=0)
    away = (centroids - scaled.mean(axis=0)) / np.where(spread > 0, spread, 1)
    columns = [name.split("__", 1)[1] for name in pipeline[0].get_feature_names_out()]
    words: list[list[str]] = []
    for cluster in range(len(centroids)):
        told: dict[str, str] = {}
        for place in np.argsort(-np.abs(away[cluster]), kind="stable"):
            source, text = _say(contract, columns[place], float(away[cluster][place]))
            told.setdefault(source, text)
        words.append(list(told.values()))
    for count in range(2, max(3, len(words[0]) + 1)):
        names = [kept.get(i, ", ".join(each[:count])) for i, each in enumerate(words)]
        if len(set(names)) == len(names):
            return names
    return [name if i in kept else f"{name} ({i})" for i, name in enumerate(names)]


def match_names(
    old: np.ndarray, new: np.ndarray, old_names: Sequence[str], count: int
) -> dict[int, str]:
    """Return the names that new clusters take over from old ones, by new cluster.

    Old and new clusters are paired so that their Jaccard indices (loans in both by loans in
    either) sum up to the most (Kuhn 1955); a pair below one half is none.

    Args:
        old: cluster of each loan by the old model, shape (rows,).
        new: by the new model, shape (rows,).
        old_names: of the old clusters.
        count: how many new clusters there are.
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
    """Return name, size and default rate with its Wilson interval of each cluster.

    An empty cluster has the overall rate, and knows nothing: its interval is (0, 1).

    Args:
        clusters: cluster of each row, shape (rows,).
        y: outcomes, 1 for default, shape (rows,).
        names: of the clusters.
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


def _say(contract: Contract, column: str, away: float) -> tuple[str, str]:
    """Return the contract's column behind a scaled one, and its place in words."""
    if column in contract.by_name:
        size = "high" if away > HIGH else "low" if away < -HIGH else "middling"
        return column, f"{size} {_lower(contract.by_name[column].label)}"
    source = max((n for n in contract.by_name if column.startswith(f"{n}_")), key=len)
    level = column.removeprefix(f"{source}_")
    word = "" if away > 0 else "not "
    return source, f"{_lower(contract.by_name[source].label)} {word}{level}"


def _lower(label: str) -> str:
    return label[:1].lower() + label[1:]
