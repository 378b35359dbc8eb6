"""Say which labelled loans training may read: those of mature cohorts, whose outcomes are final.

A cohort is the applications of one batch. Defaults are known before most paid loans are. So the
labelled loans of a young cohort default more often than the cohort will (docs/adr/0038).
"""

from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.contract.business_dates import local_time
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session


@dataclass(frozen=True)
class Cohort:
    """The outcomes of a batch's current revision.

    - `applicants`: all applications.
    - `labelled` and `labelled_defaults`: applications with an outcome, and those that defaulted.
    - `final` and `final_defaults`: of these, the applications whose outcome window is over.
    - `funded`: applications that can have an outcome, and whose outcome window is over.
    - `funded_labelled`: of these, the applications with an outcome.
    - `declined`: applications that cannot have an outcome, and have none.
    - `is_mature`: whether training may read the cohort.
    """

    batch_id: str
    revision: int
    sha256: str
    source: str
    applicants: int
    labelled: int
    labelled_defaults: int
    final: int
    final_defaults: int
    funded: int
    funded_labelled: int
    declined: int
    is_mature: bool


TYPES = {str: pa.string(), int: pa.int64()}
"""Types of the columns that are read."""


@dataclass(frozen=True)
class Cohorts:
    """All cohorts, in the order of their batches, and the last day of applications that are final.

    `last_day` is None if the contract declares no outcome window. `as_of` is the day until which
    outcomes are known.
    """

    contract: Contract
    every: list[Cohort]
    as_of: date | None
    last_day: date | None

    @property
    def mature(self) -> list[Cohort]:
        """The cohorts that training reads."""
        return [each for each in self.every if each.is_mature]

    @property
    def loans(self) -> int:
        """The number of loans that training reads."""
        return sum(each.final for each in self.mature)

    @property
    def defaults(self) -> int:
        """How many of `loans` defaulted."""
        return sum(each.final_defaults for each in self.mature)

    @property
    def last(self) -> str | None:
        """The last batch that training reads, `history` only if there is no other. None if none."""
        batch_ids = [each.batch_id for each in self.mature]
        return max(batch_ids, key=lambda each: (each != HISTORY, each), default=None)

    def since(self, batch_id: str | None) -> list[Cohort]:
        """Return the mature cohorts from a batch on, without `history`. All, if it is None."""
        return [
            each for each in self.mature if batch_id is None or HISTORY != each.batch_id >= batch_id
        ]

    def of_final(self) -> sql.Composable:
        """Return the SQL condition on loans that training reads, in terms of `a`, the application.

        It holds for the loans that `loans` counts, if each of them has an outcome, or for those of
        them that are drawn.
        """
        condition = sql.SQL("{} AND {}").format(
            of_batches(self.mature), is_over(self.contract, self.last_day)
        )
        if self.drawn_share == 1:
            return condition
        # The hash is compared as a text of hexadecimal digits. A larger share has the loans of a
        # smaller one, so a loan stays drawn while the share does not fall.
        return sql.SQL('{} AND left(md5({} || a.loan_id::text), 8) COLLATE "C" < {}').format(
            condition,
            sql.Literal(f"drawn:{self.contract.training.seed}:"),
            sql.Literal(f"{int(self.drawn_share * 16**8):08x}"),
        )

    @property
    def drawn_share(self) -> float:
        """The share of `loans` that a training draws. 1 if the contract's `max_loans` holds all."""
        most = self.contract.training.max_loans
        return 1.0 if most is None or self.loans <= most else most / self.loans

    def drawn_text(self) -> str | None:
        """Return one sentence on the loans that are drawn. None if all are read."""
        if self.drawn_share == 1:
            return None
        return (
            f"Of {self.loans:,} labelled loans a hash of the key draws about "
            f"{self.contract.training.max_loans:,} (training.max_loans)"
        )

    def left_out(self) -> dict[str, Any]:
        """Return which labelled loans training leaves out, ready for JSON.

        `loans` and `defaults` count all of them. `batches` lists the immature cohorts. `too_young`
        counts the loans whose outcome window is not over, in all cohorts.
        """
        immature = [each for each in self.every if not each.is_mature and each.labelled]
        return {
            "loans": sum(each.labelled for each in self.every) - self.loans,
            "defaults": sum(each.labelled_defaults for each in self.every) - self.defaults,
            "too_young": sum(each.labelled - each.final for each in self.every),
            "batches": [
                {
                    "batch_id": each.batch_id,
                    "labelled": each.labelled,
                    "defaults": each.labelled_defaults,
                    "funded": each.funded,
                    "funded_labelled": each.funded_labelled,
                }
                for each in immature
            ],
        }

    def left_out_text(self) -> str | None:
        """Return one sentence on the labelled loans that are left out. None if there are none."""
        found = self.left_out()
        if not found["loans"]:
            return None
        window = self.contract.outcomes.window_days
        why = [] if window is None else [
            f"{found['too_young']:,} because their {window} days were not over on {self.as_of}"
        ]  # fmt: skip
        rest = found["loans"] - found["too_young"]
        if rest:
            share = self.contract.performance.mature_share
            why.append(
                f"{rest:,} because fewer than {share:.0%} of the loans of their batch that can "
                "have an outcome have one (performance.mature_share, outcomes.known_for)"
            )
        return f"{found['loans']:,} labelled loans are left out: {', and '.join(why)}"


