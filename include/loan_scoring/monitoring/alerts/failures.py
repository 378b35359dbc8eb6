"""Open an alert when a stage fails for a batch, and resolve the alert when the stage succeeds."""

import json

from loan_scoring import database
from loan_scoring.database.session import Session

WITHOUT_SCORES = {"ingest", "score"}
"""Stages without which a night has no scores. An alert on the failure of such a stage is critical.

The failure of any other stage is a warning.
"""

CHECK = ["check"]
"""Ids of the failed tasks of a run in which only the check of the batch failed.

If a quality alert already reports why the batch was refused, no second alert is opened.
"""


def record_stage_result(
    session: Session, stage: str, batch_id: str | None, day: str, run: str, failed: list[str]
) -> None:
    """Open, update or resolve the alert on a stage after a run, in one transaction.

    A run without failed tasks resolves the alert on the stage and the batch. If the stage has no
    batches, such a run resolves all alerts on the stage.

    Args:
        stage: name of the stage.
        batch_id: batch of the run. None for a stage without batches.
        day: day of the run. The alert names this day if there is no batch_id.
        run: id of the run, as in column `run` of table `task_metrics`.
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
