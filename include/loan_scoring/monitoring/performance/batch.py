"""Read a scored batch with its outcomes as arrays."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.applications import column_types, read_applications
from loan_scoring.database.session import Session


@dataclass(frozen=True)
class ScoredBatch:
    """The loans of a run that have a probability, in the order of loan_id, shape (rows,) each.

    `outcome` is 1 for default, 0 for paid, nan where it is not known yet. `amount` is nan where it
    is null or the contract names none. `groups` has the values of each protected category.
    """

    probability: np.ndarray
    approved: np.ndarray
    personas: list[str]
    outcome: np.ndarray
    amount: np.ndarray
    groups: dict[str, list[str | None]]

    @property
    def known(self) -> np.ndarray:
        """Whether a loan's outcome is known, shape (rows,), bool."""
        return np.asarray(~np.isnan(self.outcome))


def read_scored_batch(session: Session, run: database.Row) -> ScoredBatch:
    """Return the scored loans of a run; referred ones have no score to measure.

    Three reads and no join: the planner has no statistics of rows that have just been written,
    and would join them loan by loan, in minutes instead of milliseconds.
    """
    contract = session.contract
    scores = _scores(session, run)
    amount = [contract.business.amount] if contract.business else []
    protected = protected_categories(contract)
    columns = list(dict.fromkeys([*amount, *protected]))
    inputs = read_applications(session, run["batch_id"], run["revision"], columns)
    inputs = inputs.take(_places(scores, inputs))
    return ScoredBatch(
        scores.column("default_probability").to_numpy(),
        scores.column("is_approved").to_numpy(),
        scores.column("persona").to_pylist(),
        _outcomes(session, run, scores),
        _numbers(inputs.column(amount[0])) if amount else np.full(len(scores), np.nan),
        {name: inputs.column(name).to_pylist() for name in protected},
    )


def classification_errors(session: Session, run: database.Row, threshold: float) -> np.ndarray:
    """Return whether the class predicted at a threshold was wrong, shape (loans,), bool.

    The loans are those of a run that have an outcome, in the order of loan_id.
    """
    scores = _scores(session, run)
    outcome = _outcomes(session, run, scores)
    is_known = ~np.isnan(outcome)
    declined = scores.column("default_probability").to_numpy() >= threshold
    return np.asarray(declined[is_known] != (outcome[is_known] == 1))


def _scores(session: Session, run: database.Row) -> pa.Table:
    query = sql.SQL(
        "SELECT loan_id, default_probability, decision = 'approve', persona FROM scores"
        " WHERE batch_id = {batch_id} AND scoring_run_id = {run_id}"
        " AND default_probability IS NOT NULL ORDER BY loan_id"
    ).format(**_run(run))
    types = {
        **column_types(session.contract, [KEY]),
        "default_probability": pa.float64(),
        "is_approved": pa.bool_(),
        "persona": pa.string(),
    }
    return database.copy_out(session.connection, query, types)


def _outcomes(session: Session, run: database.Row, scores: pa.Table) -> np.ndarray:
    """Return the outcome of each scored loan, nan where it is not known, shape (rows,)."""
    query = sql.SQL(
        "SELECT loan_id, is_default::int FROM outcomes WHERE loan_id = ANY(ARRAY("
        "SELECT loan_id FROM scores WHERE batch_id = {batch_id} AND scoring_run_id = {run_id}"
        " AND default_probability IS NOT NULL))"
    ).format(**_run(run))
    types = {**column_types(session.contract, [KEY]), "outcome": pa.float64()}
    known = database.copy_out(session.connection, query, types)
    return _numbers(known.column("outcome").take(_places(scores, known)))


def _run(run: database.Row) -> dict[str, sql.Literal]:
    return {
        "batch_id": sql.Literal(run["batch_id"]),
        "run_id": sql.Literal(run["scoring_run_id"]),
    }


def _places(wanted: pa.Table, table: pa.Table) -> pa.ChunkedArray:
    """Return the table's row of each wanted loan, null where the table lacks it."""
    return pc.index_in(wanted.column(KEY), value_set=table.column(KEY).combine_chunks())


def protected_categories(contract: Contract) -> list[str]:
    """Return the protected columns that are categories, by which groups are compared."""
    return [name for name in contract.protected if contract.by_name[name].type == "category"]


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(values.cast(pa.float64()).to_numpy(), dtype=float)
