"""Define the DAG `scans`, which reads scanned forms and gives their applications to `ingest`."""

import logging

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

from loan_scoring.contract import Contract
from loan_scoring_tasks import task_session
from loan_scoring_wiring import by_clock, contracts, stage_dag

log = logging.getLogger(__name__)

# What is read, landed and taken is in the database and the landing folder. So it does no harm if a
# run is left out, starts twice, or is killed: the next one goes on where it ended.


def build(contract: Contract) -> DAG:
    """Return the DAG `scans` of a portfolio that has a form."""
    portfolio = contract.portfolio
    with stage_dag(
        contract,
        "scans",
        __file__,
        schedule=by_clock(contract, contract.schedules.scans),
        max_active_runs=1,
        doc_md=f"Reads new scanned forms of **{contract.title}** from the landing folder, and "
        "writes what is certain or corrected as the file that `ingest` takes in the night. Starts "
        "`ingest` again for a date that is over, if a correction came later. May run at any time.",
    ) as dag:

        @task
        def find() -> list[str]:
            """Return the dates with something new: files, or corrected pages."""
            from loan_scoring.scans.records import dates_to_read

            with task_session(portfolio) as (session, work):
                dates = dates_to_read(session)
                work.rows = len(dates)
            return dates

        @task(max_active_tis_per_dag=2)
        def read(date: str) -> str:
            """Read the new pages of a date, and land what is certain. Return the date.

            Each page is recorded in a transaction of its own. Pages that are refused, or wait for a
            person, are in the log and on the desk, and hinder no other.
            """
            from loan_scoring.scans.batch import read_scans, summary

            with task_session(portfolio, date) as (session, work):
                done = read_scans(session, date, f"airflow:{dag.dag_id}")
                work.rows = done.passed + done.waiting + done.corrected
            log.info("%s", summary(done))
            return date

        @task(trigger_rule="none_failed")
        def watch(dates: list[str]) -> int:
            """Compare the scans with training, and alert on pages that are left."""
            from loan_scoring.monitoring.scans import watch_scans

            with task_session(portfolio) as (session, _):
                return sum(bool(watch_scans(session, date)) for date in dates)

        @task(trigger_rule="all_done")
        def late(dates: list[str]) -> list[dict]:
            """Return the runs of `ingest` for dates that are over and whose file is new."""
            from loan_scoring.scans.landing import files_to_ingest

            with task_session(portfolio) as (session, _):
                files = files_to_ingest(session, dates)
            if not files:
                raise AirflowSkipException("nothing new of a date that is over")
            return [
                {
                    # One run for each content, also if this task is killed and runs again.
                    "trigger_run_id": f"scans__{each['batch_id']}__{each['sha256'][:16]}",
                    "conf": {"batch_id": each["batch_id"]},
                }
                for each in files
            ]

        dates = find()
        runs = late(dates)
        read.expand(date=dates) >> [runs, watch(dates)]
        TriggerDagRunOperator.partial(
            task_id="ingest",
            trigger_dag_id=f"{portfolio}_ingest",
            skip_when_already_exists=True,
        ).expand_kwargs(runs)
    return dag


for each in contracts():
    if each.scan_form is not None:
        globals()[f"{each.portfolio}_scans"] = build(each)
