"""Open an alert when a stage fails for a batch, and resolve the alert when the stage succeeds."""

import json

from loan_scoring import database
from loan_scoring.database.session import Session

WITHOUT_SCORES = {"ingest", "score"}
"""The stages whose failure leaves a night without scores, so that the alert is critical."""

CHECK = ["check"]
"""Ids of the failed tasks if a run refused a batch.

A quality alert usually reports the refused batch already. Then no second alert is opened.
"""


def record_stage_result(
    session: Session, stage: str, batch_id: str | None, day: str, run: str, failed: list[str]
) -> None:
    """Open, update or resolve the alert on a stage after a run, in one transaction.

    Args:
        stage: name of the stage.
        batch_id: batch of the run. None for a stage without batches.
        day: day of the run, used in the alert if there is no batch_id.
        run: id of the run in table `task_metrics`.
        failed: ids of the tasks that failed after all retries. Empty if the run succeeded.
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
