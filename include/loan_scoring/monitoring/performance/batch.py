"""Read the scores, outcomes and groups of a scored batch as arrays."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.contract.grades import BY_GRADE
from loan_scoring.contract.outcomes import APPROVED_LOANS
from loan_scoring.database.applications import column_types
from loan_scoring.database.cohorts import outcomes_known_until
from loan_scoring.database.session import Session
from loan_scoring.features.applications import read_derived
from loan_scoring.models import registry
from loan_scoring.models.grading import scale_of
from loan_scoring.models.groups import group_labels, labels, labels_by_bands
from loan_scoring.models.numbers import as_floats
from loan_scoring.monitoring.performance.due import (
    columns_that_decide,
    is_final,
    is_funded,
    overruled,
    people_who_approved,
)
from loan_scoring.statistics.labels import Labels

CODED = pa.dictionary(pa.int32(), pa.string())
"""Type of a column of texts of which few are distinct."""


@dataclass(frozen=True)
class ScoredBatch:
    """The loans of a scoring run that have a default probability, sorted by loan_id.

    Each array has shape (rows,). `is_funded` says whether a loan can have an outcome, and `is_due`
    whether that is final too.
    `outcome` is 1 for default, 0 for paid, and nan if the loan is not due or its outcome is not
    known yet. `amount` is nan if the loan's amount is null or the contract names no amount.
    `recovered` is the amount that was recovered of a default, and nan if no file states it.
    `groups` maps the name of each protected column that has groups to the group of each loan.
    `segments` does the same for the columns of `performance.segments`, and for grades.
    """

    probability: np.ndarray
    approved: np.ndarray
    personas: Labels
    outcome: np.ndarray
    amount: np.ndarray
    recovered: np.ndarray
    groups: dict[str, Labels]
    segments: dict[str, Labels]
    is_due: np.ndarray
    is_funded: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Return whether the outcome of each loan is known, shape (rows,), bool."""
        return np.asarray(~np.isnan(self.outcome))


def read_scored_batch(session: Session, run: database.Row) -> ScoredBatch:
    """Return the loans of a scoring run that have a default probability, with their outcomes.

    Loans with the decision `refer` are left out because they have no probability to measure.

    Scores, inputs and outcomes are read by three queries without a join. The query planner has no
    statistics of rows that were just written. The planner would join such rows loan by loan, which
    takes minutes instead of milliseconds.
    """
    contract = session.contract
    scores = _scores(session, run)
    amount = [contract.business.amount] if contract.business else []
    protected = contract.protected_groups
    further = [*contract.segment_bands, *columns_that_decide(contract)]
    columns = list(dict.fromkeys([*amount, *protected, *further]))
    inputs = read_derived(
        session,
        run["batch_id"],
        run["revision"],
        columns,
        delivery_id=run["lookup_delivery_id"],
    )
    inputs = inputs.take(_places(scores, inputs))
    known = _outcomes(session, run, scores)
    funded, is_due = _due(session, run, scores, inputs)
    found = ScoredBatch(
        scores.column("default_probability").to_numpy(),
        scores.column("is_approved").to_numpy(),
        labels(scores.column("persona")),
        np.where(is_due, known["outcome"], np.nan),
        as_floats(inputs.column(amount[0])) if amount else np.full(len(scores), np.nan),
        known["recovered"],
        {name: group_labels(contract, name, inputs.column(name)) for name in protected},
        {
            name: labels_by_bands(bands, inputs.column(name))
            for name, bands in contract.segment_bands.items()
        }
        | _grades(session, run, scores),
        is_due,
        funded,
    )
    del scores, inputs, known
    pa.default_memory_pool().release_unused()  # because computing needs the memory
    return found


def count_due(session: Session, run: database.Row) -> tuple[int, int]:
    """Return how many scored loans of a run are due, and how many of these have an outcome.

    Args:
        run: row of the scoring run, with `batch_id`, `revision` and `lookup_delivery_id`.
    """
    _, is_due, outcome = due_outcomes(session, run)
    return int(is_due.sum()), int((is_due & ~np.isnan(outcome)).sum())


