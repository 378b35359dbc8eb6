"""The approver's desk: the queue of applications that are left to a person, and one of them."""

from dataclasses import dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.desk.decisions import LEFT_TO_A_PERSON, typed_loan_id
from loan_scoring.errors import MissingError

PAGE_ROWS = 50


@dataclass(frozen=True)
class QueueFilter:
    """Which applications of the queue are wanted; None is all."""

    decision: str | None = None
    persona: str | None = None
    reason: str | None = None
    """A reason in words, or an exclusion's."""
    low: float | None = None
    """Probability from which on."""
    high: float | None = None
    """Probability below which."""
    is_decided: bool | None = None


@dataclass(frozen=True)
class QueuePage:
    """A page of the queue of one scoring run."""

    run: database.Row
    rows: list[database.Row]
    next: tuple[float, Any] | None
    """What `after` has to be for the page that follows; None on the last."""


def read_queue(
    session: Session,
    batch_id: str | None = None,
    wanted: QueueFilter | None = None,
    after: tuple[float, Any] | None = None,
    limit: int = PAGE_ROWS,
) -> QueuePage:
    """Return a page of a batch's queue, of the last scored batch unless another is named.

    The likeliest to default come first, the referred last. Pages follow each other by key: the
    probability (-1 of a referred one) and loan_id of the last row.

    Raises:
        MissingError: the batch is not scored.
    """
    wanted = wanted or QueueFilter()
    with database.transaction(session.connection):
        run = current_run(session, batch_id)
        rows = database.rows(
            session.connection,
            "select_desk_queue",
            batch_id=run["batch_id"],
            scoring_run_id=run["scoring_run_id"],
            decisions=[wanted.decision] if wanted.decision else list(LEFT_TO_A_PERSON),
            persona=wanted.persona,
            reason=wanted.reason,
            low=wanted.low,
            high=wanted.high,
            is_decided=wanted.is_decided,
            after_probability=after[0] if after else None,
            after_loan_id=typed_loan_id(session.contract, after[1]) if after else None,
            limit=limit + 1,
        )
    last = rows[limit - 1] if len(rows) > limit else None
    return QueuePage(run, rows[:limit], None if last is None else _place(last))


def count_queue(session: Session, run: database.Row) -> dict[str, list[database.Row]]:
    """Return how many applications of a run's queue there are by decision, persona and reason.

    A row has `value` and `applications`, of a decision also `decided`, how many a person has.
    """
    with database.transaction(session.connection):
        found = _counted(session, run)
        decided = database.rows(
            session.connection,
            "select_decided_counts",
            batch_id=run["batch_id"],
            scoring_run_id=run["scoring_run_id"],
        )
    of = {row["suggestion"]: row["applications"] for row in decided}
    known = [row | {"decided": of.get(row["value"], 0)} for row in found["decision"]]
    return found | {"decision": known}


_counts: dict[tuple[Any, ...], dict[str, list[database.Row]]] = {}
MOST_COUNTED = 200


def _counted(session: Session, run: database.Row) -> dict[str, list[database.Row]]:
    """Count a run's queue once a process: the scores of a published run do not change."""
    key = (database.location(session.connection), session.contract.portfolio, run["scoring_run_id"])
    if key not in _counts:
        found = database.rows(
            session.connection,
            "select_desk_counts",
            batch_id=run["batch_id"],
            scoring_run_id=run["scoring_run_id"],
        )
        # Bits of grouping(): which of the three columns a row has left out.
        by = {0b011: "decision", 0b101: "persona", 0b110: "reason"}
        told: dict[str, list[database.Row]] = {name: [] for name in by.values()}
        for row in found:
            name = by[row["left_out"]]
            if row[name] is not None:
                told[name].append({"value": row[name], "applications": row["applications"]})
        while len(_counts) >= MOST_COUNTED:
            _counts.pop(next(iter(_counts)), None)
        _counts[key] = told
    return _counts[key]


def current_run(session: Session, batch_id: str | None = None) -> database.Row:
    """Return the scoring run of a batch that counts, of the last scored batch unless named.

    Raises:
        MissingError: there is none.
        GoneError: retention has dropped its scores.
    """
    found = database.row(session.connection, "select_desk_run", batch_id=batch_id)
    if found is None:
        which = f"batch {batch_id}" if batch_id else "no batch"
        said = "is not scored" if batch_id else "is scored yet"
        raise MissingError(f"{which} {said} in {session.contract.portfolio}")
    refuse_dropped(session.connection, found["batch_id"])
    return found


def _place(row: database.Row) -> tuple[float, Any]:
    chance = row["default_probability"]
    return (-1.0 if chance is None else chance), row["loan_id"]
