"""Run the main job on one machine: replay history and nights, and run all stages with Airflow."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from loan_scoring import contract, database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import LoanScoringError, StateError
from loan_scoring.lab.main_job_state import MainJobState
from loan_scoring.lab.progress import Progress
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.lab.source import resolve_source
from loan_scoring.local.airflow_client import AirflowClient, attach_to_stack
from loan_scoring.local.airflow_stack import STAGES, airflow_stack, stages_of
from loan_scoring.local.postgres import embedded
from loan_scoring.monitoring.status import read_status
from loan_scoring.monitoring.status_text import render_status

STALLED_SECONDS = 900.0


@dataclass(frozen=True)
class MainJob:
    """Settings of `make run`: portfolio, number and size of nights, drifted nights."""

    portfolio: str = "loan_default"
    nights: int = 5
    per_night: int = 5000
    """Number of loans in each night, or fewer if the labelled file has fewer."""
    drifted_nights: tuple[int, ...] = (4, 5)
    """Nights with the contract's first scenario that changes a column, if there is one."""


def run_main_job(job: MainJob) -> str:
    """Run the steps of the main job that are not done yet. Return a summary for the terminal.

    Raises:
        StateError: the run would mix real and generated loans in one database.
        LoanScoringError: a task failed and has no retry left, no step ended for STALLED_SECONDS,
            or a gate refused the first models.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    loaded = contract.load(job.portfolio)
    started = time.monotonic()
    with _database_url() as url, open_session(loaded.portfolio, url, migrates=True) as session:
        _refuse_mixed_sources(session)
        replay = replay_loans(
            loaded,
            source=None,
            nights=job.nights,
            per_night=job.per_night,
            scenarios=dict.fromkeys(job.drifted_nights, first_scenario(loaded)),
            landing=settings.landing_dir(loaded.portfolio),
            fits=True,
        )
        state = MainJobState(session, replay)
        with closing(Progress(state.count_steps())) as progress:
            progress.say(
                f"replay: {replay.source}, {replay.history_rows:,} loans of history, "
                f"{len(replay.batch_ids)} nights"
            )
            done = progress.reach(state.done_steps())
            if done and state.is_complete():
                progress.say("every night is ingested, scored and compared already: nothing to do")
            else:
                with _airflow(loaded, url, progress) as client:
                    _drive(client, state, progress)
        status = render_status(read_status(session))
    return f"\n{status}\n\n{_next_steps(replay, loaded.portfolio, time.monotonic() - started)}"


def first_scenario(loaded: Contract) -> list[str]:
    """Return the name of the first scenario that changes a column, in a list, or an empty list."""
    named = [name for name, each in loaded.replay.scenarios.items() if each.column is not None]
    return named[:1]


@contextmanager
def _database_url() -> Iterator[str]:
    """Yield the URL of the portfolio's database while the embedded server runs.

    The embedded server is started even if the portfolio's database is on another server, because
    Airflow keeps its own tables in the embedded server. At the end the embedded server is stopped,
    unless it was already running before.
    """
    server = embedded()
    was_running = server.is_running()
    server.start()
    try:
        yield settings.database_url() or server.url("loan_scoring")
    finally:
        if not was_running:
            server.stop()


@contextmanager
def _airflow(loaded: Contract, url: str, progress: Progress) -> Iterator[AirflowClient]:
    """Yield a client of a running Airflow.

    If `make up` has started an Airflow, use that Airflow. Otherwise start an Airflow for this job
    and stop that Airflow at the end.
    """
    running = attach_to_stack(settings.state_dir())
    if running is not None:
        progress.say(f"Airflow runs already at {running.url}")
        yield running
        return
    progress.say("starting Airflow: scheduler, DAG processor, triggerer, API server")
    with airflow_stack([loaded], url) as client:
        progress.say(f"Airflow is ready at {client.url}")
        yield client
        progress.say("stopping Airflow")


def _drive(client: AirflowClient, state: MainJobState, progress: Progress) -> None:
    """Trigger ingestion of missing batches and outcomes, and wait until the job is complete.

    The DAGs of later stages need no trigger, because asset events start these DAGs.
    """
    portfolio = state.session.contract.portfolio
    since = datetime.now(UTC)

    def wait(until: Callable[[], bool]) -> None:
        _wait(client, state, progress, since, until)

    for stage in stages_of(state.session.contract):
        client.unpause(f"{portfolio}_{stage}")
    if not state.is_trained():
        client.trigger(f"{portfolio}_ingest", conf={"batch_id": HISTORY})
    wait(state.is_trained)
    wait(state.is_watched)
    for batch_id in state.uncompared_nights():
        client.trigger(f"{portfolio}_ingest", partition_key=batch_id)
    wait(state.is_published)
    # Ingest outcomes after all applications, because outcomes of unknown loans go to quarantine.
    for drop_id, date in state.due_drops().items():
        if drop_id not in state.ingested_drops():
            client.trigger(f"{portfolio}_outcomes", partition_key=date)
    wait(state.is_complete)


def _wait(
    client: AirflowClient,
    state: MainJobState,
    progress: Progress,
    since: datetime,
    until: Callable[[], bool],
) -> None:
    """Report finished steps until `until` returns True.

    Args:
        client: client of Airflow, used to find failed DAG runs.
        state: state of the job, read from the tables.
        progress: progress report to which finished steps are added.
        since: start of this job. DAG runs that failed before this time are ignored.
        until: function that returns True when the wait may end.

    Raises:
        LoanScoringError: a DAG run that was not started by a schedule has failed, or no step ended
            for STALLED_SECONDS.
    """
    moved = time.monotonic()
    ours = {f"{state.session.contract.portfolio}_{stage}" for stage in STAGES}
    while True:
        if progress.reach(state.done_steps()):
            moved = time.monotonic()
        if until():
            return
        for failed in client.dag_runs(states=["failed"]):
            is_ours = failed.dag_id in ours and not failed.run_id.startswith("scheduled__")
            if is_ours and failed.ended_at is not None and failed.ended_at > since:
                raise LoanScoringError(_failure(client, failed.dag_id, failed.run_id))
        if time.monotonic() - moved > STALLED_SECONDS:
            raise LoanScoringError(
                f"nothing moved for {STALLED_SECONDS:.0f} s; see the logs in {client.log_folder}, "
                "then run `make run` again: it continues where it stopped"
            )
        time.sleep(0.5)


def _failure(client: AirflowClient, dag_id: str, run_id: str) -> str:
    """Return one line of text that names a DAG run's failed task, the cause and the log file."""
    tasks = client.failed_tasks(dag_id, run_id)
    if not tasks:
        return f"{dag_id} failed ({run_id}) without a failed task; see {client.log_folder}"
    return f"{dag_id}.{tasks[0].task_id} failed: {tasks[0].cause}; its log is {tasks[0].log}"


