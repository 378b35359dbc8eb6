"""Find the loans of a batch whose outcome counts: funded loans whose outcome is final."""

from collections.abc import Mapping
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.contract.outcomes import ALL_LOANS, APPROVED_LOANS
from loan_scoring.database.applications import column_types
from loan_scoring.database.session import Session
from loan_scoring.features.applications import business_day


def counts_only_some(contract: Contract) -> bool:
    """Return whether the contract leaves out the outcomes of some loans."""
    return contract.outcomes.known_for != ALL_LOANS or contract.outcomes.window_days is not None


def columns_that_decide(contract: Contract) -> list[str]:
    """Return the names of the columns that say which loans are funded, and since when."""
    declared = contract.outcomes
    funded = None if declared.known_for in (ALL_LOANS, APPROVED_LOANS) else declared.known_for
    return [name for name in (funded, declared.counted_from) if name is not None]


def people_who_approved(session: Session, batch_id: str) -> pa.Table:
    """Return the loans of a batch that a person decided on: `loan_id`, `is_approved`."""
    found = database.rows(session.connection, "select_decisions_of_batch", batch_id=batch_id)
    types = column_types(session.contract, [KEY])
    return pa.table(
        {
            KEY: pa.array([each["loan_id"] for each in found], types[KEY]),
            "is_approved": pa.array([each["decision"] == "approve" for each in found], pa.bool_()),
        }
    )


def is_funded(
    contract: Contract, is_approved: np.ndarray, columns: Mapping[str, pa.ChunkedArray]
) -> np.ndarray:
    """Return whether each loan can have an outcome, shape (rows,), bool.

    Args:
        contract: contract that says which loans can.
        is_approved: whether the decision in effect is to approve, shape (rows,).
        columns: the columns of `columns_that_decide`, by name. A null is not true.
    """
    known_for = contract.outcomes.known_for
    if known_for == ALL_LOANS:
        return np.ones(len(is_approved), dtype=bool)
    if known_for == APPROVED_LOANS:
        return is_approved
    return np.asarray(columns[known_for].fill_null(False).to_numpy())


def is_final(
    contract: Contract,
    batch_id: str,
    rows: int,
    columns: Mapping[str, pa.ChunkedArray],
    known_until: date | None,
) -> np.ndarray:
    """Return whether the outcome of each loan is final, shape (rows,), bool.

    Args:
        contract: contract with the window of outcomes.
        batch_id: batch of the loans. Its date counts for loans without a date of their own.
        rows: number of loans.
        columns: the columns of `columns_that_decide`, by name.
        known_until: last day of which outcomes are known. None if no outcome is known.
    """
    declared, day = contract.outcomes, business_day(batch_id)
    if declared.window_days is None:
        return np.ones(rows, dtype=bool)
    if known_until is None:
        return np.zeros(rows, dtype=bool)
    last_start = np.datetime64(known_until, "D") - declared.window_days
    of_batch = day is None or np.datetime64(day, "D") <= last_start
    if declared.counted_from is None:
        return np.full(rows, of_batch)
    starts = columns[declared.counted_from]
    began = starts.fill_null(date.max).to_numpy().astype("datetime64[D]") <= last_start
    return np.where(starts.is_null().to_numpy(), of_batch, began)


def overruled(loans: pa.Table, is_approved: np.ndarray, people: pa.Table) -> np.ndarray:
    """Return the decisions in effect: a person's last one, and otherwise the policy's.

    Args:
        loans: table with column `loan_id`.
        is_approved: whether the policy approved each loan, shape (rows,).
        people: decisions of people, from `people_who_approved`.
    """
    places = pc.index_in(loans.column(KEY), value_set=people.column(KEY).combine_chunks())
    by_people = people.column("is_approved").take(places)
    return np.asarray(pc.coalesce(by_people, pa.chunked_array([pa.array(is_approved)])).to_numpy())
