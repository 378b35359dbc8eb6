"""The persona model: clusters of applicants by their inputs, without the target, with names."""

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer

from loan_scoring.contract import Contract

HIGH = 0.35
"""Standard deviations from the mean from which a name says high or low."""


def build(contract: Contract, features: list[str]) -> Pipeline:
    """Return the unfitted pipeline: scaled inputs, then k-means.

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
                KMeans(n_clusters=contract.training.personas, n_init=4, random_state=seed),
            ),
        ]
    )


def name_clusters(pipeline: Pipeline, contract: Contract, X: pd.DataFrame) -> list[str]:
    """Return a name for each cluster, from the two columns that set its centroid apart most.

    Names differ: where two clusters would share one, more columns are told.
    """
    scaled = np.asarray(pipeline[0].transform(X))
    centroids = pipeline[-1].cluster_centers_
    spread = scaled.std(axis=0)
    away = (centroids - scaled.mean(axis=0)) / np.where(spread > 0, spread, 1)
    columns = [name.split("__", 1)[1] for name in pipeline[0].get_feature_names_out()]
    names = []
    for cluster in range(len(centroids)):
        words: dict[str, str] = {}
        for place in np.argsort(-np.abs(away[cluster]), kind="stable"):
            source, text = _say(contract, columns[place], float(away[cluster][place]))
            words.setdefault(source, text)
        names.append(list(words.values()))
    told = 2
    while len({tuple(each[:told]) for each in names}) < len(names) and told < len(columns):
        told += 1
    return [", ".join(each[:told]) for each in names]


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


def default_rates(clusters: np.ndarray, y: np.ndarray, count: int) -> list[float]:
    """Return the mean default rate of each cluster; the overall one where a cluster is empty.

    Args:
        clusters: cluster of each row, shape (rows,).
        y: outcomes, 1 for default, shape (rows,).
    """
    sizes = np.bincount(clusters, minlength=count)
    defaults = np.bincount(clusters, weights=y, minlength=count)
    overall = float(np.mean(y))
    return [float(d / n) if n else overall for d, n in zip(defaults, sizes, strict=True)]