def read_cohorts(session: Session) -> Cohorts:
    """Return the cohorts of a portfolio, counted in one query over all current applications."""
    contract = session.contract
    as_of, window = outcomes_known_until(session), contract.outcomes.window_days
    last_day = None if as_of is None or window is None else as_of - timedelta(days=window)
    query = sql.SQL(
        "SELECT a.batch_id, a.revision, b.sha256, b.source, count(*) AS applicants,"
        " count(o.loan_id) AS labelled,"
        " count(*) FILTER (WHERE o.is_default) AS labelled_defaults,"
        " count(o.loan_id) FILTER (WHERE {is_over}) AS final,"
        " count(*) FILTER (WHERE o.is_default AND {is_over}) AS final_defaults,"
        " count(*) FILTER (WHERE {is_funded} AND {is_over}) AS funded,"
        " count(o.loan_id) FILTER (WHERE {is_funded} AND {is_over}) AS funded_labelled,"
        " count(*) FILTER (WHERE o.loan_id IS NULL AND NOT {is_funded}) AS declined"
        " FROM current_applications AS a"
        " JOIN batches AS b ON b.batch_id = a.batch_id AND b.revision = a.revision"
        " LEFT JOIN outcomes AS o ON o.loan_id = a.loan_id{decisions}"
        " GROUP BY a.batch_id, a.revision, b.sha256, b.source ORDER BY a.batch_id"
    ).format(
        is_over=is_over(contract, last_day),
        is_funded=is_funded(contract),
        decisions=join_decisions(contract),
    )
    types = {field.name: TYPES[field.type] for field in fields(Cohort) if field.type in TYPES}
    found = database.copy_out(session.connection, query, types).to_pylist()
    every = [Cohort(**row, is_mature=_is_mature(contract, row)) for row in found]
    return Cohorts(contract, every, as_of, last_day)


def is_funded(contract: Contract) -> sql.Composable:
    """Return the SQL condition on loans that can have an outcome, in terms of `a` and `d`.

    `a` is the application and `d` its decision in effect. A loan without a decision on record
    counts as not funded if `known_for` is `approved`.
    """
    known_for = contract.outcomes.known_for
    if known_for == "all":
        return sql.SQL("true")
    if known_for == "approved":
        return sql.SQL("coalesce(d.decision = 'approve', false)")
    return sql.SQL("coalesce(a.{}, false)").format(sql.Identifier(known_for))


def join_decisions(contract: Contract) -> sql.Composable:
    """Return the SQL join that `is_funded` needs. Without such a need it is empty."""
    is_needed = contract.outcomes.known_for == "approved"
    join = (
        " LEFT JOIN decisions_in_effect AS d ON d.batch_id = a.batch_id AND d.loan_id = a.loan_id"
    )
    return sql.SQL(join * is_needed)


def of_batches(cohorts: list[Cohort]) -> sql.Composable:
    """Return the SQL condition on applications of some cohorts, in terms of `a`."""
    return sql.SQL("a.batch_id = ANY({}::text[])").format(
        sql.Literal([each.batch_id for each in cohorts])
    )


def _is_mature(contract: Contract, row: dict[str, Any]) -> bool:
    """Return whether training reads a cohort.

    At least `mature_share` of its loans that can have an outcome, and whose window is over, must
    have one. The labels of `history` are complete by declaration. If no loan of the batch has a
    decision on record, this share is not known, and only an outcome window can tell.
    """
    if row["final"] == 0:
        return False
    if row["batch_id"] == HISTORY:
        return True
    if row["funded"] == 0:
        return contract.outcomes.window_days is not None
    least = contract.performance.mature_share
    return bool(row["funded_labelled"] >= least * row["funded"])


def is_over(contract: Contract, last_day: date | None) -> sql.Composable:
    """Return the SQL condition on loans whose outcome window is over, in terms of `a`.

    The window of a loan without a date in the column `counted_from` counts from the date of its
    batch. Such a loan of `history` is old enough.

    Args:
        contract: contract with the outcome window.
        last_day: last day whose outcomes are final. None if no outcome is known.
    """
    if contract.outcomes.window_days is None:
        return sql.SQL("true")
    if last_day is None:
        return sql.SQL("false")
    of_batch = sql.SQL("(a.batch_id = {} OR a.batch_id <= {})").format(
        sql.Literal(HISTORY), sql.Literal(last_day.isoformat())
    )
    column = contract.outcomes.counted_from
    if column is None:
        return of_batch
    return sql.SQL("coalesce(a.{} <= {}, {})").format(
        sql.Identifier(column), sql.Literal(last_day), of_batch
    )


def cohort_day(contract: Contract) -> sql.Composable:
    """Return the SQL expression of a loan's cohort, a day as text, in terms of `a`.

    It is the date in the column `counted_from`, or else that of the batch. It is null for a loan of
    `history` without such a date.
    """
    of_batch = sql.SQL("nullif(a.batch_id, {})").format(sql.Literal(HISTORY))
    column = contract.outcomes.counted_from
    if column is None:
        return of_batch
    return sql.SQL("coalesce(to_char(a.{}, 'YYYY-MM-DD'), {})").format(
        sql.Identifier(column), of_batch
    )


def outcomes_known_until(session: Session) -> date | None:
    """Return the last day of which outcomes are known, in the portfolio's time zone.

    Without the contract's `as_of` this is the day on which outcomes were last taken in. Return None
    if there never were any.
    """
    declared = session.contract.outcomes.as_of
    if declared is not None:
        return declared
    last = database.row(session.connection, "select_last_outcome_intake")
    taken_at = last and last["taken_at"]
    timezone = session.contract.schedules.timezone
    return local_time(timezone, taken_at).date() if taken_at else None
