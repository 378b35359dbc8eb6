"""Fit the alternatives that mitigate unfairness, choose the model, and compare all on the hold-out.

Alternatives are cross-validated, calibrated and fitted like the chosen trial. The choice is made in
cross-validation; the hold-out only shows what it gives.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from loan_scoring.contract import Contract
from loan_scoring.contract.mitigation import ANALYSIS_ONLY, KINDS
from loan_scoring.models.long_run import move_to_rate, shift_of
from loan_scoring.models.training.candidates import Trial
from loan_scoring.models.training.cross_validation import (
    TrialError,
    TrialResult,
    as_error_of,
    calibration_of,
    cross_validate,
    fit_chosen_trial,
)
from loan_scoring.models.training.disparity import (
    disparity_of,
    least_discriminatory,
    near_best,
    protected_labels,
)
from loan_scoring.models.training.mitigation import (
    Multipliers,
    describe_weights,
    effective_threshold,
    group_places,
    relabel_by_multipliers,
    relabel_by_reweighing,
    search_multipliers,
)
from loan_scoring.models.training.out_of_fold import Relabel, predict_out_of_fold
from loan_scoring.models.training.reject_inference import Rejects
from loan_scoring.models.training.rows import TrainingRows
from loan_scoring.statistics.calibration import recalibrate
from loan_scoring.statistics.labels import Labels
from loan_scoring.statistics.mitigation import group_thresholds

if TYPE_CHECKING:
    from loan_scoring.models.training.fit import TrainingParts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Alternative:
    """A fitted model beside others, or the reason why there is none.

    `kind` is a kind of mitigation, or None for the chosen trial as it is. `result` is the
    cross-validation, `model` the calibrated pipeline, `long_run` what `move_to_rate` returned.
    `details` are figures of the kind, ready for JSON. `thresholds` are those of each group, for the
    kind that is an analysis only.
    """

    kind: str | None
    result: TrialResult
    model: Pipeline | None = None
    long_run: dict[str, float] | None = None
    details: dict[str, Any] = field(default_factory=dict)
    thresholds: dict[str, float] | None = None
    failure: str | None = None


@dataclass(frozen=True)
class LearningSet:
    """The training set as fits take it, with the groups of protected columns."""

    contract: Contract
    features: list[str]
    X: pd.DataFrame
    y: np.ndarray
    recent: np.ndarray
    has_changed: bool
    rejects: Rejects | None
    groups: Mapping[str, Labels]

    def fit(
        self, kind: str | None, result: TrialResult, relabel: Relabel | None = None
    ) -> Alternative:
        """Fit and calibrate a model.

        Raises:
            TrialError: the trial cannot be fitted.
        """
        model = fit_chosen_trial(
            self.contract,
            self.features,
            result,
            self.X,
            self.y,
            has_changed=self.has_changed,
            recent=self.recent,
            rejects=self.rejects,
            relabel=relabel,
        )
        target = self.contract.training.target_rate
        if target is None:
            return Alternative(kind, result, model)
        at_training = model.predict_proba(self.X.iloc[np.flatnonzero(self.recent)])[:, 1]
        return Alternative(kind, result, *move_to_rate(model, at_training, target))

    def cross_validate(self, trial: Trial, relabel: Relabel) -> TrialResult:
        """Cross-validate a trial that learns labels and weights of a kind of mitigation."""
        return cross_validate(
            self.contract, self.features, trial, self.X, self.y, self.recent,
            groups=self.groups, relabel=relabel,
        )  # fmt: skip


def learning_set(
    contract: Contract, training: TrainingRows, parts: "TrainingParts", rejects: Rejects | None
) -> LearningSet:
    """Return the training set of a training.

    Args:
        contract: contract of the portfolio.
        training: rows of the training.
        parts: the same rows, split.
        rejects: reject inference, or None.
    """
    learn = parts.learn
    return LearningSet(
        contract, parts.features, parts.X.iloc[learn], parts.y[learn], parts.recent[learn],
        training.since is not None, rejects,
        protected_labels(contract, training.table, learn),
    )  # fmt: skip


def fit_alternatives(
    data: LearningSet, plain: Alternative, results: Sequence[TrialResult]
) -> list[Alternative]:
    """Return the alternatives of the contract's kinds, in the order of KINDS.

    What fails has a `failure`, and the others go on.

    Args:
        data: training set.
        plain: the chosen trial, fitted.
        results: results of all trials.
    """
    policy = data.contract.training.mitigation
    if policy is None:
        return []
    found = []
    for kind in (kind for kind in KINDS if kind in policy.kinds):
        try:
            with as_error_of(plain.result.trial):
                found.append(_fit(kind, data, plain, results))
        except TrialError as error:
            log.warning("mitigation by %s left out: %s", kind, error.reason)
            found.append(Alternative(kind, plain.result, failure=error.reason))
    return found


def _fit(
    kind: str, data: LearningSet, plain: Alternative, results: Sequence[TrialResult]
) -> Alternative:
    contract, policy = data.contract, data.contract.training.mitigation
    assert policy is not None  # noqa: S101 - without it no kind is fitted
    if policy.attribute not in data.groups:
        return Alternative(kind, plain.result, failure=f"{policy.attribute} is retired")
    names, group = group_places(contract, policy.attribute, data.groups[policy.attribute])
    if len(names) < 2:
        few = f"fewer than two groups of {policy.attribute} are large enough to compare"
        return Alternative(kind, plain.result, failure=few)
    if kind == "least_discriminatory":
        least = least_discriminatory(contract, results)
        if least is None or least.trial == plain.result.trial:
            return replace(plain, kind=kind)
        return data.fit(kind, least)
    if kind == "reweighing":
        relabel = relabel_by_reweighing(data.y, group)
        result = data.cross_validate(plain.result.trial, relabel)
        details = describe_weights(names, data.y, group)
        return replace(data.fit(kind, result, relabel), details=details)
    threshold = effective_threshold(contract, shift_of({"long_run": plain.long_run}))
    if kind == ANALYSIS_ONLY:
        probability = predict_out_of_fold(
            contract, data.features, plain.result.trial, data.X, data.y
        )
        calibration = calibration_of(
            contract, plain.result.calibration_slope, plain.result.calibration_intercept,
            data.has_changed,
        )  # fmt: skip
        if calibration is not None:
            probability = recalibrate(probability, *calibration)
        found = group_thresholds(
            probability[data.recent], data.y[data.recent], group[data.recent], threshold,
            policy.measure,
        )  # fmt: skip
        of_group = dict(zip(names, found, strict=True))
        return replace(
            plain,
            kind=kind,
            thresholds=of_group,
            details={
                "thresholds": [{"group": name, "below": value} for name, value in of_group.items()]
            },
        )
    return _best_predictor(data, plain, results, names, group, threshold)


def _best_predictor(
    data: LearningSet,
    plain: Alternative,
    results: Sequence[TrialResult],
    names: list[str],
    group: np.ndarray,
    threshold: float,
) -> Alternative:
    """Return the least discriminatory predictor of an exponentiated gradient.

    Each is cross-validated. Only those with an AUC within one standard error of the best trial's
    count; if there is none, the one with the highest AUC is returned.
    """
    contract, y, kind = data.contract, data.y, "exponentiated_gradient"
    found, details = search_multipliers(
        contract, data.features, plain.result.trial, data.X, y, group, threshold
    )
    if not found:
        return replace(plain, kind=kind, failure="the search found no predictor but the trial")
    tried = []
    for multipliers in found:
        relabel = relabel_by_multipliers(y, group, threshold, multipliers)
        tried.append((data.cross_validate(plain.result.trial, relabel), relabel, multipliers))

    def rank(each: tuple[TrialResult, Relabel, Multipliers]) -> tuple[bool, float]:
        result = each[0]
        if near_best(results, [result]):
            return False, disparity_of(contract, result) or 0.0
        return True, -result.mean("auc")

    result, relabel, multipliers = min(tried, key=rank)
    labels, _ = relabel(np.arange(len(y)))
    details |= {
        "cross_validated": len(tried),
        "relabelled": int(np.sum(labels != y)),
        "multipliers": [
            {"group": names[place], "outcome": event, "multiplier": value}
            for (event, place), value in multipliers.items()
        ],
    }
    return replace(data.fit(kind, result, relabel), details=details)


def choose_alternative(
    contract: Contract,
    plain: Alternative,
    alternatives: Sequence[Alternative],
    results: Sequence[TrialResult],
) -> Alternative:
    """Return the least discriminatory of the chosen trial and the kinds that may be promoted.

    All are judged in cross-validation. Only those with an AUC within one standard error of the best
    trial's count. The chosen trial stays if none is better than it.

    Args:
        contract: contract of the portfolio.
        plain: the chosen trial, fitted.
        alternatives: what `fit_alternatives` returned.
        results: results of all trials.
    """
    policy = contract.training.mitigation
    if policy is None or disparity_of(contract, plain.result) is None:
        return plain
    allowed = [
        each
        for each in alternatives
        if each.kind in policy.may_promote
        and each.failure is None
        and near_best(results, [each.result])
        and disparity_of(contract, each.result) is not None
    ]
    return min([plain, *allowed], key=lambda each: disparity_of(contract, each.result) or 0.0)
