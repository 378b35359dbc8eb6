"""Fit the personas: named clusters of applicants.

The clusters are found from the inputs of the applications, without their outcomes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import pairwise_distances, silhouette_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer
from threadpoolctl import threadpool_limits

from loan_scoring.contract import Contract
from loan_scoring.statistics.intervals import wilson
from loan_scoring.statistics.stability import bootstrap_stability, jaccard_indices, separation

QUANTILES = 1000
"""The largest number of quantiles that map a numeric column to a normal distribution."""
SAMPLE_ROWS = 5000
"""The largest number of loans on which the number of personas is chosen.

The limit saves time, because a silhouette compares every pair of loans.
"""
STARTS = 4
"""Starts of each k-means, of which the best is taken."""
RESAMPLES = 20
"""Bootstrap resamples by which stability is measured, for each number of personas."""
STABLE = 0.85
"""A cluster with at least this mean Jaccard index is stable: `highly stable` in R package fpc.

With 0.75, its limit of `stable`, the number would change from one training to the next.
"""
SAME = 0.5
"""The Jaccard index above which an old and a new cluster count as the same persona.

If the limit is at least 0.5, a cluster can match only one other cluster. Hennig (2007) calls a
cluster dissolved if its largest Jaccard index with a new cluster is at most 0.5.
"""


@dataclass(frozen=True)
class PersonaCount:
    """What a number of personas was judged by, on a sample of the loans.

    `silhouette` is the mean silhouette (Rousseeuw 1987). `stability` is the mean Jaccard index of
    each cluster over bootstrap resamples, the least stable cluster first. `separation` is the share
    of the variance of outcomes that lies between the clusters, with its standard error.
    """

    personas: int
    silhouette: float
    stability: list[float]
    separation: float
    separation_error: float

    def as_json(self) -> dict[str, Any]:
        """Return the figures as training records them."""
        return asdict(self) | {"is_stable": self.is_stable}

    @property
    def is_stable(self) -> bool:
        """Whether every cluster is stable."""
        return self.stability[0] >= STABLE


def fit_personas(
    contract: Contract, features: list[str], X: pd.DataFrame, y: np.ndarray
) -> tuple[Pipeline, list[PersonaCount]]:
    """Fit the personas. Return the fitted pipeline and what each number of personas was judged by.

    `choose_count` says which number is chosen. A number is not judged if the sample has fewer than
    three loans or too few distinct ones. There are never more personas than distinct applicants in
    the sample. The fit uses one thread, for the reason given in `fit_pipeline`.

    Args:
        contract: contract with the allowed numbers of personas and the random seed.
        features: names of the columns of X to use.
        X: training set, as `feature_frame` returns it.
        y: outcomes, 1 for default, shape (rows,). Clusters are fitted without them. Only the number
            of clusters depends on them.
    """
    counts = contract.training.persona_counts
    with threadpool_limits(limits=1):
        scale = build_personas(contract, features, counts[0])[0]
        # Without this, scikit-learn warns if there are fewer loans than the usual 1,000 quantiles.
        scale.set_params(numbers__scale__n_quantiles=min(QUANTILES, len(X))).fit(X)
        scaled = np.asarray(scale.transform(X))
        dice = np.random.default_rng(contract.training.seed)
        taken = dice.permutation(len(scaled))[:SAMPLE_ROWS]
        sample = scaled[taken]
        distinct = len(np.unique(sample, axis=0))
        possible = [count for count in counts if count <= distinct] or [distinct]
        judged = []
        if distinct > 1 and len(sample) > possible[-1]:
            distances = pairwise_distances(sample)
            judged = [
                _judge_count(contract, sample, distances, y[taken], count) for count in possible
            ]
        chosen = choose_count(judged).personas if judged else possible[0]
        clusters = build_personas(contract, features, chosen)[-1].fit(scaled)
    return Pipeline([("scale", scale), ("clusters", clusters)]), judged


def choose_count(judged: Sequence[PersonaCount]) -> PersonaCount:
    """Return the number of personas to use.

    1. Only numbers of which every cluster is stable are considered. If there is none, the number
       whose least stable cluster is the most stable is chosen.
    2. Of these, numbers whose separation of default rates is within one standard error of the best.
    3. Of these, the number with the largest silhouette, and of equal ones the smallest number.
    """
    stable = [each for each in judged if each.is_stable]
    if not stable:
        return max(judged, key=lambda each: (each.stability[0], -each.personas))
    best = max(stable, key=lambda each: each.separation)
    enough = best.separation - best.separation_error
    good = [each for each in stable if each.separation >= enough]
    return max(good, key=lambda each: (each.silhouette, -each.personas))


def _judge_count(
    contract: Contract, sample: np.ndarray, distances: np.ndarray, y: np.ndarray, count: int
) -> PersonaCount:
    means = KMeans(count, n_init=STARTS, random_state=contract.training.seed)
    clusters = means.fit_predict(sample)
    stability = bootstrap_stability(
        clusters,
        count,
        lambda draws: means.fit_predict(sample[draws]),
        RESAMPLES,
        contract.training.seed,
    )
    silhouette = float(silhouette_score(distances, clusters, metric="precomputed"))
    return PersonaCount(count, silhouette, sorted(stability.tolist()), *separation(y, clusters))


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
                KMeans(n_clusters=count, n_init=STARTS, random_state=seed),
            ),
        ]
    )


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
    overlap = jaccard_indices(old, new, len(old_names), count)
    pairs = zip(*linear_sum_assignment(-overlap), strict=True)
    return {int(j): old_names[i] for i, j in pairs if overlap[i, j] > SAME}


def describe_personas(
    clusters: np.ndarray,
    y: np.ndarray,
    names: Sequence[str],
    traits: Sequence[list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Return for each cluster its name, size, default rate with a Wilson interval, and traits.

    An empty cluster gets the default rate of all loans, with the interval from 0 to 1.

    Args:
        clusters: cluster number of each row, shape (rows,).
        y: outcomes, 1 for default, shape (rows,).
        names: names of the clusters.
        traits: what sets each cluster apart, as `describe_traits` returns it.
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
            "traits": of_name,
        }
        for name, n, bad, of_name in zip(names, sizes, defaults, traits, strict=True)
    ]
