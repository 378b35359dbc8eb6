"""Read the template values of the page of one batch."""

from collections.abc import Mapping, Sequence
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.contract.grades import BY_GRADE
from loan_scoring.contract.outcomes import ALL_LOANS
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring_web.pages import plots
from loan_scoring_web.pages.batch_plots import draw_groups, draw_scores
from loan_scoring_web.pages.compared import compared_columns
from loan_scoring_web.pages.grades import backtest_grades
from loan_scoring_web.pages.overview import amount_unit
from loan_scoring_web.pages.reviews import read_reviews_section
from loan_scoring_web.pages.words import shares_of_night


def read_batch_page(
    session: Session, batch_id: str, persons: tuple[str, ...] | None = ()
) -> dict[str, Any] | None:
    """Return the template values of the page of a batch.

    Return None if there is no such batch, or if the batch is `history`.

    Args:
        session: database session that reads.
        batch_id: batch of the page.
        persons: names of the persons whose decisions the user may see by name. None means all.
    """
    connection, contract = session.connection, session.contract
    nights = database.rows(connection, "select_nights", nights=1, until=batch_id)
    if not nights or nights[0]["batch_id"] != batch_id:
        return None
    night = nights[0]
    runs = database.rows(connection, "select_batch_runs", batch_id=batch_id)
    for run in runs:
        run["dag_id"] = f"{contract.portfolio}_{run['stage']}"
        run["is_of_airflow"] = not run["run"].startswith("cli-")
    expectations = database.rows(
        connection, "select_quality_of_revision", batch_id=batch_id, revision=night["revision"]
    )
    usual = {
        each["expectation"].removeprefix("quarantined:"): each["limits"].get("usual_share")
        for each in expectations
    }
    quarantined = database.rows(connection, "select_quarantine_counts", batch_id=batch_id)
    for rule in quarantined:
        rule["usual_share"] = usual.get(rule["rule"])
    return {
        "night": night,
        "shares": shares_of_night(night),
        "neighbours": database.row(connection, "select_neighbours", batch_id=batch_id),
        "revisions": database.rows(connection, "select_batch_revisions", batch_id=batch_id),
        "publications": database.rows(connection, "select_publications", batch_id=batch_id),
        "runs": runs,
        "alerts": database.rows(
            connection, "select_alerts", batch_id=batch_id, alert_id=None, alerts=20
        ),
        "failed": [each for each in expectations if not each["is_success"]],
        "judged": len(expectations),
        "files": database.rows(
            connection, "select_batch_files", batch_id=batch_id, revision=night["revision"]
        ),
        "rules": [each for each in quarantined if each["revision"] == night["revision"]],
        "gone": database.rows(connection, "select_dropped", batch_id=batch_id),
        "unit": amount_unit(contract),
        "reviews": read_reviews_section(session, batch_id, persons),
        **(_scored(session, night) if night["scoring_run_id"] else {}),
    }


def _scored(session: Session, night: database.Row) -> dict[str, Any]:
    """Return the template values that a batch has only after scoring, such as drift and fairness.

    Raises:
        StateError: the model that scored the batch is not in table `models`.
    """
    connection, contract = session.connection, session.contract.under(night["policy"])
    run = {"scoring_run_id": night["scoring_run_id"]}
    model = database.row(
        connection, "select_model_baseline", model_version=night["propensity_version"]
    )
    if model is None:
        raise StateError(f"model {night['propensity_version']} is missing in table models")
    counted = {
        row["feature"]: row for row in database.rows(connection, "select_distributions", **run)
    }
    performance = database.rows(connection, "select_performance_of_run", **run)
    decisions = _decisions(counted)
    personas = database.row(
        connection, "select_persona_groups", model_version=night["personas_version"]
    )
    return {
        "features": compared_columns(
            contract,
            model,
            counted,
            database.rows(connection, "select_drift_of_run", **run),
        ),
        "scores_plot": draw_scores(contract, model, counted),
        "decisions": decisions,
        "in_effect": _in_effect(session, night, decisions),
        "segments": _segments(contract, database.rows(connection, "select_segments_of_run", **run)),
        "personas": _personas(counted, performance, personas or {"metrics": {}}),
        "measured": {
            (row["metric"], row["basis"]): row for row in performance if row["segment"] == "all"
        },
        "fairness": _fairness(contract, database.rows(connection, "select_fairness_of_run", **run)),
        "outcome_sums": _outcome_sums(database.rows(connection, "select_sums_of_run", **run)),
        "funded": "loans" if contract.outcomes.known_for == ALL_LOANS else "funded loans",
        "policy": contract.decision,
    }


