"""Fit the propensity model, the personas and the baseline, and measure them on the hold-out."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.baseline import sample_rows
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.holdout import cohort_days, holdout_policy, members
from loan_scoring.models.out_of_time import OutOfTime, cut_out_of_time
from loan_scoring.models.registry import PERSONAS, PROPENSITY
from loan_scoring.models.scorer import Scorer, exclusion_reasons
from loan_scoring.models.training import evaluation
from loan_scoring.models.training.alternatives import (
    Alternative,
    choose_alternative,
    fit_alternatives,
    learning_set,
)
from loan_scoring.models.training.baseline_rows import baseline_of_applicants, baseline_of_labelled
from loan_scoring.models.training.benchmark_tree import BenchmarkTree
from loan_scoring.models.training.candidates import RARE_LOANS
from loan_scoring.models.training.cohort_figures import measure_cohorts
from loan_scoring.models.training.cross_validation import TrialResult, final_classifier
from loan_scoring.models.training.decisions import evaluate_decisions, scale_of_fit
from loan_scoring.models.training.declined import describe_declined
from loan_scoring.models.training.mitigation_figures import compare_alternatives
from loan_scoring.models.training.persona_names import (
    describe_traits,
    name_clusters,
    tell_clusters,
)
from loan_scoring.models.training.personas import (
    describe_personas,
    fit_personas,
    match_names,
)
from loan_scoring.models.training.reject_inference import infer_rejects
from loan_scoring.models.training.rows import TrainingRows
from loan_scoring.models.training.tree_leaves import describe_tree
from loan_scoring.statistics.model_metrics import estimator_parameters

log = logging.getLogger(__name__)

AssignOldPersonas = Callable[[pa.Table], tuple[np.ndarray, list[str]]]
"""A function that assigns each application of a table to one of the champion's personas.

