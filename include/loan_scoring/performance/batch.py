"""Read a scored batch with its outcomes as arrays; no statistics here, and nothing is written."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.reading import arrow_types
from loan_scoring.session import Session


@dataclass(frozen=True)
class Batch:
    """The loans of a run that got a probability, in the order of loan_id, shape (rows,) each.

    `outcome` is 1 for default, 0 for paid, nan where it is not known yet; `amount` nan where it is
    null or the contract names none; `groups` the values of each protected category.
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


def read(session: Session, run: database.Row) -> Batch:
    """Read the scored loans of a run; referred ones have no score that could be measured."""
    contract = session.contract
    protected = protected_categories(contract)
    amount = [contract.business.amount] if contract.business else []
    columns = list(dict.fromkeys([*amount, *protected]))
    query = sql.SQL(
        "SELECT s.default_probability, s.decision = 'approve', s.persona, o.is_default::int"
        "{columns} FROM scores AS s"
        " JOIN applications AS a ON a.batch_id = {batch_id} AND a.revision = {revision}"
        " AND a.loan_id = s.loan_id"
        " LEFT JOIN outcomes AS o ON o.loan_id = s.loan_id"
        " WHERE s.batch_id = {batch_id} AND s.scoring_run_id = {run_id}"
        " AND s.default_probability IS NOT NULL ORDER BY s.loan_id"
    ).format(
        columns=sql.SQL("").join(
            sql.SQL(", a.{}").format(sql.Identifier(column)) for column in columns
        ),
        batch_id=sql.Literal(run["batch_id"]),
        revision=sql.Literal(run["revision"]),
        run_id=sql.Literal(run["scoring_run_id"]),
    )
    types = {
        "default_probability": pa.float64(),
        "is_approved": pa.bool_(),
        "persona": pa.string(),
        "outcome": pa.float64(),
    }
    # An input may be called `persona` or `outcome`: inputs are told by their place.
    inputs = dict(zip(columns, arrow_types(contract, columns).values(), strict=True))
    types |= {f"input:{name}": kind for name, kind in inputs.items()}
    table = database.copy_out(session.connection, query, types)
    return Batch(
        table.column("default_probability").to_numpy(),
        table.column("is_approved").to_numpy(),
        table.column("persona").to_pylist(),
        table.column("outcome").to_numpy(),
        _numbers(table.column(f"input:{amount[0]}")) if amount else np.full(len(table), np.nan),
        {name: table.column(f"input:{name}").to_pylist() for name in protected},
    )


def errors(session: Session, run: database.Row, threshold: float) -> np.ndarray:
    """Return whether the class predicted at a threshold was wrong, in the order of loan_id.

    Of the loans of a run with an outcome, shape (loans,), bool.
    """
    query = sql.SQL(
        "SELECT (s.default_probability >= {threshold}) <> o.is_default FROM scores AS s"
        " JOIN outcomes AS o ON o.loan_id = s.loan_id"
        " WHERE s.batch_id = {batch_id} AND s.scoring_run_id = {run_id}"
        " AND s.default_probability IS NOT NULL ORDER BY s.loan_id"
    ).format(
        threshold=sql.Literal(threshold),
        batch_id=sql.Literal(run["batch_id"]),
        run_id=sql.Literal(run["scoring_run_id"]),
    )
    table = database.copy_out(session.connection, query, {"is_error": pa.bool_()})
    return np.asarray(table.column("is_error").to_numpy(), dtype=bool)


def protected_categories(contract: Contract) -> list[str]:
    """Return the protected columns that make groups of applicants."""
    return [name for name in contract.protected if contract.by_name[name].type == "category"]


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(values.cast(pa.float64()).to_numpy(), dtype=float)
