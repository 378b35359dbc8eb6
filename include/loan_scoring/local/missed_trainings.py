"""Forget trainings whose time passed while this machine's Airflow was off."""

from contextlib import closing

from loan_scoring.errors import DatabaseError

STARTED_AT = "LOAN_SCORING_STARTED_AT"
"""Variable with which the timetable of trainings knows when this Airflow was started."""
_FORGET = """
UPDATE dag
SET next_dagrun = NULL, next_dagrun_create_after = NULL,
    next_dagrun_data_interval_start = NULL, next_dagrun_data_interval_end = NULL
WHERE dag_id LIKE '%\\_train' AND next_dagrun_create_after <= now()
"""


def forget_missed_trainings(metadata_url: str) -> int:
    """Take back the times of trainings that are past. Return how many DAGs had one.

    Airflow keeps the next time of a DAG in its database, and starts a run for it as soon as the
    scheduler is back. The parsing of the DAG then sets the next time anew: see `ClockTimetable`.

    Args:
        metadata_url: URL of Airflow's database. No scheduler may run on it.

    Raises:
        DatabaseError: the database cannot be used.
    """
    import psycopg2  # here, because DAG files read STARTED_AT and must be cheap to parse

    try:
        with (
            closing(psycopg2.connect(metadata_url, connect_timeout=10)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(_FORGET)
            return int(cursor.rowcount)
    except psycopg2.Error as error:
        first = str(error).strip().splitlines()[0]
        raise DatabaseError(f"Airflow's metadata database cannot be used: {first}") from error
