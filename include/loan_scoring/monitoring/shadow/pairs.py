"""Read the scores of a night by the champion and by the challenger in shadow, loan by loan."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.applications import column_types
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.monitoring.performance.batch import due_outcomes


@dataclass(frozen=True)
class PairedNight:
    """The loans of a night, sorted by loan_id, with the scores of both models.

    Probabilities are nan where a loan is referred. `outcome` is 1 for default, 0 for paid, and nan
    where it is not final or not known, and everywhere until enough outcomes are known.
    """

    decision: np.ndarray
    champion_decision: np.ndarray
    probability: np.ndarray
    champion_probability: np.ndarray
    outcome: np.ndarray

    @property
    def is_judged(self) -> np.ndarray:
        """Whether each loan has a probability of both models, shape (rows,)."""
        return np.asarray(~np.isnan(self.probability) & ~np.isnan(self.champion_probability))

    @property
    def is_known(self) -> np.ndarray:
        """Whether each loan has an outcome too, shape (rows,)."""
        return np.asarray(self.is_judged & ~np.isnan(self.outcome))


def read_pairs(session: Session, run: database.Row, shadow_run_id: str) -> PairedNight:
    """Return the loans of a night with the scores of both models and their outcomes.

    In a night with a canary, the champion's scores of the canary's loans are in `shadow_scores`.

    Args:
        session: database session.
        run: row of the scoring run of the night.
        shadow_run_id: id of the challenger's run.

    Raises:
        StateError: a loan has the score of one model only.
    """
    values = {
        "batch_id": sql.Literal(run["batch_id"]),
        "run_id": sql.Literal(run["scoring_run_id"]),
        "champion": sql.Literal(run["propensity_version"]),
        "shadow_run_id": sql.Literal(shadow_run_id),
    }
    champion = _read(
        session,
        sql.SQL(
            "SELECT loan_id, default_probability, decision FROM ("
            " SELECT loan_id, default_probability, decision FROM scores"
            " WHERE batch_id = {batch_id} AND scoring_run_id = {run_id}"
            " AND propensity_version = {champion} UNION ALL"
            " SELECT loan_id, default_probability, decision FROM shadow_scores"
            " WHERE batch_id = {batch_id} AND scoring_run_id = {run_id}) AS each"
            " ORDER BY loan_id"
        ).format(**values),
    )
    own = _read(
        session,
        sql.SQL(
            "SELECT loan_id, default_probability, decision FROM shadow_scores"
            " WHERE batch_id = {batch_id} AND scoring_run_id = {shadow_run_id} ORDER BY loan_id"
        ).format(**values),
    )
    if not own.column(KEY).equals(champion.column(KEY)):
        raise StateError(
            f"{shadow_run_id} has {len(own):,} scores, and the champion has {len(champion):,}, "
            "not of the same loans; clear the tasks of this night's run of the DAG shadow"
        )
    outcome = np.full(len(own), np.nan)
    loans, is_due, known = due_outcomes(session, run)
    share = np.mean(~np.isnan(known[is_due])) if is_due.any() else 0.0
    if share >= session.contract.performance.mature_share:
        places = pc.index_in(own.column(KEY), value_set=loans.combine_chunks())
        found = pa.array(np.where(is_due, known, np.nan)).take(places)
        outcome = found.to_numpy(zero_copy_only=False).astype(float)
    return PairedNight(
        own.column("decision").to_numpy(),
        champion.column("decision").to_numpy(),
        own.column("default_probability").to_numpy(),
        champion.column("default_probability").to_numpy(),
        outcome,
    )


def _read(session: Session, query: sql.Composed) -> pa.Table:
    types = {
        **column_types(session.contract, [KEY]),
        "default_probability": pa.float64(),
        "decision": pa.string(),
    }
    return database.copy_out(session.connection, query, types)
