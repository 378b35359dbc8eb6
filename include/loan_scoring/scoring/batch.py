"""Score a batch exactly once.

The steps are: plan the mini-batches, score each mini-batch in one transaction, and publish all
scores together.
"""

import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from loan_scoring import database
from loan_scoring.contract import changed_features
from loan_scoring.database import audit
from loan_scoring.database.partitions import (
    HISTORY,
    ensure_partition,
    refuse_dropped,
)
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.features.lookups import last_delivery
from loan_scoring.models import registry
from loan_scoring.scoring.canary import settle_canary
from loan_scoring.scoring.engine import engine_of, score_on_spark
from loan_scoring.scoring.mini_batch import EMPTY_MINI_BATCH, score_mini_batch, scoring_run
from loan_scoring.scoring.queue import fill_queue
from loan_scoring.scoring.run_ids import (
    derive_run_id,
    identify_run,
    policy_text,
    published_run,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoringPlan:
    """A scoring run and its mini-batches.

    `mini_batches` contains the numbers of all mini-batches, including those already scored.
    """

    scoring_run_id: str
    applications: int
    mini_batches: list[int]


def plan_scoring(session: Session, batch_id: str) -> ScoringPlan:
    """Plan the scoring of a batch's current revision with the champions. Return the plan.

    The id of the run is derived from the batch, revision, model versions and policy. If these are
    unchanged, a second call returns the existing run. If the thresholds or exclusions have changed,
    the call creates a new run.

    Raises:
        StateError: the batch is not published, the batch is `history`, or there is no champion.
        GoneError: retention has dropped rows of the batch.
    """
    if batch_id == HISTORY:
        raise StateError("the history trains models and is not scored; name a business date")
    refuse_dropped(session.connection, batch_id)
    batch = database.row(session.connection, "select_current_batch", batch_id=batch_id)
    if batch is None:
        raise StateError(
            f"batch {batch_id} is not published, or is withdrawn; run ingest for it first"
        )
    propensity, personas = registry.champion_pair(session)
    trained = registry.model_row(session, propensity)["training_data"]
    for change in changed_features(session.contract, trained):
        log.warning(
            "%s: scores go by the model's expression until new models are promoted: run train",
            change,
        )
    run_id, canary = identify_run(session, batch_id, batch["revision"], propensity, personas)
    for table in ("scores", "shadow_scores") if canary else ("scores",):
        ensure_partition(session.connection, table, batch_id)
    policy = session.contract.scoring
    slices = min(-(-batch["accepted"] // policy.mini_batch_rows), policy.max_mini_batches)
    with database.transaction(session.connection):
        planned = database.execute(
            session.connection,
            "insert_scoring_run",
            scoring_run_id=run_id,
            batch_id=batch_id,
            revision=batch["revision"],
            propensity_version=propensity,
            personas_version=personas,
            policy=policy_text(session.contract),
            applications=batch["accepted"],
            lookup_delivery_id=last_delivery(session) if session.contract.lookups else None,
            canary=json.dumps(canary) if canary else None,
        )
        if planned:
            database.execute(
                session.connection,
                "insert_mini_batches",
                scoring_run_id=run_id,
                batch_id=batch_id,
                revision=batch["revision"],
                slices=max(slices, 1),
            )
        found = database.rows(session.connection, "select_mini_batches", scoring_run_id=run_id)
    log.info("%s: %s applications in %s mini-batches", run_id, batch["accepted"], len(found))
    # A batch without applications has one empty mini-batch, so that Airflow has a task to run.
    mini_batches = [row["mini_batch"] for row in found] if batch["accepted"] else [EMPTY_MINI_BATCH]
    return ScoringPlan(run_id, batch["accepted"], mini_batches)


def publish_scores(
    session: Session, run_id: str, by: str | None = None, *, is_asked_for: bool = False
) -> int:
    """Make a complete scoring run the current run of its batch; return its row count.

    All scores of the run become visible in one transaction, which table `publications` and the
    audit log record. If the run has a canary that is stopped, the champion's run is published
    instead.

    Args:
        session: session on the portfolio.
        run_id: scoring run to publish.
        by: who, such as `cli:USER`. None means the role of the session.
        is_asked_for: True if a person named this run. Then the run may be older than the current
            run.

    Raises:
        StateError: the run does not exist, its batch revision is not current, a mini-batch is not
            scored, the number of scores differs from the number of applications, or a newer run is
            current and nobody asked for this one.
        GoneError: retention has dropped rows of the batch.
    """
    run = scoring_run(session, run_id)
    with database.transaction(session.connection):
        database.lock(session.connection, f"batch:{run['batch_id']}")
        batch = database.row(session.connection, "select_current_batch", batch_id=run["batch_id"])
        if batch is None or batch["revision"] != run["revision"]:
            raise StateError(
                f"{run_id} scores revision {run['revision']} of batch {run['batch_id']}, "
                "but another revision is current; run score for the batch again"
            )
        if run["run_kind"] != "night":
            raise StateError(f"{run_id} is a shadow of {run['beside']}, so it is never published")
        if run["canary"] is not None:
            run = _settled(session, run, is_asked_for=is_asked_for)
            run_id = run["scoring_run_id"]
        current = database.row(session.connection, "select_current_run", batch_id=run["batch_id"])
        if current is not None and current["scoring_run_id"] != run_id and not is_asked_for:
            _refuse_older(session, run, current)
        # The database counts, publishes and writes the entry of the audit log in one.
        counts = database.row(
            session.connection,
            "publish_run",
            scoring_run_id=run_id,
            published_by=audit.acting(session, by),
            is_asked_for=is_asked_for,
        )
        _refuse_incomplete(session, run, counts)
        assert counts is not None  # noqa: S101 - the function always gives one row
    log.info("%s: %s scored, %s referred", run_id, counts["scored"], counts["referred"])
    # If this is not reached, the page Desk writes the queue when it is opened.
    fill_queue(session, run)
    return int(counts["rows"])


def _settled(session: Session, run: database.Row, *, is_asked_for: bool) -> database.Row:
    """Judge the canary of a complete run. Return the run that is published: this or the champion's.

    Raises:
        StateError: the run is incomplete, or a person asked for a run whose canary was stopped.
    """
    run_id = run["scoring_run_id"]
    counts = database.row(
        session.connection, "select_run_counts", scoring_run_id=run_id, batch_id=run["batch_id"]
    )
    _refuse_incomplete(session, run, counts)
    settled = settle_canary(session, run, run_id.partition("-canary-")[0])
    if settled == run_id:
        return run
    if is_asked_for:
        raise StateError(
            f"the canary of {run_id} was stopped, so its scores were never published; "
            f"the champion's are those of {settled}"
        )
    return scoring_run(session, settled)


def _refuse_incomplete(session: Session, run: database.Row, counts: database.Row | None) -> None:
    assert counts is not None  # noqa: S101 - what counts always gives one row
    if counts["unscored_mini_batches"] or counts["rows"] != run["applications"]:
        raise StateError(
            f"{run['scoring_run_id']} is incomplete: {counts['rows']} score rows for "
            f"{run['applications']} applications, {counts['unscored_mini_batches']} "
            f"mini-batches unscored; run `loan-scoring score --portfolio "
            f"{session.contract.portfolio} --batch {run['batch_id']}` again (in Airflow: clear "
            "the scoring tasks)"
        )


def publish_earlier_run(session: Session, batch_id: str, run_id: str, by: str) -> int:
    """Publish a run that a person named, although it is older; return its row count.

    Raises:
        StateError: the run is of another batch, or cannot be published (see `publish_scores`).
        GoneError: retention has dropped rows of the batch.
    """
    run = scoring_run(session, run_id)
    if run["batch_id"] != batch_id:
        raise StateError(f"{run_id} is a run of batch {run['batch_id']}, not of {batch_id}")
    return publish_scores(session, run_id, by, is_asked_for=True)


def _refuse_older(session: Session, run: database.Row, current: database.Row) -> None:
    """Refuse to replace the current run by an older one, as a cleared task of an old night would.

    A run that was planned earlier than the current run is published again only if it is the run
    that planning gives now, for example after a rollback of the champions.

    Raises:
        StateError: the run is older than the current run.
    """
    if run["planned_at"] >= current["planned_at"]:
        return
    pair = registry.champion_pair(session)
    known = published_run(session, run["batch_id"], run["revision"], *pair)
    derived = derive_run_id(
        session.contract, run["batch_id"], run["revision"], *pair, run["canary"]
    )
    now = known["scoring_run_id"] if known else derived
    if run["scoring_run_id"] != now:
        raise StateError(
            f"{run['scoring_run_id']} is older than {current['scoring_run_id']}, which readers see "
            f"now; nothing was changed; if you want the older scores: loan-scoring score "
            f"--batch {run['batch_id']} --run {run['scoring_run_id']}"
        )


def score_batch(session: Session, batch_id: str, by: str | None = None) -> str:
    """Plan, score and publish a batch; return the id of the scoring run.

    The engine of the contract scores: Spark, or this process.
    """
    planned = plan_scoring(session, batch_id)
    if engine_of(session.contract) == "spark":
        score_on_spark(session, planned.scoring_run_id)
    else:
        _score_in_threads(session, planned)
    publish_scores(session, planned.scoring_run_id, by)
    with database.transaction(session.connection):
        current = database.row(session.connection, "select_current_run", batch_id=batch_id)
    return planned.scoring_run_id if current is None else str(current["scoring_run_id"])


def _score_in_threads(session: Session, planned: ScoringPlan) -> None:
    """Score mini-batches in parallel, with one thread and one connection for each core."""
    cores = len(os.sched_getaffinity(0))

    def work(mini_batches: list[int]) -> None:
        with closing(database.connect_beside(session.connection)) as connection:
            own = Session(session.contract, connection)
            for mini_batch in mini_batches:
                score_mini_batch(own, planned.scoring_run_id, mini_batch)

    with ThreadPoolExecutor(cores, thread_name_prefix="score") as pool:
        for _ in pool.map(work, (planned.mini_batches[core::cores] for core in range(cores))):
            pass  # iterate over the results, because that raises the error of a failed thread
