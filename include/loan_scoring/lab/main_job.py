"""The main job on one machine: replay history and nights, let a real Airflow do all the work."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from loan_scoring import contract, database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import LoanScoringError, StateError
from loan_scoring.lab.progress import Progress
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.lab.source import resolve_source
from loan_scoring.local.airflow_client import AirflowClient
from loan_scoring.local.airflow_stack import STAGES, airflow_stack
from loan_scoring.local.airflow_status import attach_to_stack
from loan_scoring.local.postgres import embedded
from loan_scoring.monitoring.status import read_status, render_status

STALLED_SECONDS = 900.0


@dataclass(frozen=True)
class MainJob:
    """What `make run` brings in."""

    portfolio: str = "loan_default"
    nights: int = 5
    per_night: int = 5000
    scenario: str = "income_shock"
    drifted_nights: tuple[int, ...] = (4, 5)


def run_main_job(job: MainJob) -> str:
    """Do the job, or what is left of it, and return a summary read from Postgres.

    Raises:
        LoanScoringError: a task failed for good, or nothing moved for 15 minutes.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    of = contract.load(job.portfolio)
    started = time.monotonic()
    with _database() as url, open_session(of.portfolio, url) as session:
        _refuse_a_mixture(session)
        cut = replay_loans(
            of,
            source=None,
            nights=job.nights,
            per_night=job.per_night,
            scenarios={night: [job.scenario] for night in job.drifted_nights},
            landing=settings.landing_dir(of.portfolio),
        )
        progress = Progress(2 + 3 * len(cut.batch_ids) + len(_due_drops(cut)))
        progress.say(
            f"replay: {cut.source}, {cut.history_rows:,} loans of history, "
            f"{len(cut.batch_ids)} nights"
        )
        done = progress.reach(_done(session, cut))
        if done and _is_complete(session, cut):
            progress.say("every night is ingested, scored and compared already: nothing to do")
        else:
            with _airflow(of, url, progress) as client:
                _drive(session, client, cut, progress)
        progress.close()
        state = read_status(session)
    seconds = time.monotonic() - started
    return f"\n{render_status(state)}\n\n{_next(cut, seconds)}"