def due_outcomes(
    session: Session, run: database.Row
) -> tuple[pa.ChunkedArray, np.ndarray, np.ndarray]:
    """Return the scored loans of a run, whether each is due, and its outcome, shape (rows,) each.

    The outcome is 1 for default, 0 for paid and nan if it is not known.

    Args:
        run: row of the scoring run, with `batch_id`, `revision` and `lookup_delivery_id`.
    """
    scores = _scores(session, run)
    columns = columns_that_decide(session.contract)
    inputs = pa.table({KEY: scores.column(KEY)})
    if columns:
        delivery_id = run["lookup_delivery_id"]
        inputs = read_derived(
            session, run["batch_id"], run["revision"], columns, delivery_id=delivery_id
        )
        inputs = inputs.take(_places(scores, inputs))
    _, is_due = _due(session, run, scores, inputs)
    return scores.column(KEY), is_due, _outcomes(session, run, scores)["outcome"]


def _due(
    session: Session, run: database.Row, scores: pa.Table, inputs: pa.Table
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each scored loan is funded, and whether it is due, shape (rows,) each."""
    contract, batch_id = session.contract, run["batch_id"]
    approved = scores.column("is_approved_by_run").to_numpy()
    if contract.outcomes.known_for == APPROVED_LOANS:
        approved = overruled(scores, approved, people_who_approved(session, batch_id))
    columns = {name: inputs.column(name) for name in columns_that_decide(contract)}
    funded = is_funded(contract, approved, columns)
    final = is_final(contract, batch_id, len(scores), columns, outcomes_known_until(session))
    return funded, funded & final


def _scores(session: Session, run: database.Row) -> pa.Table:
    query = sql.SQL(
        "SELECT loan_id, default_probability, decision = 'approve', decision_of_run = 'approve',"
        " persona, grade FROM champion_scores"
        " WHERE batch_id = {batch_id} AND scoring_run_id = {run_id}"
        " AND default_probability IS NOT NULL ORDER BY loan_id"
    ).format(**_run(run))
    types = {
        **column_types(session.contract, [KEY]),
        "default_probability": pa.float64(),
        "is_approved": pa.bool_(),
        "is_approved_by_run": pa.bool_(),
        "persona": CODED,
        "grade": CODED,
    }
    return database.copy_out(session.connection, query, types)


def _grades(session: Session, run: database.Row, scores: pa.Table) -> dict[str, Labels]:
    """Return the grade of each scored loan under BY_GRADE, in the order of the scale.

    Empty if no score has a grade.
    """
    if scores.column("grade").null_count == len(scores):
        return {}
    row = registry.model_row(session, run["propensity_version"])
    scale = scale_of(session.contract, row["evaluation"])
    found = labels(scores.column("grade"))
    order = scale.names if scale is not None else []
    names = [*order, *sorted(set(found.names) - set(order))]
    places = np.array([names.index(name) for name in found.names])
    return {BY_GRADE: Labels(names, places[found.codes])}


def _outcomes(session: Session, run: database.Row, scores: pa.Table) -> dict[str, np.ndarray]:
    """Return `outcome` and `recovered` of each scored loan, shape (rows,). Unknown values are nan.

    Args:
        session: database session.
        run: row of the scoring run.
        scores: scored loans, with their loan_id.
    """
    query = sql.SQL(
        "SELECT loan_id, is_default::int, recovered FROM outcomes WHERE loan_id = ANY(ARRAY("
        "SELECT loan_id FROM champion_scores"
        " WHERE batch_id = {batch_id} AND scoring_run_id = {run_id}"
        " AND default_probability IS NOT NULL))"
    ).format(**_run(run))
    facts = {"outcome": pa.float64(), "recovered": pa.float64()}
    types = {**column_types(session.contract, [KEY]), **facts}
    known = database.copy_out(session.connection, query, types)
    places = _places(scores, known)
    return {name: as_floats(known.column(name).take(places)) for name in facts}


def _run(run: database.Row) -> dict[str, sql.Literal]:
    return {
        "batch_id": sql.Literal(run["batch_id"]),
        "run_id": sql.Literal(run["scoring_run_id"]),
    }


def _places(wanted: pa.Table, table: pa.Table) -> pa.ChunkedArray:
    """Return the index in `table` of each loan in `wanted`, or null if `table` lacks the loan."""
    return pc.index_in(wanted.column(KEY), value_set=table.column(KEY).combine_chunks())
