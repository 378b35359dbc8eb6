"""What a model card says, from the registry's rows alone: neither loans nor artifacts are read."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.card.blocks import Block, Card, Plot, Section, Table, Text
from loan_scoring.models.card.plots import (
    draw_approval,
    draw_calibration,
    draw_histogram,
    draw_importance,
    draw_roc,
)
from loan_scoring.models.registry import PERSONAS, PROPENSITY
from loan_scoring.models.training.candidates import TrialResult
from loan_scoring.models.training.trials import recorded_trials

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
VERDICTS = {
    "promoted": "promoted",
    "refused": "refused by a gate",
    "rejected": "rejected by a person",
    "timed_out": "not answered in time",
}
OCCASIONS = {"training": "after training", "command": "by command", "rollback": "by rollback"}


def read_card(session: Session, model_version: str) -> Card:
    """Return the card of the pair that a version was fitted in.

    Raises:
        StateError: there is no such version.
    """
    with database.transaction(session.connection):
        versions = registry.fitted_pair(session, model_version)
        propensity = registry.model_row(session, versions[PROPENSITY])
        personas = registry.model_row(session, versions[PERSONAS])
        verdicts = database.rows(
            session.connection, "select_verdicts", model_version=versions[PROPENSITY]
        )
        champion = registry.champion_version(session, PROPENSITY)
    results = recorded_trials(session, propensity["fingerprint"])
    is_champion = champion == versions[PROPENSITY]
    contract = session.contract
    return Card(
        f"Model card: {versions[PROPENSITY]}",
        f"{contract.title} ({contract.portfolio}), with {versions[PERSONAS]}. Fitted "
        f"{propensity['created_at']:%Y-%m-%d %H:%M} UTC by loan-scoring "
        f"{propensity['code_version']}; {'in use' if is_champion else 'not in use'}.",
        [
            _purpose(contract, propensity),
            _metrics(contract, propensity),
            *_drawings(contract, propensity),
            _verdicts(verdicts),
            _candidates(propensity, results),
            _personas(personas),
            _fairness(contract, propensity),
            _leaks(contract, propensity),
            _data(propensity),
            _limits(contract),
            _files(propensity, personas),
        ],
    )


def _purpose(contract: Contract, row: database.Row) -> Section:
    labels = ", ".join(contract.by_name[name].label for name in row["features"])
    return Section(
        "What it is",
        [
            Text(
                f"{row['algorithm']} that gives the probability that a loan defaults, from "
                f"{len(row['features'])} columns that are known at application: {labels}."
            )
        ],
    )


def _metrics(contract: Contract, row: database.Row) -> Section:
    metrics = row["metrics"]
    intervals = metrics.get("intervals") or {}
    rows = []
    for name, label in METRICS.items():
        if metrics.get(name) is not None:
            told = intervals.get(name)
            interval = f"{told[0]:.4f} to {told[1]:.4f}" if told else "not recorded"
            rows.append([label, f"{metrics[name]:.4f}", interval])
    return Section(
        "How good it is",
        [
            Text(
                f"Measured once on {metrics.get('rows', 0):,} loans that were kept from training, "
                f"of which {metrics.get('default_rate', 0):.1%} defaulted. F1, precision and "
                f"recall are those of declining from {contract.decision.decline_from:g}."
            ),
            Table(["metric", "value", "95 % interval"], rows, frozenset({1, 2})),
        ],
    )


def _drawings(contract: Contract, row: database.Row) -> list[Section]:
    found = row["evaluation"]
    if found is None:
        return [Section("Plots", [Text("This version was registered without an evaluation.")])]
    auc, shuffled = row["metrics"]["auc"], found["importance"]
    labels = {name: contract.by_name[name].label for name in row["features"]}
    top = [
        [labels[e["feature"]], f"{round(e['mean'], 4) + 0.0:.4f}", f"{e['deviation']:.4f}"]
        for e in shuffled["features"]
    ]
    return [
        Section(
            "Ranking, calibration and scores",
            [
                Text(_slope(found["calibration"])),
                Plot(draw_roc(found, auc), "ROC curve on the hold-out."),
                Plot(
                    draw_calibration(found),
                    "Predicted and observed default rates, by tenths of the score.",
                ),
                Plot(
                    draw_histogram(found, contract),
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
                        for place, part in enumerate(found["deciles"], 1)
                    ],
                    frozenset(range(5)),
                ),
            ],
        ),
        Section(
            "What it goes by",
            [
                Text(
                    f"Permutation importance: how much AUC is lost when a column's values are "
                    f"shuffled among {shuffled['rows']:,} loans of the hold-out, mean and standard "
                    f"deviation of {shuffled['repeats']} shuffles. Columns that say the same as "
                    "another look less important than they are."
                ),
                Table(["column", "AUC lost", "standard deviation"], top, frozenset({1, 2})),
                Plot(draw_importance(found, contract), "Permutation importance."),
            ],
        ),
    ]  # fmt: skip


def _slope(calibration: dict[str, float | None]) -> str:
    slope, error = calibration["slope"], calibration["standard_error"]
    if slope is None or error is None:
        return "The calibration slope cannot be told: the scores do not vary."
    return (
        f"The calibration slope is {slope:.3f} (standard error {error:.3f}): 1 is perfect, above 1 "
        "the model is too timid, below it too extreme."
    )


def _verdicts(verdicts: list[database.Row]) -> Section:
    if not verdicts:
        return Section("Who let it into use", [Text("Nobody has judged this version yet.")])
    blocks: list[Block] = [
        Table(
            ["when (UTC)", "verdict", "by", "instead of", "comment"],
            [
                [
                    f"{each['decided_at']:%Y-%m-%d %H:%M}",
                    f"{VERDICTS[each['verdict']]}, {OCCASIONS[each['occasion']]}",
                    each["decided_by"],
                    each["replaces"] or "none",
                    each["comment"] or "",
                ]
                for each in verdicts
            ],
        )
    ]
    judged = [each for each in verdicts if "gates" in each["evidence"]]
    if judged:
        evidence = judged[-1]["evidence"]
        rows = [
            [gate["gate"], "passed" if gate["passed"] else "failed", gate["sentence"]]
            for gate in evidence["gates"]
        ]
        blocks += [Text("The gates at the last judgement:"), Table(["gate", "", "evidence"], rows)]
        if evidence.get("overruled"):
            blocks.append(Text(f"Overruled by a person: {', '.join(evidence['overruled'])}."))
    return Section("Who let it into use", blocks)


def _candidates(row: database.Row, results: list[TrialResult]) -> Section:
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
            f"{each.seconds:.1f}",
        ]
        for each in results
    ]
    told = (
        f"Cross-validated in {len(results[0].folds)} folds of the training part. Chosen is the "
        "first of those whose AUC is within one standard error of the best."
    )
    names = ["trial", "AUC ± standard error", "F1 of paid", "Brier", "slope", "seconds"]
    return Section(title, [Text(told), Table(names, rows, frozenset({1, 2, 3, 4, 5}))])


def _personas(row: database.Row) -> Section:
    people = row["metrics"]["personas"]
    rows = []
    for each in people:
        told = each.get("default_rate_interval")
        rows.append(
            [
                each["name"],
                f"{each['share']:.1%}",
                f"{each['default_rate']:.1%}",
                f"{told[0]:.1%} to {told[1]:.1%}" if told else "not recorded",
            ]
        )
    return Section(
        "Personas",
        [
            Text("Clusters of applicants, found without their outcomes."),
            Table(
                ["persona", "share", "default rate", "95 % interval"], rows, frozenset({1, 2, 3})
            ),
        ],
    )


def _fairness(contract: Contract, row: database.Row) -> Section:
    rule = contract.promotion.fairness
    held = ", ".join(_label(contract, name) for name in contract.fairness_attributes)
    blocks: list[Block] = [
        Text(
            f"Approval is a probability below {contract.decision.approve_below:g}, on the loans of "
            "the hold-out that the model judges. The floor for the demographic parity ratio, the "
            f"lowest group's approval rate over the highest, is {rule.min_ratio:g}; it holds for "
            f"{held or 'no column'}."
        )
    ]
    for parity in (row["evaluation"] or {}).get("fairness", []):
        name = parity["attribute"]
        label = _label(contract, name)
        ratio = "cannot be told" if parity["ratio"] is None else f"is {parity['ratio']:.3f}"
        is_held = name in contract.fairness_attributes
        told = f"{label}: the ratio {ratio}{'' if is_held else ' (shown, not judged)'}."
        left_out = [f"{e['group']} ({e['left_out']})" for e in parity["groups"] if e["left_out"]]
        if left_out:
            told += f" Left out of it: {'; '.join(left_out)}."
        if parity["ratio"] is not None and parity["ratio_of_all"] != parity["ratio"]:
            told += f" With the levels that are no group it is {parity['ratio_of_all']:.3f}."
        blocks += [
            Text(told),
            Table(
                [label, "loans", "approved", "95 % interval", "defaulted"],
                [
                    [
                        each["group"], f"{each['rows']:,}", f"{each['approval_rate']:.1%}",
                        f"{each['low']:.1%} to {each['high']:.1%}", f"{each['default_rate']:.1%}",
                    ]
                    for each in parity["groups"]
                ],
                frozenset({1, 2, 3, 4}),
            ),
            Plot(
                draw_approval(parity, label),
                f"Approval by {label.lower()}; hollow: left out of the ratio.",
            ),
        ]  # fmt: skip
    return Section("Fairness by group", blocks)


def _leaks(contract: Contract, row: database.Row) -> Section:
    report = row.get("leaks")
    title = "Leaks"
    if report is None:
        return Section(title, [Text("No leak report was recorded.")])
    findings = [each for each in report["findings"] if each["verdict"] != "clean"]
    clean = len(report["findings"]) - len(findings)
    blocks: list[Block] = [
        Text(
            "What each column alone gives away of the outcome, among the loans that a model "
            f"judges. {clean} of {len(report['findings'])} columns are clean."
        )
    ]
    if findings:
        rows = [
            [
                _label(contract, each["column"]), each["role"], each["verdict"],
                _cell(each["judged"]["auc"]), _cell(each["judged"]["null_auc"]),
                ", ".join(str(level["level"]) for level in each["judged"]["near_pure"]),
                "; ".join(each["reasons"]),
            ]
            for each in findings
        ]  # fmt: skip
        head = ["column", "role", "verdict", "AUC", "AUC of nulls", "near-pure levels", "why"]
        blocks.append(Table(head, rows, frozenset({3, 4})))
    return Section(title, blocks)


def _data(row: database.Row) -> Section:
    data = row["training_data"]
    rows = [
        [
            each["batch_id"], str(each["revision"]), f"{each['applications']:,}",
            f"{each['defaults']:,}", each["sha256"][:12], each["source"],
        ]
        for each in data.get("batches", [])
    ]  # fmt: skip
    kept = (row["evaluation"] or {}).get("holdout")
    blocks: list[Block] = [
        Table(
            ["batch", "revision", "loans", "defaults", "sha256", "source"],
            rows,
            frozenset({1, 2, 3}),
        ),
        Text(f"Fingerprint of rows, contract and code: {row['fingerprint']}."),
    ]
    if kept is not None:
        blocks.append(
            Text(
                f"{kept['share']:.0%} of the loans are kept from training for ever, told by "
                f"{kept['rule']} with seed {kept['seed']}."
            )
        )
    return Section("Data", blocks)


def _limits(contract: Contract) -> Section:
    excluded = "; ".join(each.label for each in contract.exclusions)
    protected = ", ".join(_label(contract, name) for name in contract.protected)
    blocks: list[Block] = [
        Text(
            f"For nightly applications of {contract.title} alone, as they stand at application. "
            "Not for other products, for loans that run already, or for setting a price: it has "
            "seen none of that. The probability ranks and sorts applications; it is no reason by "
            "itself to decline one."
        ),
        Text(
            f"Approve below {contract.decision.approve_below:g}, decline from "
            f"{contract.decision.decline_from:g}; a person reviews what lies between."
        ),
    ]
    if excluded:
        blocks.append(
            Text(
                "Not judged, but referred to a person, because no model should judge them: "
                f"{excluded}. The figures above say nothing of these applications."
            )
        )
    if protected:
        blocks.append(
            Text(
                f"Protected and never seen by the model: {protected}. Other columns may stand in "
                "for them: this is what approval by group is watched for."
            )
        )
    return Section("Limits of use", blocks)


def _files(*rows: database.Row) -> Section:
    told = [[row["model_version"], row["artifact"], row["artifact_sha256"]] for row in rows]
    parameters = [
        [row["model_version"], name, "none" if value is None else str(value)]
        for row in rows
        for name, value in sorted(row["parameters"].items())
    ]
    return Section(
        "Artifacts and parameters",
        [
            Table(["version", "file", "sha256"], told),
            Text("Parameters, those that stand at their default included:"),
            Table(["version", "parameter", "value"], parameters),
        ],
    )


def _records(records: list[dict[str, Any]]) -> Table:
    """Return dictionaries of like keys as a table."""
    head = list(records[0])
    rows = [[_cell(each.get(name)) for name in head] for each in records]
    numbers = {
        place
        for place, name in enumerate(head)
        if all(isinstance(each.get(name), int | float) for each in records)
    }
    return Table([name.replace("_", " ") for name in head], rows, frozenset(numbers))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        return ", ".join(_cell(each) for each in value)
    return str(value)


def _label(contract: Contract, name: str) -> str:
    return contract.by_name[name].label
