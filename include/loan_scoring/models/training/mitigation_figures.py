"""Compare the fitted model with its alternatives on the same hold-out, for the card."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.models.long_run import before_shift
from loan_scoring.models.numbers import as_floats
from loan_scoring.models.training.alternatives import Alternative
from loan_scoring.models.training.disparity import (
    compared_groups,
    disparity_of,
    near_best,
    protected_labels,
)
from loan_scoring.statistics.auc import delong
from loan_scoring.statistics.calibration import log_odds
from loan_scoring.statistics.cutoffs import approved_below
from loan_scoring.statistics.fairness import Z95
from loan_scoring.statistics.group_differences import approval_differences
from loan_scoring.statistics.labels import Labels

if TYPE_CHECKING:
    from loan_scoring.models.training.cross_validation import TrialResult
    from loan_scoring.models.training.fit import TrainingParts


def compare_alternatives(
    contract: Contract,
    table: pa.Table,
    parts: "TrainingParts",
    plain: Alternative,
    alternatives: Sequence[Alternative],
    chosen: Alternative,
    results: Sequence["TrialResult"],
) -> dict[str, Any]:
    """Return `mitigation` of an evaluation, ready for JSON. Empty if the contract asks for none.

    Args:
        contract: contract of the portfolio.
        table: rows of the training.
        parts: the same rows, split.
        plain: the chosen trial, fitted.
        alternatives: what was fitted beside it.
        chosen: the one of them that is registered.
        results: results of all trials.
    """
    policy = contract.training.mitigation
    if policy is None:
        return {}
    measured = _Holdout(contract, table, parts)
    rows = []
    for each in (plain, *alternatives):
        disparity = disparity_of(contract, each.result)
        row = {
            "kind": each.kind,
            "trial": each.result.trial.name,
            "is_chosen": each is chosen,
            "failure": each.failure,
            "cross_validated": {
                "auc": each.result.mean("auc"),
                "standard_error": each.result.auc_standard_error,
                "is_near_best": bool(near_best(results, [each.result])),
                "disparity": disparity,
            },
            "details": each.details,
        }
        rows.append(row if each.failure else row | measured.figures(each))
    return {
        "mitigation": {
            "attribute": policy.attribute,
            "measure": policy.measure,
            "may_promote": list(policy.may_promote),
            "loans": len(measured.y),
            "rows": rows,
        }
    }


class _Holdout:
    """The hold-out on which all alternatives are measured."""

    def __init__(self, contract: Contract, table: pa.Table, parts: "TrainingParts") -> None:
        rows = parts.test
        self.contract, self.X, self.y = contract, parts.X.iloc[rows], parts.y[rows]
        self.groups = protected_labels(contract, table, rows)
        business = contract.business
        self.amount = None
        if business is not None and business.amount in table.column_names:
            self.amount = as_floats(table.column(business.amount))[rows]

    def figures(self, each: Alternative) -> dict[str, Any]:
        """Return the figures of one alternative."""
        assert each.model is not None  # noqa: S101 - only what failed has no model
        y = self.y
        probability = each.model.predict_proba(self.X)[:, 1]
        expected = before_shift({"long_run": each.long_run}, probability)
        area, error = delong(y, expected)
        losses = np.logaddexp(0, np.where(y == 1, -1, 1) * log_odds(expected))
        reach = Z95 * float(np.std(losses, ddof=1)) / len(y) ** 0.5
        loss = float(np.mean(losses))
        decision = self.contract.decision
        approved = probability < self._limits(each)
        below = {"approve": approved, "decline": probability < decision.decline_from}
        return {
            "auc": {"value": area, "lower": area - Z95 * error,
                    "upper": min(area + Z95 * error, 1.0)},
            "log_loss": {"value": loss, "lower": loss - reach, "upper": loss + reach},
            "below": {
                name: asdict(_counts(y, rows, self.amount, expected, getattr(decision, field)))
                for (name, rows), field in zip(
                    below.items(), ("approve_below", "decline_from"), strict=True
                )
            },
            "fairness": self._fairness(approved),
        }  # fmt: skip

    def _fairness(self, approved: np.ndarray) -> list[dict[str, Any]]:
        """Return the differences in approval by attribute that has groups to compare."""
        policy, found = self.contract.training, []
        for name, labels in self.groups.items():
            compared = compared_groups(self.contract, name, labels, is_holdout=True)
            if len(compared) > 1:
                metrics = approval_differences(
                    labels, compared, self.y, approved, policy.resamples, policy.seed
                )
                measured = {measure: asdict(each) for measure, each in metrics.items()}
                found.append({"attribute": name, "groups": compared, **measured})
        return found

    def _limits(self, each: Alternative) -> np.ndarray:
        """Return the threshold of approval of each loan, shape (rows,)."""
        common = self.contract.decision.approve_below
        policy = self.contract.training.mitigation
        if each.thresholds is None or policy is None:
            return np.full(len(self.y), common)
        labels: Labels = self.groups[policy.attribute]
        of_group = np.array([each.thresholds.get(name, common) for name in labels.names])
        return np.asarray(of_group[labels.codes])


def _counts(
    y: np.ndarray,
    rows: np.ndarray,
    amount: np.ndarray | None,
    expected: np.ndarray,
    threshold: float,
) -> Any:
    """Return counts and sums of some loans, as those that a threshold approves."""
    (found,) = approved_below(y, np.where(rows, 0.0, 1.0), [threshold], amount, expected)
    return found
