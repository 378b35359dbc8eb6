"""Boost trees at one site on top of the common model, with thresholds that all sites agreed on."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from loan_scoring.federated.agreement import Scheme, build_encoder

LARGEST_LEAF = 50.0
"""Log-odds of a leaf, before learning rate and share, above which a tree is broken or hostile."""
_NEVER_BELOW = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Boosting:
    """What all sites must have in common to boost together."""

    learning_rate: float
    max_depth: int
    min_loans: int
    trees: int
    base_rate: float
    constraints: list[int]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of XGBoost. One thread, so that sums have one order.

        A loan adds at most 0.25 to the Hessian, so that a leaf has at least `min_loans` loans.
        """
        return {
            "objective": "binary:logistic", "tree_method": "hist", "nthread": 1, "max_bin": 256,
            "learning_rate": self.learning_rate, "max_depth": self.max_depth, "reg_lambda": 1.0,
            "min_child_weight": max(self.min_loans / 4, 5.0), "base_score": self.base_rate,
            "monotone_constraints": tuple(self.constraints),
        }  # fmt: skip


def to_edges(X: pd.DataFrame, scheme: Scheme, min_loans: int = 0) -> np.ndarray:
    """Return encoded rows in which each number is the agreed edge at or below it.

    A value below all edges is the lowest edge minus 1. A level that fewer than `min_loans` rows
    have is missing, so that no threshold tells that it occurs.
    """
    encoded = np.asarray(build_encoder(scheme, "xgboost").transform(X), dtype=float)
    for place, name in enumerate(scheme["numbers"]):
        edges = np.array(scheme["edges"][name])
        floors = np.concatenate([[edges[0] - 1], edges])
        values = encoded[:, place]
        floored = floors[np.searchsorted(edges, values.astype(np.float32), side="right")]
        encoded[:, place] = np.where(np.isnan(values), np.nan, floored)
    for place in range(len(scheme["numbers"]), encoded.shape[1]):
        codes, counts = np.unique(encoded[:, place], return_counts=True)
        encoded[np.isin(encoded[:, place], codes[counts < min_loans]), place] = np.nan
    return encoded.astype(np.float32)


def boost(
    rows: np.ndarray, y: np.ndarray, model: bytes, boosting: Boosting, share: float, scheme: Scheme
) -> bytes:
    """Return new trees of one site as JSON, in the form that Flower's FedXgbBagging appends.

    The site boosts `boosting.trees` trees as it would alone. Then their leaves are multiplied by
    the site's share of all loans, so that the trees of all sites add up to a mean, not to a sum.

    Args:
        rows: what `to_edges` returned.
        y: outcomes, 1 for default, shape (rows,).
        model: common model, or b"" in the first round.
        boosting: parameters.
        share: share of this site in the loans of all.
        scheme: scheme with the agreed edges.
    """
    import xgboost

    matrix = xgboost.DMatrix(rows, label=y, nthread=1)
    if model:
        matrix.set_base_margin(load(model).predict(matrix, output_margin=True))
    booster = xgboost.train(boosting.parameters(), matrix, num_boost_round=boosting.trees)
    found = json.loads(bytes(booster.save_raw("json")))
    inner = found["learner"]["gradient_booster"]["model"]
    for tree in inner["trees"]:
        _finish(tree, share, scheme)
    inner["gbtree_model_param"]["num_parallel_tree"] = str(boosting.trees)
    inner["iteration_indptr"] = [0, boosting.trees]
    return json.dumps(found).encode()


def _finish(tree: dict[str, Any], share: float, scheme: Scheme) -> None:
    """Scale the leaves, and replace thresholds above all edges, which are made from no edge."""
    for node, left in enumerate(tree["left_children"]):
        if left == -1:
            tree["split_conditions"][node] *= share
            tree["base_weights"][node] *= share
            continue
        place = tree["split_indices"][node]
        if place < len(scheme["numbers"]):
            edges = scheme["edges"][scheme["numbers"][place]]
            if tree["split_conditions"][node] > edges[-1]:
                tree["split_conditions"][node] = _NEVER_BELOW


def one_by_one(model: bytes) -> bytes:
    """Return a model of Flower's bagging as XGBoost would write it: one tree an iteration."""
    found = json.loads(model)
    inner = found["learner"]["gradient_booster"]["model"]
    trees = inner["trees"]
    inner["gbtree_model_param"] |= {"num_parallel_tree": "1", "num_trees": str(len(trees))}
    inner["iteration_indptr"] = list(range(len(trees) + 1))
    inner["tree_info"] = [0] * len(trees)
    for number, tree in enumerate(trees):
        tree["id"] = number
    return json.dumps(found).encode()


def load(model: bytes) -> Any:
    """Return the booster of a common model."""
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(one_by_one(model)))
    return booster


def fault_of(reply: bytes, expected: int, most: float) -> str | None:
    """Return what is wrong with the trees that a site sent. None if nothing is.

    Args:
        reply: what the site sent.
        expected: number of trees that it was asked for.
        most: largest absolute value of a leaf.
    """
    try:
        inner = json.loads(reply)["learner"]["gradient_booster"]["model"]
        leaves = [
            value
            for tree in inner["trees"]
            for value, left in zip(tree["split_conditions"], tree["left_children"], strict=True)
            if left == -1
        ]
    except (ValueError, KeyError, TypeError):
        return "its trees cannot be read"
    if len(inner["trees"]) != expected:
        return f"it sent {len(inner['trees'])} trees instead of {expected}"
    if not all(isinstance(each, int | float) and np.isfinite(each) for each in leaves):
        return "its update has values that are no numbers"
    largest = max(map(abs, leaves), default=0.0)
    if largest > most:
        return f"its update is too large: a leaf of {largest:.3g} log-odds, {most:.3g} is the most"
    return None
