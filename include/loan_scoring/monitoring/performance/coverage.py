"""Count the outcomes of each scoring run, and find runs whose performance is out of date."""

from dataclasses import dataclass
from datetime import date, datetime

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.cohorts import outcomes_known_until
from loan_scoring.database.session import Session
from loan_scoring.monitoring.performance.batch import ScoredBatch, count_due
from loan_scoring.monitoring.performance.due import counts_only_some


@dataclass(frozen=True)
class ReadUntil:
    """Until which changes the outcomes and decisions of a batch were read."""

    outcomes_as_of: date | None
    outcomes_change_id: int | None
    decided_at: datetime | None


def read_until(session: Session, batch_id: str) -> ReadUntil:
    """Return the last changes before a batch is read.

    Call this before the batch is read. If a change is committed between the two, the run counts as
    out of date, and `restate_performance` measures it again.
    """
    change = database.row(session.connection, "select_last_outcome_change")
    step = database.row(session.connection, "select_last_step_of_batch", batch_id=batch_id)
    return ReadUntil(
        outcomes_known_until(session),
        change["change_id"] if change else None,
        step["decided_at"] if step else None,
    )


def write_coverage(
    session: Session, run: database.Row, batch: ScoredBatch, until: ReadUntil
) -> None:
    """Replace the row of a scoring run in table `outcome_coverage`, in the caller's transaction."""
    run_id = run["scoring_run_id"]
    funded, due, known = (int(each.sum()) for each in (batch.is_funded, batch.is_due, batch.known))
    database.execute(session.connection, "delete_outcome_coverage", scoring_run_id=run_id)
    database.execute(
        session.connection,
        "insert_outcome_coverage",
        scoring_run_id=run_id,
        due=due,
        known=known,
        is_settled=known == funded,
        counted_by=counted_by(session.contract),
        **vars(until),
    )


@dataclass(frozen=True)
class OutcomeCoverage:
    """Whether a current scoring run has enough outcomes, and whether its figures are out of date.

    `is_stale` says whether outcomes arrived, changed or were withdrawn after the performance was
    measured, or people have decided loans of the batch since. A run whose scores retention
    has dropped is never stale, because it cannot be measured again. `due` is the number of loans
    whose outcome counts, and `known` how many of them have one.
    """

    scoring_run_id: str
    batch_id: str
    is_mature: bool
    is_stale: bool
    due: int
    known: int


def outcome_coverage(session: Session) -> list[OutcomeCoverage]:
    """Return the outcome coverage of each current scoring run, sorted by batch_id."""
    only_some = counts_only_some(session.contract)
    as_of, rules = outcomes_known_until(session), counted_by(session.contract)
    last = database.row(session.connection, "select_last_outcome_change")
    last_change = last["change_id"] if last else None
    found = []
    for row in database.rows(session.connection, "select_outcome_coverage", only_some=only_some):
        is_decided = row["is_decided_since"]
        measured = row["measured_loans"]
        if row["is_dropped"]:
            due = known = measured or 0
        elif not only_some:
            due, known = row["scored"], row["outcomes"]
        elif _is_unchanged(row, rules, last_change, as_of) and not is_decided:
            due, known = row["known_due"], row["known_known"]
        else:
            due, known = count_due(session, row)
        is_mature = has_enough_outcomes(session.contract, known, due)
        is_current = (
            measured == known and row["last_change"] <= row["measured_change"]
            if is_mature
            else measured is None
        )
        is_stale = (is_decided or not is_current) and not row["is_dropped"]
        run_id, batch_id = row["scoring_run_id"], row["batch_id"]
        found.append(OutcomeCoverage(run_id, batch_id, is_mature, is_stale, due, known))
    return found


def counted_by(contract: Contract) -> str:
    """Return the rules of the contract that say which loans count, as one text."""
    declared = contract.outcomes
    return f"{declared.known_for} {declared.window_days} {declared.counted_from}"


def _is_unchanged(
    row: database.Row, rules: str, last_change: int | None, as_of: date | None
) -> bool:
    """Return whether the counts of a run are still those that were recorded."""
    if row["known_due"] is None or row["counted_by"] != rules:
        return False
    if row["known_change"] == last_change and row["outcomes_as_of"] == as_of:
        return True
    return bool(
        row["is_settled"]
        and row["last_change"] <= (row["known_change"] or 0)
        and (row["outcomes_as_of"] or date.max) <= (as_of or date.min)
    )


def has_enough_outcomes(contract: Contract, outcomes: int, due: int) -> bool:
    """Return whether the share of due loans with an outcome reaches the `mature_share`.

    Return False if no loan has an outcome.
    """
    return outcomes > 0 and outcomes >= outcomes_needed(contract, due)


def outcomes_needed(contract: Contract, due: int) -> float:
    """Return how many of the due loans must have an outcome before figures are realised."""
    return contract.performance.mature_share * due
