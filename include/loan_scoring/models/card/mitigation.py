"""Make the card's section on mitigation of unfairness, and name the least discriminatory trial."""

from collections.abc import Sequence
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.contract.mitigation import ANALYSIS_ONLY
from loan_scoring.models.card.blocks import Block, Heading, Section, Table, Text
from loan_scoring.models.training.cross_validation import TrialResult
from loan_scoring.models.training.disparity import disparity_of, least_discriminatory

KINDS = {
    None: "chosen trial",
    "least_discriminatory": "least discriminatory trial",
    "reweighing": "reweighing",
    "exponentiated_gradient": "exponentiated gradient",
    "threshold_adjustment": "thresholds by group",
}
MEASURES = {
    "demographic_parity": "1 minus the lowest approval rate over the highest",
    "equal_opportunity": "highest minus lowest approval rate of paid loans",
    "equalized_odds": "larger difference in approval of paid loans and of defaulted loans",
}
SHOWN = {
    "demographic_parity_ratio": "approval parity ratio",
    "equal_opportunity_difference": "equal opportunity difference",
    "equalized_odds_difference": "equalized odds difference",
}
NOT_FOR_DECISIONS = (
    "A threshold for each group decides by the protected attribute. That is unlawful in many "
    "places (in the United States by the Equal Credit Opportunity Act, 15 U.S.C. 1691), so this "
    "line is an analysis: it shows what equal approval would cost. No such model is fitted or "
    "promoted."
)


def mitigation_section(contract: Contract, row: database.Row) -> list[Section]:
    """Return the section that compares the kinds of mitigation. Empty if none was tried.

    Args:
        contract: contract of the portfolio.
        row: row of the propensity model.
    """
    found = (row["evaluation"] or {}).get("mitigation")
    if found is None:
        return []
    label = _label(contract, found["attribute"])
    allowed = ", ".join(KINDS[each] for each in found["may_promote"]) or "none of them"
    measured = [each for each in found["rows"] if each["failure"] is None]
    blocks: list[Block] = [
        Text(
            f"Against unequal approval by {label}. The protected column is read in training only: "
            "no model has it as a feature. All lines are measured on the same "
            f"{found['loans']:,} loans of the hold-out that the model judges."
        ),
        Text(
            "The choice was made in cross-validation: of the chosen trial and what the contract "
            f"allows to be promoted ({allowed}), the one with the least disparity whose AUC is "
            "within one standard error of the best. Disparity: "
            f"{MEASURES[found['measure']]}."
        ),
        Table(
            ["model", "trial", "AUC ± standard error", "near the best", "disparity", ""],
            [_choice(each) for each in found["rows"]],
            frozenset({2, 4}),
        ),
        Heading("Performance and decisions"),
        Text("The expected loss is that of the approved loans."),
        Table(
            ["model", "AUC", "log loss", "approved", "of these defaulted", "declined",
             "expected loss"],
            [_performance(contract, found["loans"], each) for each in measured],
            frozenset(range(1, 7)),
        ),
        Heading("Fairness"),
        Text("95 % intervals hold for the differences of all groups of an attribute at once."),
        Table(
            ["model", "by", *SHOWN.values()],
            [line for each in measured for line in _fairness(contract, each)],
            frozenset({2, 3, 4}),
        ),
    ]  # fmt: skip
    if any(each["kind"] == ANALYSIS_ONLY for each in found["rows"]):
        blocks.append(Text(NOT_FOR_DECISIONS))
    for each in measured:
        blocks += _details(each)
    return [Section("Mitigation of unfairness", blocks)]


