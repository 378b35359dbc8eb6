"""The persona model: named clusters of applicants, found from their inputs without outcomes."""

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
"""Standard deviations from the mean beyond which a name has the word high or low."""
SAMPLE_ROWS = 5000
"""Loans on which the number of personas is chosen: a silhouette compares every pair of them."""
SAME = 0.5
"""Jaccard index above which two clusters are the same: only one partner of a cluster can reach it.
Hennig (2007) calls a cluster dissolved that stays below."""


def fit_personas(
    contract: Contract, features: list[str], X: pd.DataFrame
) -> tuple[Pipeline, dict[int, float]]:
    """Return the fitted pipeline, and the silhouette of each allowed number of personas.

    The number with the largest mean silhouette (Rousseeuw 1987) on a sample is taken; of equal
    ones, the smaller number. Fitted on one thread, for the reason given in `fit_pipeline`.

    Args:
        contract: the numbers to choose from, and the seed.
        features: the columns of X to use.
        X: the training part, as `feature_frame` gives it.
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

    Numbers are mapped by their quantiles to a normal distribution. A few incomes and property
    values are a hundred times the median: after plain scaling, k-means would give each a cluster.
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
    # A level of less than 1 % of the loans marks a few people, not a group.
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

    Names are unique: if two clusters would share one, more columns are added. `kept` are names
    that clusters take over from the champion's personas, by cluster.
    """
    kept = kept or {}
    scaled = np.asarray(pipeline[0].transform(X))
    centroids = pipeline[-1].cluster_centers_
    spread = scaled.std(axis=0)
    away = (centroids - scaled.mean(axis=0)) / np.where(spread > 0, spread, 1)
    columns = [name.split("__", 1)[1] for name in pipeline[0].get_feature_names_out()]
    words: list[list[str]] = []
    for cluster in range(len(centroids)):
        phrases: dict[str, str] = {}
        for place in np.argsort(-np.abs(away[cluster]), kind="stable"):
            source, text = _phrase(contract, columns[place], float(away[cluster][place]))
            phrases.setdefault(source, text)
        words.append(list(phrases.values()))
    for count in range(2, max(3, len(words[0]) + 1)):
        names = [kept.get(i, ", ".join(each[:count])) for i, each in enumerate(words)]
        if len(set(names)) == len(names):
            return names
    return [name if i in kept else f"{name} ({i})" for i, name in enumerate(names)]


def match_names(
    old: np.ndarray, new: np.ndarray, old_names: Sequence[str], count: int
) -> dict[int, str]:
    """Return the names that new clusters take over from old ones, by new cluster.

    Old and new clusters are paired so that the sum of their Jaccard indices (loans in both over
    loans in either) is largest (Kuhn 1955). A pair keeps its name only above one half.

    Args:
        old: cluster of each loan by the old model, shape (rows,).
        new: cluster of each loan by the new model, shape (rows,).
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
    """Return name, size, and default rate with its Wilson interval, of each cluster.

    An empty cluster gets the overall rate, with the interval (0, 1).

    Args:
        clusters: cluster of each row, shape (rows,).
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


def _phrase(contract: Contract, column: str, away: float) -> tuple[str, str]:
    """Return the contract's column behind a scaled one, and a phrase such as "high income".

    `away` is the centroid's distance from the mean in standard deviations.
    """
    if column in contract.by_name:
        size = "high" if away > HIGH else "low" if away < -HIGH else "middling"
        return column, f"{size} {_lower(contract.by_name[column].label)}"
    source = max((n for n in contract.by_name if column.startswith(f"{n}_")), key=len)
    level = column.removeprefix(f"{source}_")
    word = "" if away > 0 else "not "
    return source, f"{_lower(contract.by_name[source].label)} {word}{level}"


def _lower(label: str) -> str:
    return label[:1].lower() + label[1:]
