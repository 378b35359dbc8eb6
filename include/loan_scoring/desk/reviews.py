"""Compare what people decided with what the model's probability alone would have decided.

An override is a person's decision against that of the model (view `reviews`). An override `up`
approves where the probability says decline, and an override `down` declines where it says approve.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import HISTORY, Contract
from loan_scoring.contract.outcomes import ALL_LOANS
from loan_scoring.database.cohorts import outcomes_known_until
from loan_scoring.database.session import Session
from loan_scoring.models.numbers import as_floats
from loan_scoring.monitoring.performance.figures import holdout_curve
from loan_scoring.statistics.intervals import Estimate, wilson
from loan_scoring.statistics.parts import holm, is_apart, part_p_values, shifted

UP, DOWN, NONE = "up", "down", "none"
KINDS = (
    ("approve", UP, "Approved, nearer to decline"),
    ("approve", NONE, "Approved, nearer to approve"),
    ("approve", "", "Approved, without a probability"),
    ("decline", DOWN, "Declined, nearer to approve"),
    ("decline", NONE, "Declined, nearer to decline"),
    ("decline", "", "Declined, without a probability"),
)
"""Decision, override and title of each kind of review. The override of `refer` is empty."""


@dataclass(frozen=True)
class Reviews:
    """The last decision of a person on each of some loans, as arrays of shape (rows,).

    `expected` is the probability of default that the person saw, corrected by the calibration curve
    of the model's hold-out, and nan without a probability. `outcome` is 1 for default, 0 for paid,
    and nan if no final outcome is known.
    """

    decided_by: np.ndarray
    decision: np.ndarray
    override: np.ndarray
    expected: np.ndarray
    outcome: np.ndarray


@dataclass(frozen=True)
class OutcomesOfReviews:
    """The outcomes of some reviews: observed default rate with its interval, and expected rate.

    Both rates are of the `outcomes` loans with a final outcome. They are None without such loans,
    and `expected` also if the loans have no probability.
    """

    loans: int
    outcomes: int
    expected: float | None
    observed: Estimate | None


@dataclass(frozen=True)
class Overrides:
    """How often people decide against the model, and how often they could.

    `up` is the share of approved loans among the `said_decline` loans that the model would decline.
    `down` is the share of declined loans among the `said_approve` loans that it would approve.
    """

    loans: int
    said_decline: int
    up: Estimate | None
    said_approve: int
    down: Estimate | None


@dataclass(frozen=True)
class Reviewer:
    """The reviews of one person. `approved` are the outcomes of loans that the person approved.

    `difference` is their default rate minus what is expected after a common shift of all people's
    loans, and `p_adjusted` its exact p-value, adjusted by Holm's method over all persons. Both are
    None if no test is possible.
    """

    name: str
    overrides: Overrides
    approved: OutcomesOfReviews
    difference: float | None = None
    p_adjusted: float | None = None
    stands_out: bool = False


def read_reviews(session: Session, batch_id: str | None = None, days: int | None = None) -> Reviews:
    """Return the reviews of a batch, or of all batches within the last days.

    An outcome counts once it is final by the contract's `outcomes.window_days`. Outcomes of
    declined loans count only if the contract says that all loans have one.

    Args:
        session: database session that reads.
        batch_id: batch of the loans. If None, those of all batches are read.
        days: days since the decision. If None, the age of the decision does not matter.
    """
    conditions: list[sql.Composable] = [sql.SQL("true")]
    if batch_id is not None:
        conditions.append(sql.SQL("v.batch_id = {}").format(sql.Literal(batch_id)))
    if days is not None:
        since = sql.SQL("v.decided_at >= now() - make_interval(days => {})")
        conditions.append(since.format(sql.Literal(days)))
    query = sql.SQL(
        "SELECT v.decided_by, v.decision, coalesce(v.override, ''), v.default_probability,"
        " v.propensity_version, CASE WHEN {counts} THEN o.is_default::int END"
        " FROM reviews AS v LEFT JOIN outcomes AS o USING (loan_id) {applications}"
        " WHERE {conditions} ORDER BY v.decided_at, v.loan_id"
    ).format(
        counts=_is_final(session),
        applications=_applications(session.contract),
        conditions=sql.SQL(" AND ").join(conditions),
    )
    types = {
        "decided_by": pa.string(), "decision": pa.string(), "override": pa.string(),
        "default_probability": pa.float64(), "propensity_version": pa.string(),
        "outcome": pa.float64(),
    }  # fmt: skip
    found = database.copy_out(session.connection, query, types)
    probability = as_floats(found.column("default_probability"))
    versions = np.array(found.column("propensity_version").to_pylist(), dtype=object)
    expected = np.full(len(found), np.nan)
    for version in sorted(set(versions.tolist())):
        rows = (versions == version) & ~np.isnan(probability)
        model = database.row(session.connection, "select_model", model_version=version)
        if model is not None and rows.any():
            expected[rows] = holdout_curve(model).corrected(probability[rows])
    decided_by, decision, override = (
        np.array(found.column(name).to_pylist(), dtype=object)
        for name in ("decided_by", "decision", "override")
    )
    return Reviews(decided_by, decision, override, expected, as_floats(found.column("outcome")))


def _is_final(session: Session) -> sql.Composable:
    """Return the SQL condition under which the outcome of a reviewed loan counts.

    It is that of `due.is_funded` and `due.is_final`. A loan that a person approved, and that has an
    outcome, is funded.
    """
    declared = session.contract.outcomes
    funded = sql.SQL("true" if declared.known_for == ALL_LOANS else "v.decision = 'approve'")
    if declared.window_days is None:
        return funded
    start = sql.SQL("nullif(v.batch_id, {})::date").format(sql.Literal(HISTORY))
    if declared.counted_from is not None:
        start = sql.SQL("a.{}, {}").format(sql.Identifier(declared.counted_from), start)
    return sql.SQL("{} AND coalesce({}, '-infinity') + {} <= {}").format(
        funded,
        start,
        sql.Literal(declared.window_days),
        sql.Literal(outcomes_known_until(session)),
    )


def _applications(contract: Contract) -> sql.Composable:
    """Return the SQL join that gives the date from which the outcome window counts."""
    if contract.outcomes.counted_from is None:
        return sql.SQL("")
    return sql.SQL(
        "LEFT JOIN current_applications AS a ON a.loan_id = v.loan_id AND a.batch_id = v.batch_id"
    )


def outcomes_of(reviews: Reviews, rows: np.ndarray) -> OutcomesOfReviews:
    """Return the outcomes of those reviews where `rows` is true, shape (rows,)."""
    known = rows & ~np.isnan(reviews.outcome)
    outcomes, defaults = int(known.sum()), float(reviews.outcome[known].sum())
    observed = Estimate(defaults / outcomes, *wilson(defaults, outcomes)) if outcomes else None
    expected = float(reviews.expected[known].mean()) if outcomes else float("nan")
    return OutcomesOfReviews(
        int(rows.sum()), outcomes, expected if np.isfinite(expected) else None, observed
    )


def outcomes_by_kind(reviews: Reviews) -> list[tuple[str, OutcomesOfReviews]]:
    """Return the title and the outcomes of each kind of review that has a loan."""
    found = []
    for decision, override, title in KINDS:
        rows = (reviews.decision == decision) & (reviews.override == override)
        if rows.any():
            found.append((title, outcomes_of(reviews, rows)))
    return found


def overrides_of(reviews: Reviews, rows: np.ndarray) -> Overrides:
    """Return how often those reviews where `rows` is true overrule the model."""

    def share(override: str, decision: str) -> tuple[int, Estimate | None]:
        # The model would have decided the opposite, unless the person decided as the model says.
        taken = int((rows & (reviews.override == override)).sum())
        kept = rows & (reviews.override == NONE) & (reviews.decision != decision)
        of = taken + int(kept.sum())
        return of, Estimate(taken / of, *wilson(taken, of)) if of else None

    return Overrides(int(rows.sum()), *share(UP, "approve"), *share(DOWN, "decline"))


def agreement_of(reviews: Reviews) -> tuple[int, Estimate | None]:
    """Return how many reviews are of loans with a probability, and the share as the model says.

    The share is None without such a review.
    """
    judged = int((reviews.override != "").sum())
    agreed = int((reviews.override == NONE).sum())
    return judged, Estimate(agreed / judged, *wilson(agreed, judged)) if judged else None


def reviews_by_person(contract: Contract, reviews: Reviews) -> list[Reviewer]:
    """Return the reviews of each person, sorted by name.

    A person stands out if the loans that the person approved default more or less often than
    expected, and than those of all other people: the adjusted p-value is below `monitoring.q`, and
    both distances are at least the floor of a default rate. Loans are not given to people at
    random, so a difference is a reason to look, not a proof.

    Args:
        contract: contract with the limits.
        reviews: reviews of all people.
    """
    return list(_with_tests(contract, reviews, sorted(set(reviews.decided_by.tolist()))))


def _with_tests(contract: Contract, reviews: Reviews, names: list[str]) -> Iterator[Reviewer]:
    counted = (
        (reviews.decision == "approve") & ~np.isnan(reviews.outcome) & ~np.isnan(reviews.expected)
    )
    y, person = reviews.outcome[counted], np.searchsorted(names, reviews.decided_by[counted])
    loans = np.bincount(person, minlength=len(names))
    p_adjusted = excess = np.full(len(names), np.nan)
    if 0 < y.sum() < len(y) and (loans > 0).sum() > 1:
        level = shifted(y, reviews.expected[counted])
        tested = loans > 0
        p_values = part_p_values(y, level, person, len(names))
        p_adjusted = np.where(tested, 1.0, np.nan)
        p_adjusted[tested] = holm(p_values[tested])
        with np.errstate(invalid="ignore"):
            excess = np.bincount(person, weights=y - level, minlength=len(names)) / loans
    for name, p, difference in zip(names, p_adjusted.tolist(), excess.tolist(), strict=True):
        rows = reviews.decided_by == name
        approved = rows & (reviews.decision == "approve") & ~np.isnan(reviews.expected)
        outcomes = outcomes_of(reviews, approved)
        reviewer = Reviewer(name, overrides_of(reviews, rows), outcomes)
        if np.isfinite(p) and outcomes.observed is not None and outcomes.expected is not None:
            floor = contract.performance.rate_floor(outcomes.expected)
            is_far = is_apart(outcomes.observed.value - outcomes.expected, difference, floor)
            is_out = p < contract.monitoring.q and is_far
            reviewer = replace(reviewer, difference=difference, p_adjusted=p, stands_out=is_out)
        yield reviewer