def least_discriminatory_text(
    contract: Contract, results: Sequence[TrialResult], chosen: str
) -> str | None:
    """Return a sentence on the least discriminatory trial near the best AUC. None if not known.

    Args:
        contract: contract of the portfolio.
        results: results of the trials.
        chosen: name of the chosen trial.
    """
    least = least_discriminatory(contract, results)
    if least is None:
        return None
    disparity = disparity_of(contract, least)
    policy = contract.training.mitigation
    names = contract.fairness_attributes if policy is None else [policy.attribute]
    by = " and ".join(_label(contract, name) for name in names)
    measure = MEASURES["demographic_parity" if policy is None else policy.measure]
    text = (
        f"Of the trials within one standard error of the best, {least.trial.name} is the least "
        f"discriminatory: its disparity in approval by {by} ({measure}; out of fold) is "
        f"{disparity:.3f}"
    )
    mine = next((each for each in results if each.trial.name == chosen), None)
    if least.trial.name == chosen or mine is None:
        return text + ". It is the chosen trial."
    own = disparity_of(contract, mine)
    return text + ("." if own is None else f", that of the chosen trial {own:.3f}.")


def _choice(each: dict[str, Any]) -> list[str]:
    of = each["cross_validated"]
    if each["failure"]:
        return [KINDS[each["kind"]], each["trial"], "", "", "", f"failed: {each['failure']}"]
    is_analysis = each["kind"] == ANALYSIS_ONLY
    return [
        KINDS[each["kind"]],
        each["trial"],
        "" if is_analysis else f"{of['auc']:.4f} ± {of['standard_error']:.4f}",
        "" if is_analysis else "yes" if of["is_near_best"] else "no",
        "" if is_analysis or of["disparity"] is None else f"{of['disparity']:.3f}",
        "fitted" if each["is_chosen"] else "analysis only" if is_analysis else "",
    ]


def _performance(contract: Contract, loans: int, each: dict[str, Any]) -> list[str]:
    approved, not_declined = each["below"]["approve"], each["below"]["decline"]
    loss = ""
    if contract.business is not None and approved["amount"] is not None:
        lost = approved["expected_defaulted_amount"] * contract.business.loss_given_default
        loss = f"{lost:,.0f}"
    rate = approved["defaults"] / approved["loans"] if approved["loans"] else None
    return [
        KINDS[each["kind"]],
        _interval(each["auc"], 4),
        _interval(each["log_loss"], 4),
        f"{approved['loans'] / loans:.1%}",
        "" if rate is None else f"{rate:.1%}",
        f"{1 - not_declined['loans'] / loans:.1%}",
        loss,
    ]


def _fairness(contract: Contract, each: dict[str, Any]) -> list[list[str]]:
    return [
        [
            KINDS[each["kind"]],
            _label(contract, one["attribute"]),
            *(_interval(one[name], 3) if name in one else "" for name in SHOWN),
        ]
        for one in each["fairness"]
    ]


def _details(each: dict[str, Any]) -> list[Block]:
    found, head = each["details"], Heading(KINDS[each["kind"]].capitalize())
    if "weights" in found:
        rows = [
            [one["group"], *("" if one[name] is None else f"{one[name]:.3f}"
                             for name in ("paid", "defaulted"))]
            for one in found["weights"]
        ]  # fmt: skip
        head_row = ["group", "weight of a paid loan", "of a defaulted loan"]
        return [head, Table(head_row, rows, frozenset({1, 2}))]
    if "thresholds" in found:
        limits = [[one["group"], f"{one['below']:.4f}"] for one in found["thresholds"]]
        return [head, Table(["group", "approved below"], limits, frozenset({1}))]
    if "multipliers" in found:
        text = Text(
            f"{found['fits']:,} fits gave a lottery over {found['predictors']:,} predictors, for a "
            f"bound of {found['difference_bound']:g}. {found['cross_validated']:,} single "
            "predictors from it were cross-validated: this is the least discriminatory one near "
            "the best AUC, or else the one with the highest AUC. The bound holds for the lottery "
            f"only. {found['relabelled']:,} loans were learnt with the opposite outcome."
        )
        return [head, text]
    return []


def _interval(found: dict[str, float | None], digits: int) -> str:
    value = f"{found['value']:.{digits}f}"
    if found["lower"] is None:
        return value
    return f"{value} ({found['lower']:.{digits}f} to {found['upper']:.{digits}f})"


def _label(contract: Contract, name: str) -> str:
    return contract.by_name[name].label
