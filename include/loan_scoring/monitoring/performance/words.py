"""Say in plain words what outcomes show of a model, for a person who was woken up by it."""

from collections.abc import Sequence
from typing import Any

from loan_scoring.contract import Contract
from loan_scoring.monitoring.performance import ddm
from loan_scoring.monitoring.performance.outcome_tests import TARGET, OutcomeFinding


def describe_outcome_cause(
    contract: Contract, findings: Sequence[OutcomeFinding], facts: dict[str, Any]
) -> str:
    """Return what a batch's outcomes show: the same people default otherwise."""
    told = ". ".join(describe_outcome_finding(contract, each, facts) for each in findings)
    return f"Other defaults than at training: {told}"


def describe_outcome_finding(
    contract: Contract, finding: OutcomeFinding, facts: dict[str, Any]
) -> str:
    """Return one sentence: what turned out otherwise, by how much, against what.

    Args:
        facts: `loans`, `default_rate`, `mean_probability`, `auc`, `ddm` of the batch, and
            `holdout_auc`, `holdout_default_rate`.
    """
    observed = f"{facts['default_rate']:.1%} of {facts['loans']:,} loans"
    if finding.subject == TARGET:
        return (
            f"{contract.target.label} ({TARGET}) holds for {observed} against "
            f"{facts['holdout_default_rate']:.1%} on the hold-out"
        )
    parts = []
    if "auc_drop" in finding.causes:
        parts.append(
            f"ranks worse than on the hold-out (AUC {facts['auc']:.3f} against "
            f"{facts['holdout_auc']:.3f})"
        )
    if "calibration" in finding.causes:
        parts.append(f"foresaw {facts['mean_probability']:.1%} defaults where {observed} defaulted")
    if facts["ddm"] is not None and facts["ddm"] >= ddm.WARNING:
        parts.append(
            f"errs more than at its best (DDM {ddm_level(facts['ddm'])}, {facts['ddm']:.1f} "
            "standard deviations)"
        )
    return f"The default probability {'; '.join(parts)}"


def ddm_level(distance: float | None) -> str | None:
    """Return what Gama et al. call a distance: none, warning or drift; None where there is none."""
    if distance is None:
        return None
    if distance < ddm.WARNING:
        return "none"
    return "warning" if distance < ddm.DRIFT else "drift"
