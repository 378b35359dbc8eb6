"""Keep alerts on stages that failed for good: one a stage and batch, resolved once it goes well."""

import json

from loan_scoring import database
from loan_scoring.database.session import Session

WITHOUT_SCORES = {"ingest", "score"}
"""Stages whose failure leaves a night without scores: critical."""

CHECK = ["check"]
"""What fails where a batch is refused; mostly an alert on its quality says so already."""


def record_stage_result(
    session: Session, stage: str, batch_id: str | None, day: str, run: str, failed: list[str]
) -> None:
    """Open, bring up to date or resolve the alert on a stage, in one transaction.

    Args:
        batch_id: the batch that it worked on; None for a stage without batches.
        day: stands for the batch where there is none.
        run: the run's id in task_metrics.
        failed: its tasks that failed for good, by the name that the DAG has for them.
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
            + ("; ".join(lines) or "the task's log says why"),
            evidence=json.dumps({"run": run, "tasks": tasks, "errors": lines}),
        )
