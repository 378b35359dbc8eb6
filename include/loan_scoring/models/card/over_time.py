"""Make the card's sections on time: the last cohorts, all cohorts, and how often it was looked."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.models.card.blocks import Block, Section, Table, Text


def over_time_section(contract: Contract, row: database.Row) -> Section:
    """Return the section with the figures on the last cohorts, and by cohort."""
    title, evaluation = "Over time", row["evaluation"] or {}
    found = evaluation.get("out_of_time")
    if found is None:
        return Section(title, [Text("This version was registered without figures by cohort.")])
    if "first" not in found:
        blocks: list[Block] = [Text(f"There is no out-of-time validation: {found['reason']}.")]
    else:
        blocks = [
            Text(
                f"No fit saw the {found['rows']:,} loans of the cohorts from {found['first']} to "
                f"{found['last']}. The model is not fitted again on them: what was measured is "
                "what scores. The PSI compares their scores with those of the hold-out; "
                f"{found['psi_by_chance']:.3f} that chance explains is taken off, and "
                f"{contract.promotion.stability.max_psi:g} is the limit. A default rate away from "
                "the prediction may be the year, not the model."
            ),
            _both(row, found),
            Text("Shares of loans by band of the score; each has a tenth of the hold-out:"),
            _bands(found["bands"]),
        ]
    vintages = evaluation.get("vintages")
    if vintages:
        blocks += [
            Text(
                "By cohort, on loans that no fit saw. Expected is the mean probability; too few "
                "defaults give no AUC."
            ),
            _vintages(vintages),
        ]
    return Section(title, blocks)


def looks_text(policy: dict[str, Any], looks: int, confidence: float) -> str:
    """Return the sentences on how often a hold-out was looked at, and what that may cost.

    Args:
        policy: stored policy of the hold-out.
        looks: number of models measured on its loans, this one included.
        confidence: of the intervals of the gate `better`.
    """
    by_chance = min(1.0, looks * (1 - confidence))
    text = (
        f"{looks} model{'s' * (looks != 1)}, this one included, had been measured on loans of this "
        "hold-out. A challenger that is no better than the champion passes the gate by chance in "
        f"at most {1 - confidence:.1%} of looks; at least once in so many looks with a probability "
        f"of at most {by_chance:.0%}."
    )
    if "begin" in policy:
        return f"{text} Loans of cohorts before {policy['begin']} have left it and are learnt from."
    return f"{text} No loan leaves it; training.holdout_days renews it."


def _both(row: database.Row, found: dict[str, Any]) -> Table:
    metrics, evaluation = row["metrics"], row["evaluation"]
    held = evaluation["calibration"]
    of_holdout = metrics.get("intervals", {}).get("auc")
    mean = sum(each["rows"] * each["predicted"] for each in evaluation["deciles"])
    rows = [
        ["loans", f"{metrics['rows']:,}", f"{found['rows']:,}"],
        ["AUC", _number(metrics["auc"], of_holdout), _number(found["auc"], found["auc_interval"])],
        [
            "defaulted", f"{metrics['default_rate']:.1%}",
            _share(found["default_rate"], found["default_rate_interval"]),
        ],
        ["expected", f"{mean / metrics['rows']:.1%}", f"{found['mean_probability']:.1%}"],
        ["calibration slope", _slope(held), _slope(found["calibration"])],
        ["PSI of the score", "", f"{found['psi']:.3f}"],
    ]  # fmt: skip
    return Table(["", "hold-out", "out of time"], rows, frozenset({1, 2}))


def _bands(bands: list[dict[str, Any]]) -> Table:
    rows = [
        [
            "" if each["low"] is None else f"{each['low']:.3f}",
            "" if each["high"] is None else f"{each['high']:.3f}",
            f"{each['before']:.1%}",
            f"{each['now']:.1%}",
        ]
        for each in bands
    ]
    return Table(["from", "below", "hold-out", "out of time"], rows, frozenset(range(4)))


def _vintages(vintages: list[dict[str, Any]]) -> Table:
    rows = [
        [
            each["cohort"] or "no date",
            "out of time" if each["is_out_of_time"] else "hold-out",
            f"{each['loans']:,}",
            _share(each["default_rate"], each["default_rate_interval"]),
            f"{each['mean_probability']:.1%}",
            "" if each["auc"] is None else f"{each['auc']:.4f}",
        ]
        for each in vintages
    ]
    names = ["cohort", "loans are", "loans", "defaulted", "expected", "AUC"]
    return Table(names, rows, frozenset({2, 3, 4, 5}))


def _number(value: float, ends: list[float] | None) -> str:
    return f"{value:.4f}" + (f" ({ends[0]:.4f} to {ends[1]:.4f})" if ends else "")


def _share(value: float, ends: list[float]) -> str:
    return f"{value:.1%} ({ends[0]:.1%} to {ends[1]:.1%})"


def _slope(line: dict[str, float | None]) -> str:
    slope, error = line["slope"], line["standard_error"]
    return "not defined" if slope is None or error is None else f"{slope:.3f} ± {error:.3f}"
