"""Land the rows of an outcomes file in a temporary table, and quarantine impossible ones."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from loan_scoring import database
from loan_scoring.database.readahead import read_ahead
from loan_scoring.database.session import Session
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.outcome_rows import OutcomeColumns, parse_outcomes
from loan_scoring.ingest.quarantine import add_rejected_rows
from loan_scoring.ingest.row_rules import RejectedRow


@dataclass(frozen=True)
class LandedRows:
    """The row counts of an outcomes file in the temporary table `landed_outcomes`.

    `received` includes the rows of open loans, which are not in the table.
    """

    received: int
    open: int


@dataclass(frozen=True)
class ImpossibleRow:
    """A row of an outcomes file that cannot be true. What the row or its loan lacks is None."""

    line_number: int
    loan_id: int | str | None
    observed_on: date | None
    batch_id: str | None


@dataclass(frozen=True)
class ImpossibleRows:
    """The rows of an outcomes file that cannot be true: their rules by line number.

    `samples` has the first row that broke each rule.
    """

    rules: dict[int, list[str]] = field(default_factory=dict)
    samples: dict[str, ImpossibleRow] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows broke each rule, the most frequent rule first."""
        found = Counter(rule for rules in self.rules.values() for rule in rules)
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def land_outcomes(session: Session, columns: OutcomeColumns, blocks: Iterable[Block]) -> LandedRows:
    """Copy all rows of a file into the temporary table `landed_outcomes`, except open loans."""
    received = is_open = 0
    database.execute(session.connection, "create_landed_outcomes")
    for rows, without_outcome in read_ahead(parse_outcomes(session.contract, columns, blocks)):
        database.copy_in(session.connection, "landed_outcomes", rows.column_names, rows)
        received += rows.num_rows + without_outcome
        is_open += without_outcome
    return LandedRows(received, is_open)


def remove_impossible_outcomes(
    session: Session, columns: OutcomeColumns, drop_id: str, *, is_correction: bool
) -> ImpossibleRows:
    """Delete the landed rows that cannot be true from the temporary table, and return their rules.

    Args:
        session: session in the transaction that landed the rows.
        columns: how the file was read.
        drop_id: the file.
        is_correction: whether the file may contradict other files.
    """
    found = database.rows(
        session.connection,
        "delete_impossible_outcomes",
        drop_id=drop_id,
        is_correction=is_correction,
        is_of_a_month=columns.observed_on.is_of_a_month,
    )
    samples: dict[str, ImpossibleRow] = {}
    for row in sorted(found, key=lambda each: int(each["line_number"])):
        for rule in row["rules"]:
            if rule not in samples:
                samples[rule] = ImpossibleRow(
                    row["line_number"], row["loan_id"], row["observed_on"], row["batch_id"]
                )
    return ImpossibleRows({row["line_number"]: row["rules"] for row in found}, samples)


def quarantine_outcomes(
    session: Session, blocks: Iterable[Block], drop_id: str, revision: int, found: ImpossibleRows
) -> None:
    """Store the rows that cannot be true in table `quarantine`.

    The file is read again only if there is such a row, for the text of the rows. So a large file
    without faults copies no text.
    """
    if not found.rules:
        return
    lines = np.array(list(found.rules))
    for block in blocks:
        texts = {
            int(block.line_numbers[row]): block.raw_text(row)
            for row in np.flatnonzero(np.isin(block.line_numbers, lines)).tolist()
        }
        texts |= {each.line_number: each.raw_text for each in block.malformed}
        rejected = [RejectedRow(line, text, found.rules[line]) for line, text in texts.items()]
        add_rejected_rows(session, drop_id, revision, rejected)
