"""Ingest a file of outcomes, and check the outcomes against known loans and known outcomes."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.readahead import read_ahead
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError, StateError
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import SourceTable, open_table
from loan_scoring.ingest.manifests import CheckedRows, read_manifest
from loan_scoring.ingest.quarantine import postgres_array, storable_text
from loan_scoring.ingest.row_rules import any_of, parse_column

log = logging.getLogger(__name__)

OBSERVED_ON = "observed_on"
"""The optional column with the date of each outcome. A file of `history` has no such column."""
FEW_ROWS = 10
"""A file of outcomes is refused only if at least this many rows break a rule.

A file may have only one or two late outcomes, so that a single broken row would exceed the limit on
the share of quarantined rows.
"""


@dataclass(frozen=True)
class TakenOutcomes:
    """The revision in which a file of outcomes was ingested, with its row counts.

    `drop_id` identifies the file by its name. `is_unchanged` is True if the file has no new
    content. Then no revision was added, and the fields describe the earlier revision.
    """

    drop_id: str
    revision: int
    received: int
    accepted: int
    quarantined: int
    is_unchanged: bool = False


def take_outcomes(session: Session, location: str | Path) -> TakenOutcomes:
    """Ingest a file of outcomes in one transaction.

    Ingesting the same bytes a second time changes nothing, with one exception. If a loan that was
    unknown the first time has since been ingested, all rows are checked again and become a new
    revision.

    A row goes to quarantine in each of these cases:

    - The row cannot be read.
    - The loan is unknown, or the date of the outcome is before the loan's application.
    - An earlier row of the file has the same loan.
    - The outcome contradicts the known outcome of the loan, or another row of the file.

    Raises:
        SourceError: the file cannot be read, or a column is missing.
        StateError: at least FEW_ROWS rows broke a rule, and the share of these rows is larger than
            the contract allows. Then nothing is changed.
    """
    with database.transaction(session.connection):
        taken = take_outcomes_within(session, location)
        key = {"batch_id": taken.drop_id, "revision": taken.revision}
        broken = database.rows(session.connection, "select_broken_rules", **key)
    unknown = sum(row["rows"] for row in broken if row["rule"] == f"unknown_loan:{KEY}")
    if unknown:
        log.warning(
            "%s: %s outcomes of unknown loans are in quarantine; "
            "ingest the batch of these loans, then this file again",
            taken.drop_id,
            unknown,
        )
    return taken


def take_outcomes_within(
    session: Session, location: str | Path, sha256: str | None = None
) -> TakenOutcomes:
    """Ingest a file of outcomes within the caller's transaction.

    Args:
        session: database session of the role that ingests.
        location: file of outcomes, or the file of `history`.
        sha256: hash that the file of `history` must have. With a hash, the file is ingested even if
            its bytes are unchanged, because loans that were unknown may be known now. None for a
            file of outcomes.

    Raises:
        SourceError: the file cannot be read, lacks a column, or has another hash.
        StateError: too many rows broke a rule, as in `take_outcomes`.
    """
    contract, connection = session.contract, session.connection
    drop_id = f"outcomes-{Path(location_label(location)).name.split('.')[0]}"
    wanted = [contract.key.source, contract.target.source]
    with open_table(
        location, wanted, encoding=contract.source.encoding, optional=[OBSERVED_ON]
    ) as table:
        if sha256 is not None and sha256 != table.sha256:
            raise SourceError(
                f"{location_label(location)}: the file changed since it landed; ingest it again"
            )
        # Ingest one file at a time, because otherwise two files with contradicting outcomes of
        # a loan could both pass the check.
        database.lock(connection, "outcomes")
        known = database.row(connection, "select_outcome_drop", drop_id=drop_id)
        same = known if known and known["sha256"] == table.sha256 and sha256 is None else None
        if same and not same["has_unknown_loans"]:
            return _unchanged(same)
        received = 0
        database.execute(connection, "create_landed_outcomes")
        for rows in read_ahead(_parsed(contract, table)):
            database.copy_in(connection, "landed_outcomes", rows.column_names, rows)
            received += rows.num_rows
        if sha256 is None:
            manifest = read_manifest(contract, location, with_totals=False)
            CheckedRows(contract, table, manifest).check(received)
        if same and not _is_any_known_now(session, same):
            return _unchanged(same)
        revision = known["revision"] + 1 if known is not None else 1
        key = {"drop_id": drop_id, "revision": revision}
        database.execute(
            connection,
            "insert_outcome_drop",
            **key,
            source=location_label(location),
            sha256=table.sha256,
        )
    quarantined = database.execute(connection, "quarantine_landed_outcomes", **key)
    database.execute(connection, "insert_landed_outcomes", **key)
    limit = contract.ingest.max_quarantined_share
    if quarantined >= FEW_ROWS and quarantined > limit * received:
        raise StateError(
            f"{location_label(location)}: {quarantined} of {received} outcomes broke a rule "
            f"{_rules_and_remedy(session, drop_id, revision)}"
        )
    taken = TakenOutcomes(drop_id, revision, received, received - quarantined, quarantined)
    database.execute(
        connection,
        "update_outcome_drop",
        **key,
        received=received,
        accepted=taken.accepted,
        quarantined=quarantined,
    )
    return taken


def _unchanged(known: database.Row) -> TakenOutcomes:
    log.info("%s: unchanged, revision %s has the same bytes", known["drop_id"], known["revision"])
    counts = {name: known[name] for name in ("received", "accepted", "quarantined")}
    return TakenOutcomes(known["drop_id"], known["revision"], **counts, is_unchanged=True)


def _is_any_known_now(session: Session, known: database.Row) -> bool:
    """Return whether a loan that was unknown when the revision was ingested is known now."""
    key = {"drop_id": known["drop_id"], "revision": known["revision"]}
    return database.row(session.connection, "select_loan_known_since", **key) is not None


def _rules_and_remedy(session: Session, drop_id: str, revision: int) -> str:
    """Return, for the error message, the rules broken most often and what the user can do."""
    connection, target = session.connection, session.contract.target
    key = {"batch_id": drop_id, "revision": revision}
    broken = database.rows(connection, "select_broken_rules", **key)
    most = ", ".join(f"{row['rule']} {row['rows']}" for row in broken[:3])
    remedies = {
        "unknown_loan": "ingest the batches of these loans first",
        "unknown_level": f"target.positive is {target.positive}, target.negative "
        f"{target.negative}: correct the contract or the file",
    }
    remedy = remedies.get(broken[0]["rule"].partition(":")[0], "correct the file")
    return (
        f"({most}); the contract allows "
        f"{session.contract.ingest.max_quarantined_share:.0%}; nothing was changed; {remedy}"
    )


def _parsed(contract: Contract, table: SourceTable) -> Iterator[pa.Table]:
    """Yield a table of typed records for each block, malformed records included.

    Column `rules` has the rules that a record breaks by itself. Rules that compare the record with
    other records or with known loans are checked later, in SQL.
    """
    for block in table:
        loan_id, broken = parse_column(contract.key, block)
        unreadable = any_of([mask for _, mask in broken], len(loan_id))
        is_null = loan_id.is_null().to_numpy(zero_copy_only=False)
        broken.append((f"null_key:{KEY}", is_null & ~unreadable))
        labels = pc.utf8_trim_whitespace(
            block.table.column(contract.target.source).combine_chunks()
        )
        positive = pc.is_in(labels, value_set=pa.array(contract.target.positive))
        negative = pc.is_in(labels, value_set=pa.array(contract.target.negative))
        known = pc.or_(positive, negative)
        unknown = ~known.to_numpy(zero_copy_only=False)
        broken.append((f"unknown_level:{contract.target.source}", unknown))
        observed_on, wrong = _dates(block.table)
        broken.append((f"not_a_date:{OBSERVED_ON}", wrong))
        rows, malformed = range(block.table.num_rows), block.malformed
        yield pa.table(
            {
                "line_number": [*block.line_numbers.tolist(), *(m.line_number for m in malformed)],
                "raw_text": [
                    *(storable_text(block.raw_text(row)) for row in rows),
                    *(storable_text(m.raw_text) for m in malformed),
                ],
                "rules": [
                    *(postgres_array([rule for rule, mask in broken if mask[row]]) for row in rows),
                    *(postgres_array([m.reason]) for m in malformed),
                ],
                KEY: _padded(loan_id, len(malformed)),
                "is_default": _padded(
                    pc.if_else(known, positive, pa.scalar(None, pa.bool_())), len(malformed)
                ),
                OBSERVED_ON: _padded(observed_on, len(malformed)),
            }
        )


def _padded(values: pa.Array, nulls: int) -> pa.Array:
    return pa.concat_arrays([values, pa.nulls(nulls, values.type)])


def _dates(table: pa.Table) -> tuple[pa.Array, np.ndarray]:
    """Return column `observed_on` as dates, and a mask of the rows that are not a date.

    Dates that cannot be read are null. If the table has no such column, all dates are null and the
    mask marks no row.
    """
    if OBSERVED_ON not in table.column_names:
        return pa.nulls(table.num_rows, pa.date32()), np.zeros(table.num_rows, dtype=bool)
    values: list[date | None] = []
    wrong = np.zeros(table.num_rows, dtype=bool)
    for row, text in enumerate(table.column(OBSERVED_ON).to_pylist()):
        try:
            values.append(date.fromisoformat(text.strip()))
        except ValueError:
            values.append(None)
            wrong[row] = True
    return pa.array(values, pa.date32()), wrong
