"""Write figures to the tables `performance`, `fairness` and `segments`."""

import json
from collections.abc import Sequence

import pyarrow as pa

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.performance.figures import (
    REALISED,
    FairnessFigure,
    PerformanceFigure,
)
from loan_scoring.monitoring.performance.segments import SegmentFigure
from loan_scoring.statistics.intervals import Estimate


def write_figures(
    session: Session,
    run: database.Row,
    found: Sequence[PerformanceFigure],
    outcomes_change_id: int | None,
) -> None:
    """Replace the rows of a scoring run in table `performance`, in the caller's transaction.

    Args:
        session: database session of the role that measures.
        run: row of the scoring run.
        found: the figures.
        outcomes_change_id: last change of outcomes before the outcomes were read. It is written
            with the realised figures.
    """
    database.execute(session.connection, "delete_performance", scoring_run_id=run["scoring_run_id"])
    rows = pa.table(
        {
            "scoring_run_id": pa.repeat(run["scoring_run_id"], len(found)),
            "segment": [each.segment for each in found],
            "metric": [each.metric for each in found],
            "basis": [each.basis for each in found],
            **_limits([each.estimate for each in found]),
            "baseline": _floats([each.baseline for each in found]),
            "loans": [each.loans for each in found],
            "outcomes_change_id": pa.array(
                [outcomes_change_id if each.basis == REALISED else None for each in found],
                pa.int64(),
            ),
        }
    )
    if found:
        database.copy_in(session.connection, "performance", rows.column_names, rows)


def write_fairness(session: Session, run: database.Row, found: Sequence[FairnessFigure]) -> None:
    """Replace the rows of a scoring run in table `fairness`, in the caller's transaction."""
    database.execute(session.connection, "delete_fairness", scoring_run_id=run["scoring_run_id"])
    rows = pa.table(
        {
            "scoring_run_id": pa.repeat(run["scoring_run_id"], len(found)),
            "attribute": [each.attribute for each in found],
            "metric": [each.metric for each in found],
            **_limits([each.estimate for each in found]),
            "groups": [json.dumps(each.groups) for each in found],
            "decisions": [each.decisions for each in found],
        }
    )
    if found:
        database.copy_in(session.connection, "fairness", rows.column_names, rows)


def write_segments(session: Session, run: database.Row, found: Sequence[SegmentFigure]) -> None:
    """Replace the rows of a scoring run in table `segments`, in the caller's transaction."""
    database.execute(session.connection, "delete_segments", scoring_run_id=run["scoring_run_id"])
    columns: dict[str, pa.Array] = {
        "scoring_run_id": pa.repeat(run["scoring_run_id"], len(found)),
        **{
            name: pa.array([getattr(each, name) for each in found])
            for name in ("segmented_by", "segment", "place", "loans")
        },
        "outcomes": pa.array([each.outcomes for each in found], pa.int64()),
        "stands_out": pa.array([each.stands_out for each in found], pa.bool_()),
    }
    for name in ("expected_default_rate", "expected_of_outcomes", "expected_auc", "difference",
                 "p_adjusted"):  # fmt: skip
        columns[name] = _floats([getattr(each, name) for each in found])
    for name, prefix in (
        ("approval_rate", "approval"),
        ("default_rate", "default"),
        ("calibration", "calibration"),
        ("auc", "auc"),
    ):
        estimates = [getattr(each, name) or Estimate(float("nan")) for each in found]
        limits = _limits(estimates)
        columns |= {
            name: limits["value"],
            f"{prefix}_lower": limits["lower"],
            f"{prefix}_upper": limits["upper"],
        }
    if found:
        rows = pa.table(columns)
        database.copy_in(session.connection, "segments", rows.column_names, rows)


def _limits(estimates: Sequence[Estimate]) -> dict[str, pa.Array]:
    return {
        name: _floats([getattr(each, name) for each in estimates])
        for name in ("value", "lower", "upper")
    }


def _floats(values: Sequence[float | None]) -> pa.Array:
    """Return the values as an Arrow array of float64. None and nan become null."""
    return pa.array(values, pa.float64(), from_pandas=True)
