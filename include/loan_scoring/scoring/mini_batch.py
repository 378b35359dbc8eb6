"""Score one mini-batch and write all of the scores in one transaction."""

import io
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from threadpoolctl import threadpool_limits

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.partitions import (
    partition_name,
    refuse_dropped,
)
from loan_scoring.database.readahead import read_ahead
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.features.applications import read_derived, read_derived_blocks
from loan_scoring.models import registry
from loan_scoring.scoring.canary import canary_members

if TYPE_CHECKING:
    from loan_scoring.models.scorer import Scorer

BLOCK_ROWS = 20_000
"""Maximum number of rows in a block.

Up to three blocks are in memory, because one block is read while a second block is scored and
a third block is written.
"""


EMPTY_MINI_BATCH = 0
"""Number of the only mini-batch of a batch that was declared empty. No table has a row of it."""


TABLES = {"night": "scores", "shadow": "shadow_scores"}
"""The table with the scores of each kind of run."""


def score_mini_batch(session: Session, run_id: str, mini_batch: int) -> int:
    """Score one mini-batch and write the scores in one transaction. Return the number of scores.

    Rows are scored in blocks, so that memory does not grow with the size of the mini-batch. While
    one block is scored, the next block is read and the previous block is written.

    If the mini-batch is scored already, nothing is written. If two processes call this for one
    mini-batch, the second process waits until the first has committed, and then writes nothing.

    Raises:
        StateError: the scoring run or the mini-batch does not exist.
        GoneError: retention has dropped rows of the batch.
    """
    started = time.monotonic()
    run = scoring_run(session, run_id)
    if run["applications"] == 0 and mini_batch == EMPTY_MINI_BATCH:
        return 0
    # Use the policy that was stored when the run was planned, because the contract may have changed
    # since, and all mini-batches of a run must be scored under one policy.
    parts = _parts(session.under(run), run)
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
        for part in parts:
            with _blocks(session, run, part.scorer, found) as applications:
                blocks = (_scored(part, run, mini_batch, block) for block in applications)
                for scores, text in read_ahead(blocks):
                    partition = partition_name(part.table, run["batch_id"])
                    database.copy_csv(session.connection, partition, scores.column_names, text)
                    if part.is_counted:
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


@dataclass(frozen=True)
class ScoredPart:
    """The loans of a run that one pair of models scores, and the table that gets the scores.

    `of_canary` says whether these are the loans of the run's canary, or all others. None means all
    loans. The scores of a part with `is_counted` are those that the run stands for.
    """

    scorer: "Scorer"
    versions: dict[str, str]
    table: str
    of_canary: bool | None = None
    is_counted: bool = True


def _parts(session: Session, run: database.Row) -> list[ScoredPart]:
    """Return what is to be scored in a run: one part, or three parts in a run with a canary.

    With a canary, the champion scores the canary's loans too, for comparison.
    """

    def load(row: database.Row) -> tuple["Scorer", dict[str, str]]:
        names = ("propensity_version", "personas_version")
        scorer = registry.load_scorer(session, row[names[0]], row[names[1]])
        return scorer, {name: row[name] for name in names}

    champion = load(run)
    if run["canary"] is None:
        return [ScoredPart(*champion, TABLES[run["run_kind"]])]
    return [
        ScoredPart(*champion, "scores", of_canary=False),
        ScoredPart(*champion, "shadow_scores", of_canary=True, is_counted=False),
        ScoredPart(*load(run["canary"]), "scores", of_canary=True),
    ]


@contextmanager
def _blocks(
    session: Session, run: database.Row, scorer: "Scorer", mini_batch: database.Row
) -> Iterator[Iterable[pa.Table]]:
    """Yield the blocks of a mini-batch's applications.

    A mini-batch that fits into one block is read on the session's connection. A larger mini-batch
    is read on a second connection, because the session's connection writes scores meanwhile.
    """
    bounds = (mini_batch["first_loan_id"], mini_batch["last_loan_id"])
    which = (run["batch_id"], run["revision"], scorer.columns, bounds)
    delivery_id = run["lookup_delivery_id"]
    if mini_batch["applications"] <= BLOCK_ROWS:
        own = Session(scorer.contract, session.connection)
        yield [read_derived(own, *which, delivery_id)]
        return
    with closing(database.connect_beside(session.connection)) as reader:
        own = Session(scorer.contract, reader)
        yield read_ahead(read_derived_blocks(own, *which, BLOCK_ROWS, delivery_id))


def _scored(
    part: ScoredPart, run: database.Row, mini_batch: int, applications: pa.Table
) -> tuple[pa.Table, io.BytesIO]:
    """Score a block of applications. Return the score rows and the CSV text for COPY.

    The models use one thread. Mini-batches already run in parallel, so more threads would only
    compete for the cores.
    """
    if part.of_canary is not None:
        of_canary = canary_members(run["canary"], applications.column(KEY))
        applications = applications.filter(pa.array(of_canary == part.of_canary))
    # threadpool_limits affects only the calling thread, and this function runs in the thread of
    # read_ahead. Therefore the limit is set here.
    with threadpool_limits(limits=1):
        # Nobody is told the reasons of a shadow.
        scores = part.scorer.score(applications, with_reasons=run["run_kind"] == "night")
    written = score_table(
        run, mini_batch, applications.column(KEY), scores, part.versions, datetime.now(UTC)
    )
    return written, database.as_csv(written)


def score_table(
    run: database.Row,
    mini_batch: int,
    keys: pa.ChunkedArray,
    scores: pa.Table,
    versions: dict[str, str],
    scored_at: datetime,
) -> pa.Table:
    """Return the rows of table `scores` for the scores of one mini-batch.

    Args:
        run: the scoring run, with its `scoring_run_id` and `batch_id`.
        mini_batch: number of the mini-batch.
        keys: loan of each score.
        scores: scores, as `Scorer.score` returns them.
        versions: the model versions by column, `propensity_version` and `personas_version`.
        scored_at: when they were scored.
    """
    rows = scores.num_rows
    return pa.table(
        {
            "scoring_run_id": pa.repeat(run["scoring_run_id"], rows),
            "batch_id": pa.repeat(run["batch_id"], rows),
            "mini_batch": pa.repeat(mini_batch, rows),
            KEY: keys,
            **{name: scores.column(name) for name in scores.column_names},
            **{name: pa.repeat(version, rows) for name, version in versions.items()},
            "scored_at": pa.repeat(pa.scalar(scored_at), rows),
        }
    )


def scoring_run(session: Session, run_id: str) -> database.Row:
    """Return the row of a scoring run in table `scoring_runs`.

    Raises:
        StateError: the scoring run does not exist.
        GoneError: retention has dropped rows of the run's batch.
    """
    found = database.row(session.connection, "select_scoring_run", scoring_run_id=run_id)
    if found is None:
        raise StateError(f"there is no scoring run {run_id}; run score for its batch")
    refuse_dropped(session.connection, found["batch_id"])
    return found