@contextmanager
def _database() -> Iterator[str]:
    """Give the portfolio's database; the embedded server, if it was off, is off again afterwards.

    Airflow's metadata stand in the embedded server, wherever the portfolio's database is.
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
def _airflow(of: Contract, url: str, progress: Progress) -> Iterator[AirflowClient]:
    """Use the Airflow that `make up` left on, else one of our own until the job is done."""
    running = attach_to_stack(settings.state_dir())
    if running is not None:
        progress.say(f"Airflow runs already at {running.url}")
        yield running
        return
    progress.say("starting Airflow: scheduler, DAG processor, triggerer, API server")
    with airflow_stack([of], url) as client:
        progress.say(f"Airflow is ready at {client.url}")
        yield client
        progress.say("stopping Airflow")


def _drive(session: Session, client: AirflowClient, cut: Replay, progress: Progress) -> None:
    """Trigger what is not there yet, and wait until asset events have done the rest."""
    portfolio = session.contract.portfolio
    since = datetime.now(UTC)
    for stage in STAGES:
        client.unpause(f"{portfolio}_{stage}")
    if not _is_learned(session):
        client.trigger(f"{portfolio}_ingest", conf={"batch_id": HISTORY})
    _wait(session, client, cut, progress, since, until=_is_learned)
    for row in _progress(session, cut):
        if not row["is_compared"]:
            client.trigger(f"{portfolio}_ingest", partition_key=row["batch_id"])
    _wait(session, client, cut, progress, since, until=lambda s: _is_published(s, cut))
    for drop_id, date in _due_drops(cut).items():  # outcomes follow their applications
        if drop_id not in _taken(session, cut):
            client.trigger(f"{portfolio}_outcomes", partition_key=date)
    _wait(session, client, cut, progress, since, until=lambda s: _is_complete(s, cut))


def _wait(
    session: Session,
    client: AirflowClient,
    cut: Replay,
    progress: Progress,
    since: datetime,
    *,
    until: Callable[[Session], bool],
) -> None:
    """Poll until it is so; stop where a run has failed for good, or nothing moves any more."""
    moved = time.monotonic()
    while True:
        if progress.reach(_done(session, cut)):
            moved = time.monotonic()
        if until(session):
            return
        for failed in client.dag_runs(states=["failed"]):
            is_ours = not failed.run_id.startswith("scheduled__")
            if is_ours and failed.ended_at is not None and failed.ended_at > since:
                raise LoanScoringError(_cause(client, failed.dag_id, failed.run_id))
        if time.monotonic() - moved > STALLED_SECONDS:
            raise LoanScoringError(
                f"nothing moved for {STALLED_SECONDS:.0f} s; see the logs in {client.log_folder}, "
                "then `make run` again: it goes on where it stopped"
            )
        time.sleep(0.5)


def _cause(client: AirflowClient, dag_id: str, run_id: str) -> str:
    tasks = client.failed_tasks(dag_id, run_id)
    if not tasks:
        return f"{dag_id} failed ({run_id}) without a failed task; see {client.log_folder}"
    return f"{dag_id}.{tasks[0].task_id} failed: {tasks[0].cause}; its log is {tasks[0].log}"


def _done(session: Session, cut: Replay) -> list[str]:
    """Return every step that is reached, as the lines that tell it."""
    lines = []
    if _lag(session) is not None:
        lines.append("history ingested")
    if _is_learned(session):
        lines.append("models fitted and judged")
    for row in _progress(session, cut):
        lines += [
            f"{row['batch_id']} {word}"
            for word, name in (
                ("ingested", "is_published"),
                ("scored", "is_scored"),
                ("compared with the baseline", "is_compared"),
            )
            if row[name]
        ]
    return lines + [f"{drop_id} taken in" for drop_id in sorted(_taken(session, cut))]


def _progress(session: Session, cut: Replay) -> list[database.Row]:
    with database.transaction(session.connection):
        return database.rows(session.connection, "select_progress", batch_ids=cut.batch_ids)


def _lag(session: Session) -> database.Row | None:
    with database.transaction(session.connection):
        return database.row(session.connection, "select_champion_lag")


def _is_learned(session: Session) -> bool:
    """Return whether models of the history were judged, so that a champion is there to go on with.

    Raises:
        LoanScoringError: the first models were refused, so that there is none.
    """
    lag = _lag(session)
    if lag is None or not lag["is_judged_on_it"]:
        return False
    if lag["model_version"] is None:
        raise LoanScoringError(
            "the models fitted on the history were refused by a gate; `loan-scoring models list` "
            "and `models show VERSION` say why, `models promote VERSION --comment WHY` overrules "
            "it: then `make run` again"
        )
    return True


def _is_published(session: Session, cut: Replay) -> bool:
    return all(row["is_published"] for row in _progress(session, cut))


def _is_complete(session: Session, cut: Replay) -> bool:
    return (
        _is_learned(session)
        and all(row["is_compared"] for row in _progress(session, cut))
        and _taken(session, cut) == _due_drops(cut).keys()
    )


def _due_drops(cut: Replay) -> dict[str, str]:
    """Return drop_id and date of the outcomes that land by the last night."""
    dates = {path.name.split(".")[0] for path in cut.outcome_files}
    return {f"outcomes-{date}": date for date in sorted(dates) if date <= cut.batch_ids[-1]}


def _taken(session: Session, cut: Replay) -> set[str]:
    with database.transaction(session.connection):
        found = database.rows(
            session.connection, "select_drops_taken", drop_ids=list(_due_drops(cut))
        )
    return {row["drop_id"] for row in found}


def _refuse_a_mixture(session: Session) -> None:
    """Refuse to lay real loans over generated ones, or the other way round."""
    with database.transaction(session.connection):
        known = database.row(session.connection, "select_current_batch", batch_id=HISTORY)
    if known is None:
        return
    found = resolve_source(session.contract, None)
    was_synthetic, is_synthetic = known["source"].startswith("synthetic"), found is None
    if was_synthetic != is_synthetic:
        words = {True: "synthetic", False: "real"}
        raise StateError(
            f"the database holds {words[was_synthetic]} loans, this run would bring "
            f"{words[is_synthetic]} ones ({found or 'no source can be read'}): "
            "`make clean` removes what is there"
        )


def _next(cut: Replay, seconds: float) -> str:
    return "\n".join(
        [
            f"data: {cut.source}",
            f"done in {seconds:.0f} s",
            "",
            "where to look next",
            "  make up                                      the Airflow UI on this state",
            "  .venv/bin/loan-scoring status                the database's URL for psql",
            "  .venv/bin/loan-scoring sql -c 'select * from batch_health'",
            "  README.md                                    queries to start with",
        ]
    )
