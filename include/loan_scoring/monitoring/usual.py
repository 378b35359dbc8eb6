"""Read earlier nights of a portfolio, and apply what is usual to the comparisons of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.contract.business_dates import HISTORY
from loan_scoring.monitoring.drift.compare import FittedBaseline
from loan_scoring.monitoring.drift.comparison import Comparison
from loan_scoring.monitoring.drift.decide import DriftedFeature
from loan_scoring.monitoring.drift.joint import ALL
from loan_scoring.monitoring.drift.profiles import NightProfile
from loan_scoring.monitoring.drift.usual_joint import JointNight, UsualJoint, usual_joint
from loan_scoring.monitoring.drift.usual_nights import UsualNights, usual_nights, varying


@dataclass(frozen=True)
class UsualBatch:
    """What is usual for the columns of a batch and for all inputs together, by earlier nights."""

    columns: dict[str, UsualNights]
    """By column. A column with too few nights is left out."""
    joint: UsualJoint | None
    inputs_vary: bool
    """Whether at least one input varies with the weekday or from night to night."""
    least_nights: int

    def judged(self, compared: Comparison) -> Comparison:
        """Return a comparison of a prediction or of all inputs, after holding it against nights.

        If the inputs vary but the model has too few nights, the finding cannot be told from a usual
        night. The fact `usual` then has the key `unsettled`.
        """
        if compared.feature == ALL and self.joint is not None:
            return self.joint.judged(compared)
        if compared.feature in self.columns or not self.inputs_vary:
            return compared
        reason = f"not judged alone: fewer than {self.least_nights} nights of this model"
        usual = {"against": reason, "unsettled": True}
        return replace(compared, facts={**compared.facts, "usual": usual})


NOTHING = UsualBatch({}, None, inputs_vary=False, least_nights=0)
"""Nothing is known: the batch is compared with the training alone."""


def read_usual(
    connection: Any, contract: Contract, run: database.Row, baseline: FittedBaseline
) -> UsualBatch:
    """Return what is usual for a batch, by the measured batches before it.

    Profiles of inputs do not depend on a model. Predictions and joint tests do: for these, nights
    count that the same models scored under the same decision policy.

    Args:
        connection: database connection, within a transaction.
        contract: contract with the monitoring policy.
        run: row of the batch's scoring run.
        baseline: fitted baseline of the model.
    """
    policy = contract.monitoring
    if run["batch_id"] == HISTORY:
        return NOTHING
    nights = database.rows(
        connection, "select_usual_nights", batch_id=run["batch_id"], nights=policy.usual_nights
    )
    if len(nights) < policy.least_nights:
        return NOTHING
    weekday = date.fromisoformat(run["batch_id"]).weekday()
    of_model = [
        night
        for night in nights
        if all(
            night[key] == run[key] for key in ("propensity_version", "personas_version", "policy")
        )
    ]
    columns = {
        name: found
        for name, column in baseline.columns.items()
        if (
            found := usual_nights(
                policy,
                column.frozen,
                _profiles(of_model if name in baseline.outputs else nights, name),
                weekday,
            )
        )
    }
    joint = baseline.joint
    return UsualBatch(
        columns,
        usual_joint(policy, joint, _joint_nights(of_model, policy.joint_rows, joint), weekday)
        if joint
        else None,
        varying([columns[name] for name in baseline.inputs if name in columns]),
        policy.least_nights,
    )


def settled(findings: Sequence[DriftedFeature], inputs: Sequence[str]) -> list[DriftedFeature]:
    """Return the findings that may raise an alert.

    A finding that cannot be told from a usual night counts only beside a finding of an input.
    """
    if any(each.comparison.feature in inputs for each in findings):
        return list(findings)
    return [each for each in findings if not is_unsettled(each.comparison)]


def is_unsettled(compared: Comparison) -> bool:
    """Return whether a comparison alone raises no alert, because the model has too few nights."""
    return bool(compared.facts.get("usual", {}).get("unsettled"))


def what_against(comparisons: Sequence[Comparison]) -> dict[str, str | None]:
    """Return what each feature was compared with beside the training. None for nothing."""
    return {each.feature: each.facts.get("usual", {}).get("against") for each in comparisons}


def _profiles(nights: Sequence[Mapping[str, Any]], name: str) -> list[NightProfile]:
    return [
        NightProfile(date.fromisoformat(night["batch_id"]), night["profiles"][name])
        for night in nights
        if name in night["profiles"]
    ]


def _joint_nights(
    nights: Sequence[Mapping[str, Any]], joint_rows: int, joint: Any
) -> list[JointNight]:
    return [
        JointNight(
            date.fromisoformat(night["batch_id"]),
            min(night["applications"], len(joint.rows), joint_rows),
            night["joint"]["domain_classifier"],
            night["joint"]["reconstruction"],
        )
        for night in nights
        if night["joint"]
    ]
