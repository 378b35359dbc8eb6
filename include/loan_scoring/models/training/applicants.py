"""Read applicants whether they have an outcome or not: for the baseline, and the declined ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from psycopg2 import sql

from loan_scoring.database.cohorts import Cohort, Cohorts, is_funded, of_batches
from loan_scoring.database.session import Session
from loan_scoring.features.applications import read_sample


@dataclass(frozen=True)
class Applicants:
    """The applicants of the batches that a training reads, beyond the loans with final outcomes.

    `everyone` is a random sample of all applicants of the period, from which the baseline is
    computed. It is None if each of them is among the labelled rows, which are then the baseline.
    `declined` is a random sample of the applicants who can have no outcome. It is None if the
    contract says that every loan can have one, or if there are none. Both have `loan_id`, the
    columns of the labelled rows, but no outcome, and at most `monitoring.sample_rows` rows.

    `counts` has the sizes of the populations, ready for JSON: `applicants` of the period and
    `labelled` among them, and `declined` of all batches.
    """

    everyone: pa.Table | None = None
    declined: pa.Table | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, pa.Table]:
        """The tables that there are, by name."""
        named = {"everyone": self.everyone, "declined": self.declined}
        return {name: table for name, table in named.items() if table is not None}

    def select(self, columns: Sequence[str]) -> "Applicants":
        """Return the applicants with some columns only."""
        selected = {name: table.select(columns) for name, table in self.parts.items()}
        return Applicants(**selected, counts=self.counts)


NO_OTHERS = Applicants()
"""Applicants of a training in which everyone has a final outcome."""


def read_applicants(
    session: Session, cohorts: Cohorts, since: str | None, columns: Sequence[str]
) -> Applicants:
    """Return the applicants of a training.

    Args:
        session: database session.
        cohorts: cohorts of the portfolio, read in the same snapshot as the labelled rows.
        since: first batch of a change, or None. The period of the baseline begins with it.
        columns: names of the columns to read, which may be derived.
    """
    period = cohorts.since(since)
    counts = {
        "applicants": sum(each.applicants for each in period),
        "labelled": sum(each.final for each in period),
        "declined": sum(each.declined for each in cohorts.mature),
    }
    everyone = None
    if counts["applicants"] > counts["labelled"]:
        everyone = read_sample(session, columns, of_batches(period))
    declined = None
    if counts["declined"]:
        where = sql.SQL("{} AND o.loan_id IS NULL AND NOT {}").format(
            of_batches(cohorts.mature), is_funded(session.contract)
        )
        declined = read_sample(session, columns, where)
    return Applicants(everyone, declined, counts)


def batches_of(cohorts: Sequence[Cohort]) -> list[dict[str, Any]]:
    """Return the batches that a training reads, ready for JSON.

    `applications` and `defaults` count the loans with a final outcome, `applicants` all.
    """
    return [
        {
            "batch_id": each.batch_id,
            "revision": each.revision,
            "sha256": each.sha256,
            "source": each.source,
            "applications": each.final,
            "defaults": each.final_defaults,
            "applicants": each.applicants,
        }
        for each in cohorts
    ]


def describe_cohorts(cohorts: Cohorts) -> dict[str, Any]:
    """Return which cohorts a training reads, and what it leaves out, ready for JSON."""
    declared = cohorts.contract.outcomes
    as_of = cohorts.as_of
    return {
        "known_for": declared.known_for,
        "window_days": declared.window_days,
        "as_of": None if as_of is None else as_of.isoformat(),
        "last_day": None if cohorts.last_day is None else cohorts.last_day.isoformat(),
        "mature_share": cohorts.contract.performance.mature_share,
        "last": cohorts.last,
        "left_out": cohorts.left_out(),
        "left_out_text": cohorts.left_out_text(),
        "drawn_text": cohorts.drawn_text(),
    }
