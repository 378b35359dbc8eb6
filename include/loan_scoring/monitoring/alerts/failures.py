"""Keep alerts on failed stages: one per stage and batch, resolved when the stage succeeds."""

import json

from loan_scoring import database
from loan_scoring.database.session import Session

WITHOUT_SCORES = {"ingest", "score"}
"""Stages without which a night has no scores: their failure is critical."""

CHECK = ["check"]
"""The only failed task where a batch was refused; a quality alert usually says so already."""


def record_stage_result(
    session: Session, stage: str, batch_id: str | None, day: str, run: str, failed: list[str]
) -> None:
    """Open, update or resolve the alert on a stage, in one transaction.

    Args:
        batch_id: the batch of the run; None for a stage without batches.
        day: takes the place of the batch_id where there is none.
        run: the run's id in task_metrics.
        failed: task ids that failed after all retries; none if the run succeeded.
    """
    connection, place = session.connection, batch_id or day
    with database.transaction(connection):
        if not failed:
            database.execute(connection, "resolve_failure_alerts", stage=stage, batch_id=batch_id)
            return
        if failed == CHECK and database.row(connection, "select_refusing_alert", batch_id=place):
            return
        tasks = [f"{stage}.{task}" for task in failed]
        errors = database.rows(connection, "select_task_errors", run=run, tasks=tasks)
        lines = [row["error"] for row in errors]
        database.execute(
            connection,
            "upsert_failure_alert",
            stage=stage,
            batch_id=place,
            severity="critical" if stage in WITHOUT_SCORES else "warning",
            message=f"The stage {stage} failed for {place} at {', '.join(failed)}: "
            + ("; ".join(lines) or "see the task's log"),
            evidence=json.dumps({"run": run, "tasks": tasks, "errors": lines}),
        )
