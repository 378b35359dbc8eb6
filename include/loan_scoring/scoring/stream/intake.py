"""Take a micro-batch of messages in: judge, score and write them in one transaction, and answer.

Rules and scores are those of a night and of the API (`judge_applications`, `score_rows`). A message
that was taken in already is answered from what is written, so a broker may deliver it again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.partitions import partition_name
from loan_scoring.database.session import Session
from loan_scoring.features.applications import columns_of_file
from loan_scoring.features.lookups import KnownBy
from loan_scoring.ingest.copying import copy_rows
from loan_scoring.ingest.known_loans import array_literal
from loan_scoring.ingest.quarantine import NOT_A_MESSAGE
from loan_scoring.ingest.row_rules import RejectedRow
from loan_scoring.scoring.fields import JudgedApplications, judge_applications
from loan_scoring.scoring.mini_batch import score_table
from loan_scoring.scoring.request import CHAMPION, load_pair, score_rows, with_lookups
from loan_scoring.scoring.stream.day import open_day
from loan_scoring.scoring.stream.messages import Answer, Message, answer, rounds, unique


@dataclass(frozen=True)
class _Scored:
    """New messages of a micro-batch, judged and scored for one open day, and not yet written.

    `line_number` of the rows is the place of the message among `messages`, from 0. `scores` has a
    row for each row of `rows`. `whole` has the places of the messages that `judged` judges.
    """

    day: database.Row
    messages: list[Message]
    rows: pa.Table
    scores: pa.Table
    versions: dict[str, str]
    rejected: list[RejectedRow]
    judged: JudgedApplications
    whole: list[int]
    seconds: float


def take_messages(
    session: Session, messages: Sequence[Message], now: datetime | None = None
) -> list[Answer]:
    """Take messages in, and return an answer for each of them, in their order.

    When this returns, everything is committed. If the process dies at any instruction, the messages
    may be given again: each is written once.

    Args:
        session: database session of the role that ingests, without an open transaction.
        messages: messages as they arrived, which may repeat.
        now: time by which the business date is judged. None means the clock.

    Raises:
        StateError: there is no champion, or a file came for the date.
    """
    for each in rounds(unique(messages)):
        _take(session, each, now)
    ids = [each.message_id for each in messages]
    with database.transaction(session.connection):
        rows = database.rows(session.connection, "select_stream_answers", message_ids=ids)
    held = {row["message_id"]: row for row in rows}
    return [answer(each, held[each.message_id]) for each in messages]


def _take(session: Session, messages: list[Message], now: datetime | None) -> None:
    while True:
        ids = [each.message_id for each in messages]
        with database.transaction(session.connection):
            rows = database.rows(session.connection, "select_stream_answers", message_ids=ids)
        known = {row["message_id"] for row in rows}
        new = [each for each in messages if each.message_id not in known]
        if not new:
            return
        # Judged and scored before the lock, so that another consumer waits for the writing only.
        scored = _score(session, open_day(session, now), new)
        try:
            if _write(session, scored):
                return
        except psycopg2.errors.UniqueViolation:
            continue  # another consumer has taken one of the messages meanwhile


def _score(session: Session, day: database.Row, messages: list[Message]) -> _Scored:
    started = time.monotonic()
    own = session.under(day)
    # Read for each micro-batch, so that a new champion scores the next one.
    scorer, versions = load_pair(own, CHAMPION)
    whole = [place for place, each in enumerate(messages) if each.application is not None]
    applications = [messages[place].application or {} for place in whole]
    needed = columns_of_file(scorer.contract, scorer.columns)
    judged = judge_applications(own.contract, applications, needed)
    place_of = np.array(whole, dtype=np.int64)
    rows = judged.rows.set_column(
        0, "line_number", pa.array(place_of[judged.rows.column("line_number").to_numpy()])
    )
    known_by = KnownBy(date.fromisoformat(day["batch_id"]), day["lookup_delivery_id"])
    scores = score_rows(scorer, with_lookups(own, scorer, rows, known_by))
    return _Scored(
        day,
        messages,
        rows,
        scores,
        {f"{kind}_version": version for kind, version in versions.items()},
        _rejected(messages, judged, whole),
        judged,
        whole,
        time.monotonic() - started,
    )


def _rejected(
    messages: list[Message], judged: JudgedApplications, whole: list[int]
) -> list[RejectedRow]:
    """Return messages that are no application, and those that break a rule, by their place."""
    found = [
        RejectedRow(place, each.text, list(each.faults))
        for place, each in enumerate(messages)
        if each.application is None
    ]
    found += [
        RejectedRow(whole[each.line_number], each.raw_text, each.rules) for each in judged.rejected
    ]
    faults: dict[int, list[str]] = {}
    for fault in judged.faults:
        faults.setdefault(whole[fault.row], [NOT_A_MESSAGE]).append(f"{fault.rule}:{fault.field}")
    return found + [
        RejectedRow(place, messages[place].text, rules) for place, rules in faults.items()
    ]


def _write(session: Session, scored: _Scored) -> bool:
    """Write a scored micro-batch in one transaction. Return False if its day is sealed."""
    connection, day = session.connection, scored.day
    batch_id, revision = day["batch_id"], day["revision"]
    with database.transaction(connection):
        database.lock(connection, f"batch:{batch_id}")
        keep, taken = _claim(session, scored, batch_id)
        rows, scores = scored.rows.filter(keep), scored.scores.filter(keep)
        rejected = [*scored.rejected, *taken]
        counts = database.row(
            connection,
            "add_to_stream_day",
            batch_id=batch_id,
            revision=revision,
            accepted=rows.num_rows,
            quarantined=len(rejected),
            header=scored.judged.block.table.column_names,
        )
        if counts is None:  # sealed
            connection.rollback()
            return False
        first = counts["received_before"] + 1
        lines = pc.add(rows.column("line_number"), first)
        placed = rows.set_column(0, "line_number", lines)
        moved = [
            RejectedRow(each.line_number + first, each.raw_text, each.rules) for each in rejected
        ]
        copy_rows(session, batch_id, revision, iter([(placed, moved)]))
        if rows.num_rows:
            _write_scores(session, scored, rows, scores)
        _write_messages(session, scored, placed, first)
    return True


def _claim(session: Session, scored: _Scored, batch_id: str) -> tuple[pa.Array, list[RejectedRow]]:
    """Claim the loans for the batch. Return a mask of those it got, and the other rows as rejected.

    A loan is an application of one batch only, and of a batch once.
    """
    keys = scored.rows.column(KEY).combine_chunks()
    values = {"loan_ids": array_literal(keys), "batch_id": batch_id}
    lost = [
        row["loan_id"] for row in database.rows(session.connection, "claim_stream_loans", **values)
    ]
    if not lost:
        return pa.array(np.ones(len(keys), dtype=bool)), []
    own = {
        row["loan_id"]
        for row in database.rows(
            session.connection,
            "select_loans_of_batch",
            loan_ids=array_literal(pa.array(lost, keys.type)),
            batch_id=batch_id,
        )
    }
    is_lost = pc.is_in(keys, value_set=pa.array(lost, keys.type))
    places = scored.rows.column("line_number").to_pylist()
    rejected = [
        RejectedRow(
            place,
            scored.judged.raw_text(scored.whole.index(place)),
            [f"duplicate_key:{KEY}" if key in own else f"known_key:{KEY}"],
        )
        for place, key, lost_it in zip(places, keys.to_pylist(), is_lost.to_pylist(), strict=True)
        if lost_it
    ]
    return pc.invert(is_lost), rejected


def _write_scores(session: Session, scored: _Scored, rows: pa.Table, scores: pa.Table) -> None:
    run_id, batch_id = scored.day["scoring_run_id"], scored.day["batch_id"]
    keys = rows.column(KEY)
    ordered = keys.take(pc.sort_indices(keys))
    referred = scores.num_rows - scores.column("exclusion_reason").null_count
    mini_batch = database.row(
        session.connection,
        "insert_stream_mini_batch",
        scoring_run_id=run_id,
        first_loan_id=ordered[0].as_py(),
        last_loan_id=ordered[-1].as_py(),
        applications=rows.num_rows,
        scored=rows.num_rows - referred,
        referred=referred,
        seconds=scored.seconds,
    )
    assert mini_batch is not None  # noqa: S101 - INSERT ... RETURNING returns the new row
    written = score_table(
        scored.day, mini_batch["mini_batch"], keys, scores, scored.versions, datetime.now(UTC)
    )
    partition = partition_name("scores", batch_id)
    database.copy_in(session.connection, partition, written.column_names, written)


def _write_messages(session: Session, scored: _Scored, placed: pa.Table, first: int) -> None:
    keys = scored.rows.schema.field(KEY).type
    lines = placed.column("line_number").to_pylist()
    loans = dict(zip(lines, placed.column(KEY).to_pylist(), strict=True))
    numbers = range(first, first + len(scored.messages))
    run_id = scored.day["scoring_run_id"]
    written = pa.table(
        {
            "message_id": [each.message_id for each in scored.messages],
            "body_sha256": [each.body_sha256 for each in scored.messages],
            "batch_id": pa.repeat(scored.day["batch_id"], len(numbers)),
            "revision": pa.repeat(scored.day["revision"], len(numbers)),
            "line_number": numbers,
            "loan_id": pa.array([loans.get(each) for each in numbers], keys),
            "scoring_run_id": pa.array(
                [run_id if each in loans else None for each in numbers], pa.string()
            ),
            "sent_at": pa.array(
                [each.sent_at for each in scored.messages], pa.timestamp("us", "UTC")
            ),
        }
    )
    database.copy_in(session.connection, "stream_messages", written.column_names, written)
