"""Publish corrected rows, together with the accepted rows, as a new revision of a batch."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import KEY, row_rules_sha256
from loan_scoring.database.applications import read_applications
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError
from loan_scoring.ingest.batches import (
    LandedBatch,
    check_batch,
    open_revision,
    publish_batch,
)
from loan_scoring.ingest.copying import copy_rows
from loan_scoring.ingest.corrected_rows import corrected_raw_text, read_corrected_rows
from loan_scoring.ingest.file_lines import FileLines
from loan_scoring.ingest.files.columns import readable_columns
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.known_loans import known_loan_lookup
from loan_scoring.ingest.landing import source_label
from loan_scoring.ingest.revisions import current_revision
from loan_scoring.ingest.row_rules import RejectedRow, RowRules
from loan_scoring.ingest.spreadsheet import export_columns, wanted_columns

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReplayedCorrections(LandedBatch):
    """The revision with the corrected rows. `mended` is the number of rows that left quarantine."""

    mended: int = 0


def replay_corrections(
    session: Session, batch_id: str, location: str | Path
) -> ReplayedCorrections:
    """Land corrected rows as a new revision of a batch, check the revision and publish it.

    The new revision has the accepted rows of the current revision and those corrected rows that
    pass the row rules. All other quarantined rows stay in quarantine. If the current revision
    already contains the corrections of this file, nothing changes.

    Raises:
        StateError: the batch is not published.
        GoneError: retention has dropped the batch.
        SourceError: the file cannot be read, has a line number that is not in quarantine, or has no
            row that passes. In these cases nothing is changed. The error is also raised if the new
            revision is refused. In this case the old revision stays current.
    """
    replayed = _land(session, batch_id, location)
    if not replayed.is_unchanged:
        check_batch(session, batch_id, replayed.revision)
        publish_batch(session, batch_id, replayed.revision, location)
    return replayed


def _land(session: Session, batch_id: str, location: str | Path) -> ReplayedCorrections:
    """Land accepted and corrected rows as an unpublished revision, in one transaction."""
    contract, connection = session.contract, session.connection
    own = export_columns(contract)
    with database.transaction(connection):
        database.lock(connection, f"batch:{batch_id}")
        current = current_revision(session, batch_id)
        refuse_dropped(connection, batch_id)
        lines = FileLines(session, batch_id, current["revision"])
        places = [own.line_number, *([own.file] if lines.is_several else [])]
        wanted = [*places, *wanted_columns(contract, batch_id)]
        known = database.rows(connection, "select_batch_revisions", batch_id=batch_id)
        others = [
            name for name in readable_columns(current["header"]) if name not in {*wanted, *own}
        ]
        with (
            open_table(
                location, wanted, file_format=contract.source.corrected, optional=others
            ) as table,
            known_loan_lookup(session, batch_id) as is_known,
        ):
            if table.sha256 in _applied(known, current):
                log.info("batch %s: unchanged, these corrections are applied already", batch_id)
                counts = {name: current[name] for name in ("received", "accepted", "quarantined")}
                return ReplayedCorrections(
                    batch_id, current["revision"], **counts, is_unchanged=True
                )
            revision = open_revision(known, table.sha256)
            key = {"batch_id": batch_id, "revision": revision}
            database.execute(connection, "delete_landed_rows", **key)
            database.execute(connection, "delete_batch_files", **key)
            _carry_accepted(session, batch_id, current["revision"], revision)
            rules = RowRules(contract, is_known)
            rules.remember(read_applications(session, batch_id, revision, []).column(KEY))
            quarantined = {
                row["line_number"]: row
                for row in database.rows(
                    connection,
                    "select_quarantined",
                    batch_id=batch_id,
                    revision=current["revision"],
                )
            }
            broken: list[RejectedRow] = []

            def checked() -> Iterator[tuple[pa.Table, list[RejectedRow]]]:
                for block in read_corrected_rows(
                    table, contract.key, location, places, lines, quarantined, current
                ):
                    rows, rejected = rules.apply(block)
                    row_of = {int(line): row for row, line in enumerate(block.line_numbers)}
                    for place, each in enumerate(rejected):
                        line = each.line_number
                        text = corrected_raw_text(
                            block.table, row_of[line], quarantined[line], current
                        )
                        if contract.key.made_from == "row":
                            # Its key is the hash of the row as it was delivered.
                            text = quarantined[line]["raw_text"]
                        rejected[place] = replace(each, raw_text=text)
                    broken.extend(rejected)
                    yield rows, rejected

            mended, _ = copy_rows(session, batch_id, revision, checked())
        _refuse_if_none_passes(location, mended, broken)
        database.execute(
            connection,
            "insert_carried_quarantine",
            **key,
            corrects_revision=current["revision"],
        )
        database.execute(
            connection, "insert_carried_files", **key, corrects_revision=current["revision"]
        )
        landed = ReplayedCorrections(
            batch_id,
            revision,
            current["received"],
            current["accepted"] + mended,
            current["quarantined"] - mended,
            mended=mended,
        )
        database.execute(
            connection,
            "upsert_landed_batch",
            **key,
            source=f"corrected: {_corrected_label(location, current)}",
            sha256=table.sha256,
            received=landed.received,
            accepted=landed.accepted,
            quarantined=landed.quarantined,
            ignored_columns=current["ignored_columns"],
            header=current["header"],
            delimiter=current["delimiter"],
            corrects_revision=current["revision"],
            origin_sha256=current["origin_sha256"] or current["sha256"],
            rules_sha256=row_rules_sha256(contract),
            target_sha256=current["target_sha256"],
        )
    return landed


def _applied(known: list[database.Row], current: database.Row) -> set[str]:
    """Return the SHA-256 of every file whose corrections are contained in the current revision.

    If the corrected revision was itself a correction, the file of this earlier correction is
    included, and so on back to the revision that was landed from the source file.
    """
    by_revision = {row["revision"]: row for row in known}
    applied = set()
    while current["corrects_revision"] is not None:
        applied.add(current["sha256"])
        current = by_revision[current["corrects_revision"]]
    return applied


def _carry_accepted(session: Session, batch_id: str, from_revision: int, revision: int) -> None:
    carried = ["line_number", *(column.name for column in session.contract.stored)]
    names = sql.SQL(", ").join(map(sql.Identifier, carried))
    with session.connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "INSERT INTO applications (batch_id, revision, {names})"
                " SELECT batch_id, %s, {names} FROM applications"
                " WHERE batch_id = %s AND revision = %s"
            ).format(names=names),
            (revision, batch_id, from_revision),
        )


def _refuse_if_none_passes(location: str | Path, mended: int, broken: list[RejectedRow]) -> None:
    if mended:
        return
    most = Counter(rule for each in broken for rule in each.rules).most_common(3)
    counts = ", ".join(f"{rule} {rows}" for rule, rows in most)
    raise SourceError(
        f"{location_label(location)}: none of {len(broken)} corrected rows passes"
        f"{f' ({counts})' if counts else ''}; correct them again; nothing was changed"
    )


def _corrected_label(location: str | Path, current: database.Row) -> str:
    """Return the corrected file's location as column `source` of table `batches` shows it.

    The label begins with `synthetic: ` if the file's name marks the rows as synthetic, or if the
    file corrects synthetic rows.
    """
    label = source_label(location)
    is_unmarked = "synthetic" in current["source"] and not label.startswith("synthetic")
    return f"synthetic: {label}" if is_unmarked else label
