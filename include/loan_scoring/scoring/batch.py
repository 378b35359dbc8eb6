"""Score a batch exactly once: plan mini-batches, score each in one transaction, publish all."""

import hashlib
import io
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from threadpoolctl import threadpool_limits

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.applications import read_slice, read_slice_blocks
from loan_scoring.database.partitions import (
    HISTORY,
    ensure_partition,
    partition_name,
    refuse_dropped,
)
from loan_scoring.database.readahead import read_ahead
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry

if TYPE_CHECKING:
    from loan_scoring.models.scorer import Scorer

log = logging.getLogger(__name__)

BLOCK_ROWS = 20_000
"""The rows of a block; up to three blocks are in memory: read, scored, written."""


@dataclass(frozen=True)
class ScoringPlan:
    """A scoring run and the numbers of its mini-batches, scored ones included."""

    scoring_run_id: str
    applications: int
    mini_batches: list[int]


def plan_scoring(session: Session, batch_id: str) -> ScoringPlan:
    """Plan the scoring run of a batch's current revision by the champions; return the plan.

    The id of the run derives from batch, revision, model pair and the policy of the contract. So
    planning again finds the same run, and other thresholds or exclusions make another.

    Raises:
        StateError: the batch is not published, is the history, or there is no champion.
    """
    if batch_id == HISTORY:
        raise StateError("the history trains models and is not scored; name a business date")
    refuse_dropped(session.connection, batch_id)
    batch = database.row(session.connection, "select_current_batch", batch_id=batch_id)
    if batch is None:
        raise StateError(f"batch {batch_id} is not published; run ingest for it first")
    propensity, personas = registry.champion_pair(session)
    run_id = derive_run_id(session.contract, batch_id, batch["revision"], propensity, personas)
    ensure_partition(session.connection, "scores", batch_id)
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
            policy=_policy(session.contract),
            applications=batch["accepted"],
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
    return ScoringPlan(run_id, batch["accepted"], [row["mini_batch"] for row in found])


def derive_run_id(
    contract: Contract, batch_id: str, revision: int, propensity: str, personas: str
) -> str:
    """Return the id of the scoring run of a batch revision by a model pair and the policy."""
    policy = hashlib.sha256(_policy(contract).encode()).hexdigest()
    return f"{batch_id}-r{revision}-{propensity}-{personas}-{policy[:8]}"


def _policy(contract: Contract) -> str:
    return json.dumps(contract.policy, sort_keys=True)


def score_mini_batch(session: Session, run_id: str, mini_batch: int) -> int:
    """Score one mini-batch and write its scores in one transaction; return its number of rows.

    It is scored in blocks, so that memory does not grow with it. While one block is scored, the
    next is read and the last is written.

    A scored mini-batch stays as it is. A second try at the same time waits for the first.

    Raises:
        StateError: there is no such run or mini-batch.
    """
    started = time.monotonic()
    run = scoring_run(session, run_id)
    # The policy of the plan: the contract may have changed since, and a batch needs one policy.
    scorer = registry.load_scorer(
        session.under(run), run["propensity_version"], run["personas_version"]
    )
    partition = partition_name("scores", run["batch_id"])
    rows = referred = 0
    with database.transaction(session.connection):
        found = database.row(
            session.connection, "lock_mini_batch", scoring_run_id=run_id, mini_batch=mini_batch
        )
        if found is None:
            raise StateError(
                f"scoring run {run_id} has no mini-batch {mini_batch}; "
                "run score for its batch again"
            )
        if found["state"] == "scored":
            return int(found["applications"])
        with _blocks(session, run, scorer.columns, found) as applications:
            blocks = (_scored(scorer, run, mini_batch, block) for block in applications)
            for scores, text in read_ahead(blocks):
                database.copy_csv(session.connection, partition, scores.column_names, text)
                rows += scores.num_rows
                referred += scores.num_rows - scores.column("exclusion_reason").null_count
        database.execute(
            session.connection,
            "update_mini_batch_scored",
            scoring_run_id=run_id,
            mini_batch=mini_batch,
            scored=rows - referred,
            referred=referred,
            seconds=time.monotonic() - started,
        )
    return rows


