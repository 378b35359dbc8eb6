"""Measure approval and fairness of a batch after review, with the decisions of people taken in."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.applications import column_types
from loan_scoring.database.session import Session
from loan_scoring.features.applications import read_derived
from loan_scoring.models.groups import group_labels
from loan_scoring.monitoring.performance.due import people_who_approved
from loan_scoring.monitoring.performance.figures import (
    ESTIMATED,
    FairnessFigure,
    PerformanceFigure,
)
from loan_scoring.monitoring.performance.loss import ALL, approval_rate
from loan_scoring.statistics import fairness, group_differences
from loan_scoring.statistics.labels import Labels

IN_EFFECT = "in effect"


@dataclass(frozen=True)
class ReviewedBatch:
    """The decisions in effect on all loans of a scoring run, also on those without a probability.

    `decision` is `approve` or `decline`, by a person or by the policy, or `review` or `refer` if
    the loan waits for a person, shape (rows,). `groups` is as in `ScoredBatch`.
    """

    decision: np.ndarray
    groups: dict[str, Labels]

    @property
    def is_decided(self) -> np.ndarray:
        """Return whether each loan is decided and does not wait for a person, shape (rows,)."""
        return np.isin(self.decision, ("approve", "decline"))


def read_reviewed_batch(session: Session, run: database.Row) -> ReviewedBatch | None:
    """Return the decisions in effect on a scoring run. Return None if nobody has decided a loan.

    They are those of the view `decisions_in_effect`. The view is not read here, because the query
    planner has no statistics of rows that were just written, and would choose a bad join.
    """
    contract = session.contract
    people = people_who_approved(session, run["batch_id"])
    if not len(people):
        return None
    scores = database.copy_out(
        session.connection,
        sql.SQL(
            "SELECT loan_id, decision FROM scores"
            " WHERE batch_id = {} AND scoring_run_id = {} ORDER BY loan_id"
        ).format(sql.Literal(run["batch_id"]), sql.Literal(run["scoring_run_id"])),
        {**column_types(contract, [KEY]), "decision": pa.string()},
    )
    inputs = read_derived(
        session,
        run["batch_id"],
        run["revision"],
        contract.protected_groups,
        delivery_id=run["lookup_delivery_id"],
    )
    inputs = inputs.take(_places(scores, inputs))
    is_approved = people.column("is_approved").take(_places(scores, people))
    of_person = pc.if_else(is_approved, "approve", "decline")
    return ReviewedBatch(
        pc.coalesce(of_person, scores.column("decision")).to_numpy(zero_copy_only=False),
        {
            name: group_labels(contract, name, inputs.column(name))
            for name in contract.protected_groups
        },
    )


def approval_in_effect(batch: ReviewedBatch | None) -> list[PerformanceFigure]:
    """Return the share of decided loans that are approved. Loans that wait are left out.

    Return an empty list if nobody has decided a loan.
    """
    if batch is None or not batch.is_decided.any():
        return []
    approved = batch.decision[batch.is_decided] == "approve"
    rate = approval_rate(approved)
    return [PerformanceFigure(ALL, "approval_rate_in_effect", ESTIMATED, rate, len(approved))]


def fairness_in_effect(contract: Contract, batch: ReviewedBatch | None) -> list[FairnessFigure]:
    """Return the differences in approval rate after review between groups of protected columns.

    Loans that wait for a person are left out, and counted as `waiting` in `groups`. Approval of
    those who pay and of those who default is not compared, because loans that are declined have no
    outcome. Groups are compared as in `fairness_figures`.
    """
    if batch is None:
        return []
    found = []
    decided = batch.is_decided
    approved = batch.decision == "approve"
    for attribute, levels in batch.groups.items():
        stated = levels.among(decided)
        unknown = np.full(len(stated), np.nan)
        groups = fairness.groups_in_order(
            contract.group_rule(attribute), stated, unknown, approved[decided]
        )
        for each in groups:
            each["waiting"] = int((~decided & levels.mask(each["group"])).sum())
        compared = [each["group"] for each in groups if each["left_out"] is None]
        if len(compared) < 2:
            continue
        counts = group_differences.count_by_group(stated, compared, approved[decided])
        metrics = group_differences.demographic_parity(
            counts, contract.performance.resamples, contract.training.seed
        )
        found += [
            FairnessFigure(attribute, name, each, groups, IN_EFFECT)
            for name, each in metrics.items()
        ]
    return found


def _places(wanted: pa.Table, table: pa.Table) -> pa.ChunkedArray:
    return pc.index_in(wanted.column(KEY), value_set=table.column(KEY).combine_chunks())