def _outcome_sums(sums: list[database.Row]) -> list[dict[str, Any]]:
    """Return a table row for each test of outcomes: what was observed and what was expected.

    The default rate's numbers of defaults become shares of the loans.
    """
    rows = []
    for each in sums:
        is_rate = each["test"] == "default_rate"
        unit = each["loans"] if is_rate else 1
        over = max(each["loans_over_nights"] or 1, 1) if is_rate else 1
        rows.append(
            each
            | {
                "label": "Default rate" if is_rate else "AUC",
                "is_rate": is_rate,
                "observed": each["observed"] / unit,
                "expected": each["expected"] / unit,
                "observed_over_nights": (each["observed_over_nights"] or 0) / over,
                "expected_over_nights": (each["expected_over_nights"] or 0) / over,
            }
        )
    return rows


def _decisions(counted: Mapping[str, database.Row]) -> list[dict[str, Any]]:
    counts = counted.get("decision", {}).get("counts", {})
    total = sum(counts.values())
    return [
        {"decision": name, "loans": counts.get(name, 0), "share": counts.get(name, 0) / total}
        for name in plots.DECISIONS
        if total
    ]


def _in_effect(
    session: Session, night: database.Row, decisions: Sequence[Mapping[str, Any]]
) -> dict[str, int] | None:
    """Return how many loans are approved and wait, by the policy alone and after review.

    Return None if the decisions of the batch are not on record.
    """
    if not decisions:
        return None
    found = database.rows(
        session.connection,
        "select_decisions_in_effect",
        batch_id=night["batch_id"],
        scoring_run_id=night["scoring_run_id"],
    )
    of_policy = {each["decision"]: each["loans"] for each in decisions}

    def moved(of: tuple[str, ...], to: tuple[str, ...]) -> int:
        return sum(
            row["loans"]
            for row in found
            if row["decision_of_policy"] in of and row["decision"] in to
        )

    left, ends = ("review", "refer"), ("approve", "decline")
    approved = of_policy["approve"] - moved(("approve",), ("decline",))
    return {
        "loans": sum(of_policy.values()),
        "by_policy": of_policy["approve"],
        "left": of_policy["review"] + of_policy["refer"],
        "approved_by_people": moved(left, ("approve",)),
        "declined_by_people": moved(left, ("decline",)),
        "waiting": of_policy["review"] + of_policy["refer"] - moved(left, ends),
        "approved": approved + moved((*left, "decline"), ("approve",)),
    }


def _segments(contract: Contract, rows: Sequence[database.Row]) -> list[dict[str, Any]]:
    """Return the label and the segments of each column, and the longest limit of a calibration."""
    found = []
    for name in dict.fromkeys(row["segmented_by"] for row in rows):
        column = contract.by_name.get(name)
        of_column = [row for row in rows if row["segmented_by"] == name]
        p_values, overall = backtest_grades(of_column if name == BY_GRADE else [])
        for row in of_column:
            row["name"] = column.shown_level(row["segment"]) if column else row["segment"]
            row["p_value"] = p_values.get(row["segment"])
        label = column.label if column else name.replace("_", " ").capitalize()
        found.append({"label": label, "rows": of_column, "hosmer_lemeshow": overall})
    return found


def _personas(
    counted: Mapping[str, database.Row], performance: list[database.Row], model: database.Row
) -> list[dict[str, Any]]:
    """Return a table row for each persona, in the same order for every batch of a model.

    The persona with the lowest default rate at training is first.

    A row has the number and share of loans in the batch, the share and default rate at training,
    and the estimated approval rate and loss.
    """
    row = counted.get("persona")
    counts = row["counts"] if row else {}
    total = sum(counts.values()) or 1
    known = {each["name"]: each for each in model["metrics"].get("personas", [])}
    found = {
        (each["segment"], each["metric"]): each["value"]
        for each in performance
        if each["basis"] == "estimated"
    }
    return [
        {
            "name": name,
            "loans": loans,
            "share": loans / total,
            "share_at_training": known.get(name, {}).get("share"),
            "default_rate": known.get(name, {}).get("default_rate"),
            "approval_rate": found.get((name, "approval_rate")),
            "loss": found.get((name, "loss_of_approved")),
        }
        for name, loans in sorted(
            counts.items(),
            key=lambda each: (known.get(each[0], {}).get("default_rate") or 0.0, each[0]),
        )
    ]


def _fairness(contract: Contract, rows: list[database.Row]) -> list[dict[str, Any]]:
    """Return the label, fairness metrics, groups and plot of each protected attribute.

    A metric has the key `in_effect`, which is the metric after review, or None if nobody has
    decided a loan.
    """
    after = {(row["attribute"], row["metric"]): row for row in rows if row["decisions"] != "policy"}
    policy = [row for row in rows if row["decisions"] == "policy"]
    found = []
    for attribute in dict.fromkeys(row["attribute"] for row in policy):
        metrics = [
            row | {"in_effect": after.get((attribute, row["metric"]))}
            for row in policy
            if row["attribute"] == attribute
        ]
        column = contract.by_name.get(attribute)
        found.append(
            {
                "label": column.label if column else attribute,
                "metrics": metrics,
                "groups": metrics[0]["groups"],
                "plot": draw_groups(metrics[0]["groups"]),
            }
        )
    return found