The function returns the cluster number of each application, and the names of the clusters.
"""


FittedPersonas = tuple[Any, list[dict[str, Any]]]
"""The fitted pipeline of the personas, and what each number of them was judged by, as JSON."""


@dataclass(frozen=True)
class TrainingParts:
    """All rows of a training, and the row indices of the training set and of the hold-out.

    - `X` and `y` are the features and the outcomes of all rows, 1 for default.
    - `learn` are the row indices of the training set, without excluded applications.
    - `test` are the row indices of the hold-out, without excluded applications.
    - `holdout` are the row indices of the hold-out, with excluded applications.
    - `last` are the row indices of the last cohorts, without excluded applications, and
      `out_of_time` says from which day on. They are in neither training set nor hold-out.
    - `days` are the cohorts of all rows, and `policy` is that of the hold-out.
    - `recent` is a mask of the rows since a detected change, shape (rows,). Without a
      change, the mask is True for all rows. `test` and `holdout` have only recent rows.
    - `features` are the names of the columns of `X`.
    """

    X: pd.DataFrame
    y: np.ndarray
    learn: np.ndarray
    test: np.ndarray
    holdout: np.ndarray
    last: np.ndarray
    out_of_time: OutOfTime
    days: np.ndarray
    policy: dict[str, Any]
    recent: np.ndarray
    features: list[str]


def split_rows(contract: Contract, training: TrainingRows) -> TrainingParts:
    """Return the rows of a training, split into training set, hold-out and last cohorts.

    A feature is left out if it has the same value in the whole training set, or if fewer than
    RARE_LOANS loans of the training set have a value.

    Raises:
        StateError: no feature is left, or an outcome has too few loans.
    """
    table = training.table
    y = table.column("is_default").to_numpy().astype(int)
    judged = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    recent = np.ones(len(y), dtype=bool)
    if training.since is not None:
        recent = table.column("is_recent").to_numpy()
    days = cohort_days(table)
    out_of_time = cut_out_of_time(contract, days, y, training.since)
    is_last, policy = out_of_time.members(days), holdout_policy(contract, days)
    is_held = members(policy, table.column(KEY), days)
    holdout = np.flatnonzero(is_held & ~is_last & recent)
    learn, test = np.flatnonzero(~is_held & ~is_last & judged), holdout[judged[holdout]]
    last = np.flatnonzero(is_last & judged)
    learning = table.take(pa.array(learn))
    features = [name for name in training.features if _can_teach(learning.column(name))]
    _refuse_unlearnable(contract, y[learn], y[test], features)
    X = feature_frame(table, contract, features)
    return TrainingParts(
        X, y, learn, test, holdout, last, out_of_time, days, policy, recent, features
    )


def _can_teach(values: pa.ChunkedArray) -> bool:
    return len(values) - values.null_count >= RARE_LOANS and len(values.unique()) > 1


def _refuse_unlearnable(
    contract: Contract, learn: np.ndarray, test: np.ndarray, features: list[str]
) -> None:
    """Raise StateError if no model can be fitted to the training set or measured on the hold-out.

    Args:
        contract: contract of the portfolio.
        learn: outcomes of the training set, 1 for default, shape (rows,).
        test: outcomes of the hold-out, 1 for default, shape (rows,).
        features: names of the features that are left.
    """
    parts = (("training set", learn, contract.training.folds), ("hold-out", test, 1))
    for part, y, needed in parts:
        defaults, paid = int(y.sum()), int(len(y) - y.sum())
        if min(defaults, paid) < needed:
            raise StateError(
                f"the {part} of {contract.portfolio} has {defaults} defaulted and {paid} paid "
                f"loans that a model judges; training needs {needed} of each: ingest more history"
            )
    if not features:
        raise StateError(
            f"the {len(learn)} loans of the training set of {contract.portfolio} are alike in "
            f"every feature, or fewer than {RARE_LOANS} of them have a value; declare columns in "
            "which applicants differ, or ingest more history"
        )


def fit_pair(
    contract: Contract,
    training: TrainingRows,
    chosen: TrialResult,
    assign_old_personas: AssignOldPersonas | None = None,
    results: Sequence[TrialResult] = (),
    personas: FittedPersonas | None = None,
    given: Alternative | None = None,
) -> list[FittedModel]:
    """Fit a propensity model and the personas. Return both models, ready to be registered.

    Args:
        contract: contract of the portfolio.
        training: rows of the training.
        chosen: result of the chosen trial, with its calibration.
        assign_old_personas: function that assigns the champion's personas. A new cluster keeps the
            name of a matching old persona. If None, all clusters get new names.
        results: results of all trials, for mitigation. Without them there is only the chosen one.
        personas: personas that were fitted on the same rows. If None, they are fitted here.
        given: propensity model that was fitted elsewhere. It is only measured here.
    """
    parts = split_rows(contract, training)
    X, y, learn, features = parts.X, parts.y, parts.learn, parts.features
    rejects = infer_rejects(contract, features, training.applicants, X.iloc[learn])
    data = learning_set(contract, training, parts, rejects)
    plain, tried = given or data.fit(None, chosen), list(results) or [chosen]
    alternatives = [] if given else fit_alternatives(data, plain, tried)
    fitted = given or choose_alternative(contract, plain, alternatives, tried)
    model, chosen, long_run = fitted.model, fitted.result, fitted.long_run
    if personas is None:
        found, judged = fit_personas(contract, features, X.iloc[learn], y[learn])
        personas = found, [each.as_json() for each in judged]
    clusters, counts = personas
    labels = clusters[-1].labels_
    kept = {}
    if assign_old_personas is not None:
        old, old_names = assign_old_personas(training.table.take(pa.array(learn)))
        kept = match_names(old, labels, old_names, clusters[-1].n_clusters)
    told = tell_clusters(contract, X.iloc[learn], labels, clusters[-1].n_clusters)
    names = name_clusters(told, kept)
    people = describe_personas(labels, y[learn], names, [*map(describe_traits, told)])

    rates = [person["default_rate"] for person in people]
    scale = scale_of_fit(contract, model, chosen, long_run)
    scorer = Scorer(contract, model, features, clusters, features, names, rates, scale)
    # Everything is measured on what the scorer returns, because that is what a night writes.
    holdout = training.table.take(pa.array(parts.holdout))
    scores = scorer.score(holdout)
    is_judged = scores.column("exclusion_reason").is_null()
    judged, judged_scores = holdout.filter(is_judged), scores.filter(is_judged)
    probability = judged_scores.column("default_probability").to_numpy()
    metrics = evaluation.measure_holdout(contract, y[parts.test], probability)
    metrics |= {"trial": chosen.trial.name}
    metrics |= {"mitigation": fitted.kind} if fitted.kind else {}
    log.info(
        "chose %s: AUC %.4f on the %d loans of the hold-out",
        chosen.trial.name, metrics["auc"], metrics["rows"],
    )  # fmt: skip
    tree = BenchmarkTree(contract, X.iloc[learn], y[learn])
    if training.applicants.everyone is None:
        recent = np.flatnonzero(parts.recent)
        baseline_rows, baseline = baseline_of_labelled(
            contract, training.table.take(recent), np.isin(recent, parts.holdout), scores
        )
    else:
        learnt = training.table.column(KEY).take(pa.array(learn))
        baseline_rows, baseline = baseline_of_applicants(
            scorer, training.applicants.everyone, learnt
        )
    return [
        FittedModel(
            PROPENSITY,
            model,
            estimator_parameters(model),
            features,
            metrics,
            algorithm=type(final_classifier(model)).__name__,
            evaluation=evaluation.evaluate_holdout(scorer, judged, judged_scores)
            | {"benchmark": describe_tree(contract, tree, X.iloc[parts.test], y[parts.test])}
            | {"holdout": parts.policy}
            | measure_cohorts(scorer, training.table, parts, probability)
            | evaluate_decisions(scorer, judged, judged_scores, long_run)
            | (
                {}
                if given
                else compare_alternatives(
                    contract, training.table, parts, plain, alternatives, fitted, tried
                )
            )
            | describe_declined(scorer, training.applicants, X.iloc[learn], y[learn], rejects),
            baseline=baseline,
            baseline_sample=sample_rows(
                baseline_rows, contract.monitoring.sample_rows, contract.training.seed
            ),
            leaks=training.leaks,
        ),
        FittedModel(
            PERSONAS,
            clusters,
            estimator_parameters(clusters),
            features,
            {"personas": people, "counts": counts},
            algorithm=type(clusters[-1]).__name__,
        ),
    ]


def champion_personas(session: Session) -> AssignOldPersonas | None:
    """Return a function that assigns applications to the champion's personas.

    Return None if there is no champion, if the champion cannot be loaded, or if the champion reads
    columns that the contract no longer has.
    """
    contract = session.contract
    with database.transaction(session.connection):
        version = registry.champion_version(session, PERSONAS)
        if version is None:
            return None
        row = registry.model_row(session, version)
    if not set(row["features"]) <= {column.name for column in contract.monitored}:
        log.warning("%s reads columns that are gone: personas get new names", version)
        return None
    try:
        old = registry.model_estimator(session, row)
    except StateError as error:
        log.warning("personas get new names: %s", error)
        return None
    names = [person["name"] for person in row["metrics"]["personas"]]

    def assign(table: pa.Table) -> tuple[np.ndarray, list[str]]:
        return old.predict(feature_frame(table, contract, row["features"])), names

    return assign
