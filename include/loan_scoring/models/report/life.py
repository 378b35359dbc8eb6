"""Write the chapters on monitoring, on what happened since the fit, and on deployment."""

import platform
from importlib.metadata import PackageNotFoundError, version

from loan_scoring import __version__
from loan_scoring.database.files import read_artifact
from loan_scoring.errors import StateError
from loan_scoring.models.card.blocks import Block, Heading, Table, Text
from loan_scoring.models.report.facts import Facts
from loan_scoring.models.report.words import number, policy_table, rate, table, when

NIGHTS = 60
"""The last batches that are listed."""

RUNTIME = ("numpy", "scipy", "scikit-learn", "xgboost-cpu", "skops", "pyarrow", "pandas",
           "psycopg2-binary", "apache-airflow")  # fmt: skip
"""The packages that compute, load or start a scoring."""


def drift_policy(facts: Facts) -> list[Block]:
    """Return when drift is found, whom it is reported to, and when new models are fitted."""
    contract = facts.contract
    told = [[each.name, each.kind, each.least_severity] for each in contract.notifications]
    return [
        Text(
            "Each batch is compared with the baseline of the training, and its performance with "
            "what was expected of the same loans. A cause that lasts asks for new models. If they "
            f"pass every gate, mode {contract.promotion.mode} decides: auto puts them into use, "
            "hold asks a person."
        ),
        Heading("Limits of drift"),
        policy_table(contract.monitoring, "monitoring"),
        Heading("Limits of performance"),
        policy_table(contract.performance, "performance"),
        Heading("Retraining"),
        policy_table(
            contract.retraining,
            "retraining",
            **{
                "schedules.train": contract.schedules.train,
                "schedules.timezone": contract.schedules.timezone,
            },
        ),
        Heading("Who is told"),
        table(["channel", "kind", "from"], told)
        if told
        else Text("No channel is declared: alerts are on the page Alerts only."),
    ]


def what_happened(facts: Facts) -> list[Block]:
    """Return batches with estimated and realised figures, alerts, segments and overrides."""
    if not facts.runs:
        return [Text("No batch has current scores of this version.")]
    scored = sum(each["scored"] or 0 for each in facts.runs)
    referred = sum(each["referred"] or 0 for each in facts.runs)
    first, last = facts.runs[0]["batch_id"], facts.runs[-1]["batch_id"]
    return [
        Text(
            f"{len(facts.runs):,} batches, {first} to {last}, with {scored:,} scored and "
            f"{referred:,} referred applications."
        ),
        Heading(f"Batches (the last {min(NIGHTS, len(facts.runs))})"),
        _batches(facts),
        Heading("Segments"),
        table(
            ["by", "batches", "segments", "with outcomes", "stand out"],
            [
                [e["segmented_by"], e["batches"], e["segments"], e["with_outcomes"], e["stand_out"]]
                for e in facts.segments
            ],
            {1, 2, 3, 4},
        )
        if facts.segments
        else Text("No segment was measured."),
        Heading("Alerts"),
        _alerts(facts) if facts.alerts else Text("No alert on these batches."),
        Heading("Decisions of people"),
        _reviews(facts) if facts.reviews else Text("No person has decided on these scores."),
    ]


def _batches(facts: Facts) -> Table:
    rows = [
        [
            each["batch_id"], f"{each['scored'] or 0:,}", f"{each['referred'] or 0:,}",
            rate(each["approval_rate"]), rate(each["estimated_default_rate"]),
            rate(each["realised_default_rate"]), number(each["estimated_auc"]),
            number(each["realised_auc"]), _interval(each),
            number(each["realised_calibration_slope"], 3),
        ]
        for each in facts.runs[-NIGHTS:]
    ]  # fmt: skip
    head = [
        "batch", "scored", "referred", "approved", "defaults expected", "defaults", "AUC expected",
        "AUC", "95 % interval", "calibration slope",
    ]  # fmt: skip
    return table(head, rows, set(range(1, 10)))


