"""Make the card's sections on performance: metrics, plots, candidates and personas."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.models.card.blocks import Block, Plot, Section, Table, Text
from loan_scoring.models.card.mitigation import least_discriminatory_text
from loan_scoring.models.card.plots import (
    draw_calibration,
    draw_histogram,
    draw_importance,
    draw_roc,
)
from loan_scoring.models.training.cross_validation import TrialResult
from loan_scoring.models.training.disparity import disparity_of
from loan_scoring.models.training.search import is_searched

METRICS = {
    "auc": "AUC",
    "gini": "Gini",
    "ks": "KS",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "calibration_slope": "Calibration slope",
    "f1": "F1 of default",
    "precision": "Precision of decline",
    "recall": "Recall of decline",
}


def metrics_section(contract: Contract, row: database.Row) -> Section:
    """Return the section with the metrics on the hold-out and their intervals."""
    metrics = row["metrics"]
    intervals = metrics.get("intervals") or {}
    rows = []
    for name, label in METRICS.items():
        if metrics.get(name) is not None:
            ends = intervals.get(name)
            interval = f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else "not recorded"
            rows.append([label, f"{metrics[name]:.4f}", interval])
    return Section(
        "Performance",
        [
            Text(
                f"Measured once on the {metrics.get('rows', 0):,} loans of the hold-out, of which "
                f"{metrics.get('default_rate', 0):.1%} defaulted. F1, precision and recall: a loan "
                "is predicted to default from a probability of "
                f"{contract.decision.decline_from:g}, the threshold of decline."
            ),
            Table(["metric", "value", "95 % interval"], rows, frozenset({1, 2})),
        ],
    )


def plot_sections(contract: Contract, row: database.Row) -> list[Section]:
    """Return two sections with plots and tables of the evaluation on the hold-out.

    If the version has no evaluation, return one section that says so.
    """
    evaluation = row["evaluation"]
    if evaluation is None:
        return [Section("Plots", [Text("This version was registered without an evaluation.")])]
    auc, shuffled = row["metrics"]["auc"], evaluation["importance"]
    labels = {name: contract.by_name[name].label for name in row["features"]}
    top = [
        [labels[e["feature"]], f"{round(e['mean'], 4) + 0.0:.4f}", f"{e['deviation']:.4f}"]
        for e in shuffled["features"]
    ]
    return [
        Section(
            "Ranking, calibration and scores",
            [
                Text(_slope(evaluation["calibration"])),
                Plot(draw_roc(evaluation, auc), "ROC curve on the hold-out."),
                Plot(
                    draw_calibration(evaluation),
                    "Predicted and observed default rates, by tenths of the score.",
                ),
                Plot(
                    draw_histogram(evaluation, contract),
                    "Scores of loans that were paid and of loans that defaulted, with the "
                    "thresholds of the decision.",
                ),
                Table(
                    ["tenth", "loans", "predicted", "observed", "95 % interval"],
                    [
                        [
                            str(place), f"{part['rows']:,}", f"{part['predicted']:.1%}",
                            f"{part['observed']:.1%}", f"{part['low']:.1%} to {part['high']:.1%}",
                        ]
                        for place, part in enumerate(evaluation["deciles"], 1)
                    ],
                    frozenset(range(5)),
                ),
            ],
        ),
        Section(
            "What the scores depend on",
            [
                Text(
                    f"Permutation importance: the AUC that is lost when a column's values are "
                    f"shuffled among {shuffled['rows']:,} loans of the hold-out; mean and standard "
                    f"deviation of {shuffled['repeats']} shuffles. A column that is correlated "
                    "with another looks less important than it is."
                ),
                Table(["column", "AUC lost", "standard deviation"], top, frozenset({1, 2})),
                Plot(draw_importance(evaluation, contract), "Permutation importance."),
            ],
        ),
    ]  # fmt: skip


def _slope(calibration: dict[str, float | None]) -> str:
    slope, error = calibration["slope"], calibration["standard_error"]
    if slope is None or error is None:
        return "The calibration slope is not defined: the scores do not vary."
    return (
        f"The calibration slope is {slope:.3f} (standard error {error:.3f}). 1 is perfect; above 1 "
        "the probabilities are too close to the mean, below 1 too far from it."
    )


def candidates_section(
    contract: Contract, row: database.Row, results: list[TrialResult], failures: dict[str, str]
) -> Section:
    """Return the section with the results of all trials. The chosen trial is marked.

    Args:
        contract: contract of the portfolio.
        row: row of the propensity model.
        results: results of the trials.
        failures: reasons of the trials that failed, by the name of the trial.
    """
    title = "Candidates"
    if not results:
        return Section(title, [Text("No comparison of candidates was recorded.")])
    rows = [
        [
            f"{each.trial.name}{' (chosen)' if each.trial.name == row['metrics']['trial'] else ''}",
            f"{each.mean('auc'):.4f} ± {each.auc_standard_error:.4f}",
            f"{each.mean('f1_paid'):.4f}",
            f"{each.mean('brier'):.4f}",
            f"{each.calibration_slope:.3f}",
            _disparity(contract, each),
            f"{each.seconds:.1f}",
        ]
        for each in results
    ]
    rule = "the first one whose AUC is within one standard error of the best"
    if row["metrics"].get("mitigation") == "least_discriminatory":
        rule = "the least discriminatory one with an AUC within one standard error of the best"
    text = (
        f"Cross-validated in {len(results[0].folds)} folds of the training part. The chosen trial "
        f"is {rule}."
    )
    searched = sum(is_searched(each.trial.name) for each in results)
    if searched:
        text += (
            f" A search suggested {searched} of them. The best of many looks better in "
            "cross-validation than it is; the hold-out does not."
        )
    names = [
        "trial", "AUC ± standard error", "F1 of paid", "Brier", "slope", "disparity", "seconds",
    ]  # fmt: skip
    blocks: list[Block] = [Text(text), Table(names, rows, frozenset(range(1, 7)))]
    least = least_discriminatory_text(contract, results, row["metrics"]["trial"])
    if least is not None:
        blocks.append(Text(least))
    if failures:
        blocks += [
            Text("These trials failed and were left out:"),
            Table(["trial", "reason"], [list(each) for each in failures.items()]),
        ]
    return Section(title, blocks)


def _disparity(contract: Contract, result: TrialResult) -> str:
    found = disparity_of(contract, result)
    return "" if found is None else f"{found:.3f}"


def personas_section(row: database.Row) -> Section:
    """Return the section with the share, default rate and traits of each persona."""
    people, counts = row["metrics"]["personas"], row["metrics"].get("counts")
    rows = []
    for each in people:
        interval = each.get("default_rate_interval")
        rows.append(
            [
                each["name"],
                f"{each['share']:.1%}",
                f"{each['default_rate']:.1%}",
                f"{interval[0]:.1%} to {interval[1]:.1%}" if interval else "not recorded",
                _traits(each.get("traits")),
            ]
        )
    blocks: list[Block] = [
        Text(
            "Clusters of applicants, found without their outcomes. The last column says how many "
            "members have a trait, and how many of all other applicants."
        ),
        Table(
            ["persona", "share", "default rate", "95 % interval", "what sets it apart"],
            rows,
            frozenset({1, 2, 3}),
        ),
    ]
    return Section("Personas", blocks + _counts(counts, len(people)))


def _traits(traits: list[dict[str, Any]] | None) -> str:
    if traits is None:
        return "not recorded"
    told = [f"{each['phrase']} {each['share']:.0%} ({each['others']:.0%})" for each in traits]
    return "; ".join(told) or "nothing"


def _counts(counts: list[dict[str, Any]] | None, chosen: int) -> list[Block]:
    """Return the table of the numbers of personas that were judged, and the rule."""
    if not counts:
        return [Text("Other numbers of personas were not judged, or their figures not recorded.")]
    rows = [
        [
            f"{each['personas']}{' (chosen)' if each['personas'] == chosen else ''}",
            f"{each['stability'][0]:.2f}{'' if each['is_stable'] else ' (not stable)'}",
            f"{sum(each['stability']) / len(each['stability']):.2f}",
            f"{each['separation']:.4f} ± {each['separation_error']:.4f}",
            f"{each['silhouette']:.3f}",
        ]
        for each in counts
    ]
    return [
        Text(
            "How the number was chosen. Stability is the mean Jaccard index of a cluster over "
            "bootstrap resamples: 1 if it is always found again. Separation is the share of the "
            "variance of outcomes between the personas, with its standard error. Among the "
            "numbers without an unstable persona, those within one standard error of the best "
            "separation are kept, and of these the largest silhouette is chosen. If no number is "
            "stable, the one with the most stable weakest persona is chosen."
        ),
        Table(
            ["personas", "stability of the weakest", "mean stability", "separation", "silhouette"],
            rows,
            frozenset(range(5)),
        ),
    ]
