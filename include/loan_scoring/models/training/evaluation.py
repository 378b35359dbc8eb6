"""Evaluate a propensity model on its hold-out, and return the figures that its card shows.

The figures are computed once, at training, and stored with the model. So a card can be written
later without the data, and shows what was known when the model was promoted.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.metrics import roc_curve
from sklearn.pipeline import Pipeline

from loan_scoring.contract import Contract
from loan_scoring.models.baseline import SCORE_BINS
from loan_scoring.models.contributions import Contributions
from loan_scoring.models.encoding import Columns, Encoder, split_columns
from loan_scoring.models.groups import group_names
from loan_scoring.models.scorecard import describe_scorecard
from loan_scoring.models.scorer import Scorer
from loan_scoring.statistics import fairness
from loan_scoring.statistics.auc import auc
from loan_scoring.statistics.calibration import finite_or_none, fit_calibration_line
from loan_scoring.statistics.calibration_curve import fit_calibration_curve
from loan_scoring.statistics.intervals import CONFIDENCE, bootstrap, wilson
from loan_scoring.statistics.model_metrics import holdout_metrics

IMPORTANCE_ROWS = 4000
"""The largest number of loans on which permutation importance is measured.

The limit saves time, because each loan is scored (number of features) x (repeats) times.
"""

IMPORTANCE_REPEATS = 5


def measure_holdout(contract: Contract, y: np.ndarray, probability: np.ndarray) -> dict[str, Any]:
    """Return the metrics on a hold-out, with `intervals` as [lower limit, upper limit] by metric.

    A metric is None if it cannot be computed. An example is the calibration slope of constant
    probabilities.

    Args:
        contract: contract with the decline threshold and the settings of the bootstrap.
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities of default, shape (rows,).
    """
    threshold = contract.decision.decline_from
    metrics = holdout_metrics(y, probability, threshold)
    policy = contract.training
    intervals = bootstrap(y, probability, threshold, policy.resamples, policy.seed)
    defined = {name: value if np.isfinite(value) else None for name, value in metrics.items()}
    return defined | {"intervals": intervals, "confidence": CONFIDENCE}


def evaluate_holdout(scorer: Scorer, holdout: pa.Table, scores: pa.Table) -> dict[str, Any]:
    """Return the evaluation of a fitted model on its hold-out, ready for JSON.

    Args:
        scorer: scorer that scores batches with this model.
        holdout: scorable loans of the hold-out, with all monitored columns and `is_default`.
        scores: what the scorer returned for these loans.
    """
    contract, features = scorer.contract, scorer.propensity_features
    y = holdout.column("is_default").to_numpy().astype(int)
    probability = scores.column("default_probability").to_numpy()
    approved = pc.equal(scores.column("decision"), "approve").to_numpy()
    return {
        "rows": len(y),
        "roc": roc_points(y, probability),
        "deciles": calibration_deciles(y, probability),
        "calibration": finite_calibration(y, probability),
        "calibration_curve": asdict(fit_calibration_curve(y, probability)),
        "histogram": score_histogram(y, probability),
        "confusion": [
            confusion(y, probability, threshold, decision)
            for decision, threshold in (
                ("approve", contract.decision.approve_below),
                ("decline", contract.decision.decline_from),
            )
        ],
        "scorecard": describe_scorecard(contract, scorer.propensity),
        "importance": permutation_importance(
            scorer.propensity, features, split_columns(holdout, contract, features), y,
            contract.training.seed,
        ),
        "fairness": [
            asdict(
                fairness.approval_parity(
                    contract.group_rule(name), group_names(contract, name, holdout.column(name)),
                    y, approved,
                )
            )
            for name in contract.protected_groups
            if name in holdout.column_names
        ],
    }  # fmt: skip


def confusion(
    y: np.ndarray, probability: np.ndarray, threshold: float, decision: str
) -> dict[str, Any]:
    """Return the confusion matrix at a threshold. A loan at the threshold counts as above it.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities of default, shape (rows,).
        threshold: probability that separates the two sides.
        decision: name of the decision to which the threshold belongs.
    """
    is_above = probability >= threshold
    return {
        "decision": decision,
        "threshold": threshold,
        "defaulted_above": int(np.sum(is_above & (y == 1))),
        "paid_above": int(np.sum(is_above & (y == 0))),
        "defaulted_below": int(np.sum(~is_above & (y == 1))),
        "paid_below": int(np.sum(~is_above & (y == 0))),
    }


def finite_calibration(y: np.ndarray, probability: np.ndarray) -> dict[str, float | None]:
    """Return slope and intercept of the calibration line, and the standard error of the slope.

    All three are None if the line cannot be fitted, for example to constant probabilities.
    """
    found = asdict(fit_calibration_line(y, probability))
    return {name: finite_or_none(value) for name, value in found.items()}


def roc_points(y: np.ndarray, probability: np.ndarray, points: int = 201) -> list[list[float]]:
    """Return the ROC curve as points [false positive rate, true positive rate].

    The false positive rates are evenly spaced from 0 to 1.
    """
    false_positive, true_positive, _ = roc_curve(y, probability)
    at = np.linspace(0, 1, points)
    above = np.interp(at, false_positive, true_positive)
    return [[round(float(x), 6), round(float(y), 6)] for x, y in zip(at, above, strict=True)]


def calibration_deciles(y: np.ndarray, probability: np.ndarray) -> list[dict[str, float]]:
    """Return the predicted and the observed default rate of each tenth of the loans.

    The loans are sorted by their probability, so the first tenth has the lowest probabilities.
    `low` and `high` are the 95 % Wilson interval of the observed rate.
    """
    found = []
    for part in np.array_split(np.argsort(probability, kind="stable"), 10):
        observed = float(np.mean(y[part]))
        low, high = wilson(observed * len(part), len(part))
        found.append(
            {
                "rows": len(part),
                "predicted": float(np.mean(probability[part])),
                "observed": observed,
                "low": low,
                "high": high,
            }
        )
    return found


def score_histogram(
    y: np.ndarray, probability: np.ndarray, bins: int = SCORE_BINS
) -> dict[str, list[float]]:
    """Return the edges of bins of equal width, and the numbers of loans in each bin.

    The paid and the defaulted loans are counted separately.
    """
    edges = np.linspace(0, 1, bins + 1)
    return {
        "edges": edges.round(6).tolist(),
        "paid": np.histogram(probability[y == 0], edges)[0].tolist(),
        "defaulted": np.histogram(probability[y == 1], edges)[0].tolist(),
    }


def permutation_importance(
    model: Pipeline, features: list[str], columns: Columns, y: np.ndarray, seed: int
) -> dict[str, Any]:
    """Measure the permutation importance of each feature (Breiman 2001, Machine Learning 45, 5-32).

    The importance is the AUC that is lost when the values of the feature are shuffled. The result
    has the mean and the standard deviation over the repeats, the most important feature first. At
    most IMPORTANCE_ROWS loans are used. The values are shuffled after encoding, because encoding
    them again would take longer than predicting. Shuffling before encoding would give the same
    result, because each encoded value depends only on the raw value of its own column.

    Args:
        model: fitted pipeline of the propensity model.
        features: names of the columns that the model reads, in order.
        columns: features of the loans.
        y: outcomes, 1 for default, shape (rows,).
        seed: random seed for drawing the loans and shuffling.
    """
    dice = np.random.default_rng(seed)
    rows = dice.permutation(len(y))[:IMPORTANCE_ROWS]
    y, encoded = y[rows], Encoder(model[0]).encode(columns.take(rows))
    contributions = Contributions(model, features)
    whole = auc(y, contributions.probabilities(encoded)[0])
    lost = np.empty((len(features), IMPORTANCE_REPEATS))
    for place, repeat in np.ndindex(lost.shape):
        shuffled, of_feature = encoded.copy(), contributions.feature_of_column == place
        shuffled[:, of_feature] = encoded[dice.permutation(len(y))][:, of_feature]
        lost[place, repeat] = whole - auc(y, contributions.probabilities(shuffled)[0])
    mean, deviation = lost.mean(axis=1), lost.std(axis=1)
    return {
        "rows": len(rows),
        "repeats": IMPORTANCE_REPEATS,
        "features": [
            {
                "feature": features[place],
                "mean": float(mean[place]),
                "deviation": float(deviation[place]),
            }
            for place in np.argsort(-mean, kind="stable")
        ],
    }