def _interval(run: dict[str, float | None]) -> str:
    if run["realised_auc_lower"] is None:
        return ""
    return f"{number(run['realised_auc_lower'])} to {number(run['realised_auc_upper'])}"


def _alerts(facts: Facts) -> Table:
    return table(
        ["raised (UTC)", "first batch", "last", "cause", "severity", "state", "message"],
        [
            [
                when(e["raised_at"]), e["batch_id"], e["last_batch_id"], e["kind"], e["severity"],
                f"{e['state']} by {e['changed_by']}", e["message"],
            ]
            for e in facts.alerts
        ],
    )  # fmt: skip


def _reviews(facts: Facts) -> Table:
    return table(
        ["against the model", "loans", "with an outcome", "defaulted"],
        [
            [
                each["override"], f"{each['loans']:,}", f"{each['outcomes']:,}",
                rate(each["defaults"] / each["outcomes"] if each["outcomes"] else None),
            ]
            for each in facts.reviews
        ],
        {1, 2, 3},
    )  # fmt: skip


def deployment(facts: Facts) -> list[Block]:
    """Return artifacts with their hashes, the runtime, DAGs with their tasks, and the way back."""
    contract, back = facts.contract, facts.replaced
    target = None if back is None else back["replaces"]
    schedules = contract.schedules.model_dump()
    return [
        Text(
            f"Batch scoring of portfolio {contract.portfolio}: mini-batches of at most "
            f"{contract.scoring.mini_batch_rows:,} rows, scores in table scores, those that count "
            "in view current_scores. Approve below "
            f"{contract.decision.approve_below:g}, decline from {contract.decision.decline_from:g}."
        ),
        Heading("Artifacts, as they are now"),
        table(["file", "recorded sha256", "now"], _artifacts(facts)),
        Heading("Runtime"),
        Text(
            f"The model was fitted by loan-scoring {facts.propensity['code_version']}. This report "
            "was written by:"
        ),
        table(["package", "version"], runtime()),
        Heading("Stages on record (DAG, or command of the same name)"),
        table(
            ["DAG", "schedule", "tasks", "last (UTC)", "median seconds", "longest", "peak memory"],
            [
                [
                    f"{contract.portfolio}_{each['stage']}", schedules.get(each["stage"]),
                    f"{each['tasks']:,}", when(each["last_finished_at"]),
                    f"{each['seconds_median']:.1f}", f"{each['seconds_max']:.1f}",
                    f"{each['peak_memory_bytes'] / 2**20:,.0f} MiB",
                ]
                for each in facts.stages
            ],
            {2, 4, 5, 6},
        ),
        Heading("Rollback"),
        Text(
            f"loan-scoring models rollback --portfolio {contract.portfolio} puts {target} back."
            if target
            else f"{facts.version} replaced no other model on record: there is none to go back to."
        ),
    ]  # fmt: skip


def _artifacts(facts: Facts) -> list[list[str]]:
    """Return each artifact with its recorded hash, and whether the file has this hash now."""
    rows = []
    for row in (facts.propensity, facts.personas):
        for name, sha256 in (
            (row["artifact"], row["artifact_sha256"]),
            (row["baseline_artifact"], row["baseline_sha256"]),
        ):
            if name is None:
                continue
            try:
                read_artifact(facts.contract.portfolio, name, sha256)
                state = "the same"
            except StateError as error:
                state = str(error)
            rows.append([name, sha256, state])
    return rows


def runtime() -> list[list[str]]:
    """Return the versions of Python and of the packages that scoring needs, as installed here."""
    rows = [["loan-scoring", __version__], ["python", platform.python_version()]]
    for name in RUNTIME:
        try:
            rows.append([name, version(name)])
        except PackageNotFoundError:
            rows.append([name, "not installed"])
    return [*rows, ["system", f"{platform.system()} {platform.machine()}"]]
