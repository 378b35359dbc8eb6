"""Publish scores of a lake in Postgres, so that its readers, the desk and metrics have them."""

import time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.applications import read_applications
from loan_scoring.database.lake import file_system
from loan_scoring.database.partitions import partition_name
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.scoring.batch import ScoringPlan, plan_scoring, publish_scores
from loan_scoring.scoring.mini_batch import scoring_run

VERSIONS = ("propensity_version", "personas_version")


def plan_publication(session: Session, batch_id: str) -> ScoringPlan:
    """Plan the run of a batch that is to get its scores from a lake. Return the plan.

    Raises:
        StateError: the batch is not published, there is no champion, or the batch is to have a
            canary.
    """
    planned = plan_scoring(session, batch_id)
    run = scoring_run(session, planned.scoring_run_id)
    if run["canary"] is not None:
        raise StateError(
            f"{run['scoring_run_id']} has a canary, which the lake does not know; "
            f"run score --batch {batch_id} without --applications"
        )
    return planned


def publish_from_lake(session: Session, batch_id: str, folder: str, by: str | None = None) -> str:
    """Write a batch's scores from a lake to its planned run, and publish it. Return the run's id.

    Each mini-batch is written in one transaction, and skipped if it is scored.

    Args:
        session: session on the portfolio.
        batch_id: batch, which was ingested from the applications that were scored.
        folder: folder of the scores, as `score_lake` returns it.
        by: who, such as `cli:USER`.

    Raises:
        StateError: the batch is not published, has other loans than the lake, is to have a canary,
            or the scores are of other models than the champions.
    """
    planned = plan_publication(session, batch_id)
    run = scoring_run(session, planned.scoring_run_id)
    system, path = file_system(folder.replace("s3a://", "s3://", 1))
    scores = pa.dataset.dataset(path, filesystem=system, format="parquet", partitioning=None)
    for mini_batch in planned.mini_batches if planned.applications else []:
        _copy_mini_batch(session, run, mini_batch, scores)
    publish_scores(session, planned.scoring_run_id, by)
    return planned.scoring_run_id


def _copy_mini_batch(
    session: Session, run: database.Row, mini_batch: int, scores: "pa.dataset.Dataset"
) -> None:
    started, run_id, batch_id = time.monotonic(), run["scoring_run_id"], run["batch_id"]
    with database.transaction(session.connection):
        found = database.row(
            session.connection, "lock_mini_batch", scoring_run_id=run_id, mini_batch=mini_batch
        )
        if found is None or found["state"] == "scored":
            return
        first, last = found["first_loan_id"], found["last_loan_id"]
        key = pc.field(KEY)
        rows = scores.to_table(filter=(key >= first) & (key <= last)).sort_by(KEY)
        known = read_applications(session, batch_id, run["revision"], [], (first, last))
        if rows.column(KEY).to_pylist() != known.column(KEY).to_pylist():
            raise StateError(
                f"the lake has {rows.num_rows} scores of loans {first} to {last}, and batch "
                f"{batch_id} {known.num_rows} applications, not all the same; ingest the very "
                "applications that were scored, then run again"
            )
        for name in VERSIONS:
            others = {*rows.column(name).to_pylist()} - {run[name]}
            if others:
                raise StateError(
                    f"the lake's scores are of {', '.join(sorted(others))}, and the champion is "
                    f"{run[name]}; run again"
                )
        written = pa.table(
            {
                "scoring_run_id": pa.repeat(run_id, rows.num_rows),
                "batch_id": pa.repeat(batch_id, rows.num_rows),
                "mini_batch": pa.repeat(mini_batch, rows.num_rows),
                **{name: rows.column(name) for name in rows.column_names},
            }
        )
        partition = partition_name("scores", batch_id)
        database.copy_in(session.connection, partition, written.column_names, written)
        referred = rows.num_rows - rows.column("exclusion_reason").null_count
        database.execute(
            session.connection,
            "update_mini_batch_scored",
            scoring_run_id=run_id,
            mini_batch=mini_batch,
            scored=rows.num_rows - referred,
            referred=referred,
            seconds=time.monotonic() - started,
        )