def _refuse_mixed_sources(session: Session) -> None:
    """Raise StateError if the job would mix real and generated loans in one database."""
    with database.transaction(session.connection):
        known = database.row(session.connection, "select_current_batch", batch_id=HISTORY)
    if known is None:
        return
    source = resolve_source(session.contract, None)
    was_synthetic, is_synthetic = known["source"].startswith("synthetic"), source is None
    if was_synthetic != is_synthetic:
        words = {True: "synthetic", False: "real"}
        raise StateError(
            f"the database holds {words[was_synthetic]} loans, but this run would add "
            f"{words[is_synthetic]} ones ({source or 'no source can be read'}); "
            "run `make clean` to remove the old ones"
        )


def _next_steps(replay: Replay, portfolio: str, seconds: float) -> str:
    of = "" if portfolio == MainJob.portfolio else f" --portfolio {portfolio}"
    return "\n".join(
        [
            f"data: {replay.source}",
            f"done in {seconds:.0f} s",
            "",
            "where to look next",
            "  make up                                      the Airflow UI on this state",
            f"  .venv/bin/loan-scoring status{of:<16} the database's URL for psql",
            f"  .venv/bin/loan-scoring sql{of} -c 'table batch_health'",
            "  docs/queries.md                              queries to start with",
        ]
    )