@contextmanager
def _blocks(
    session: Session, run: database.Row, columns: list[str], mini_batch: database.Row
) -> Iterator[Iterable[pa.Table]]:
    """Yield a mini-batch's applications in blocks.

    A single block is read on the session's connection. More blocks are read ahead, on a connection
    of their own, while the session's connection writes.
    """
    bounds = (mini_batch["first_loan_id"], mini_batch["last_loan_id"])
    which = (run["batch_id"], run["revision"], columns, bounds)
    if mini_batch["applications"] <= BLOCK_ROWS:
        yield [read_slice(session, *which)]
        return
    with closing(database.connect_beside(session.connection)) as reader:
        own = Session(session.contract, reader)
        yield read_ahead(read_slice_blocks(own, *which, BLOCK_ROWS))


def _scored(
    scorer: "Scorer", run: database.Row, mini_batch: int, applications: pa.Table
) -> tuple[pa.Table, io.BytesIO]:
    """Return the score rows of a block of applications, and their text for COPY.

    The models run on one thread: mini-batches run in parallel, and more threads than cores mostly
    wait for each other.
    """
    with threadpool_limits(limits=1):  # it applies to the calling thread
        scores = scorer.score(applications)
    rows = applications.num_rows
    written = pa.table(
        {
            "scoring_run_id": pa.repeat(run["scoring_run_id"], rows),
            "batch_id": pa.repeat(run["batch_id"], rows),
            "mini_batch": pa.repeat(mini_batch, rows),
            KEY: applications.column(KEY),
            **{name: scores.column(name) for name in scores.column_names},
            "propensity_version": pa.repeat(run["propensity_version"], rows),
            "personas_version": pa.repeat(run["personas_version"], rows),
            "scored_at": pa.repeat(pa.scalar(datetime.now(UTC)), rows),
        }
    )
    return written, database.as_csv(written)


def publish_scores(session: Session, run_id: str) -> int:
    """Make a complete run the current one of its batch; return its number of scores.

    All its scores become visible in one transaction.

    Raises:
        StateError: there is no such run, its revision is not current, a mini-batch is not scored,
            or the number of scores is wrong.
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
        counts = database.row(
            session.connection,
            "select_run_counts",
            scoring_run_id=run_id,
            batch_id=run["batch_id"],
        )
        assert counts is not None  # noqa: S101 - an aggregate gives one row
        if counts["unscored_mini_batches"] or counts["rows"] != run["applications"]:
            raise StateError(
                f"{run_id} is incomplete: {counts['rows']} score rows for "
                f"{run['applications']} applications, {counts['unscored_mini_batches']} "
                "mini-batches unscored; clear the scoring tasks and run them again"
            )
        database.execute(
            session.connection,
            "update_run_superseded",
            scoring_run_id=run_id,
            batch_id=run["batch_id"],
        )
        database.execute(
            session.connection,
            "update_run_published",
            scoring_run_id=run_id,
            scored=counts["scored"],
            referred=counts["referred"],
        )
    log.info("%s: %s scored, %s referred", run_id, counts["scored"], counts["referred"])
    return int(counts["rows"])


def score_batch(session: Session, batch_id: str) -> str:
    """Plan, score and publish a batch in this process; return the id of the run.

    Mini-batches are scored in parallel: one thread and one connection per core.
    """
    planned = plan_scoring(session, batch_id)
    cores = len(os.sched_getaffinity(0))

    def work(mini_batches: list[int]) -> None:
        with closing(database.connect_beside(session.connection)) as connection:
            own = Session(session.contract, connection)
            for mini_batch in mini_batches:
                score_mini_batch(own, planned.scoring_run_id, mini_batch)

    with ThreadPoolExecutor(cores, thread_name_prefix="score") as pool:
        for _ in pool.map(work, (planned.mini_batches[core::cores] for core in range(cores))):
            pass  # raises the error of a mini-batch
    publish_scores(session, planned.scoring_run_id)
    return planned.scoring_run_id


def scoring_run(session: Session, run_id: str) -> database.Row:
    """Return the row of a scoring run.

    Raises:
        StateError: there is no such run.
        GoneError: retention has dropped its rows.
    """
    found = database.row(session.connection, "select_scoring_run", scoring_run_id=run_id)
    if found is None:
        raise StateError(f"there is no scoring run {run_id}; run score for its batch")
    refuse_dropped(session.connection, found["batch_id"])
    return found
