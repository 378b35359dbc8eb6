"""Return everything that is held on one loan."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql

from loan_scoring import database, settings
from loan_scoring.database.files import file_sha256
from loan_scoring.database.session import Session
from loan_scoring.errors import MissingError, SourceError
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.keys import made_key
from loan_scoring.ingest.parsing.columns import parse_column
from loan_scoring.ingest.quarantine import split_record
from loan_scoring.privacy.artifacts import baseline_files, training_files
from loan_scoring.privacy.delivered import delivered_files, find_records, has_field, lookups_by_loan
from loan_scoring.privacy.exports import exports_with
from loan_scoring.privacy.naming import naming_pattern
from loan_scoring.privacy.scans import scan_corrections, scanned_files

RECORD_TABLES = (
    "applications", "calls", "quarantine", "scan_corrections", "scans", "scores",
)  # fmt: skip
"""Tables with the record of a loan itself, which are searched by key and not for its name."""
BOOKKEEPING = ("audit_log", "backups", "contracts", "erased_files", "erasures", "schema_migrations")
"""Tables in which nothing is replaced: the audit log has a search of its own."""


def export_loan(session: Session, key: Any) -> dict[str, Any]:
    """Return everything that is held on a loan, ready for JSON except for dates and the like.

    `tables` has the rows by table, `named_in` the rows whose text names the loan. `files` has the
    records in delivered files, baseline samples, training files, scans and exported months.
    `not_read` has the files that could not be searched. `backups` lists the backups, which may hold
    the loan too.

    Raises:
        MissingError: nothing is held on the loan.
    """
    with database.snapshot(session.connection):
        tables = rows_by_key(session, key)
        tables["quarantine"] = quarantined_rows(session, key)
        tables["calls"] = database.rows(session.connection, "select_calls_of_loan", text=str(key))
        tables["lookup_rows"] = _lookup_rows(session, key)
        tables["scan_corrections"] = scan_corrections(session, key)
        named = rows_naming(session, key)
        named["audit_log"] = database.rows(
            session.connection, "select_audit_of_loan", pattern=naming_pattern(key)
        )
        lines = known_lines(session, key)
        backups = database.rows(session.connection, "select_backups")
    files, not_read = [], {}
    for kind, path in delivered_files(session.contract):
        try:
            records = find_records(session.contract, kind, path, key, lines_of(path, lines))
        except SourceError as error:
            not_read[shown(path)] = str(error)
            continue
        files += [{"file": shown(path), "line": each.line, "text": each.text} for each in records]
    for path, table, mask in baseline_files(session, tables["applications"]):
        found = table.filter(pa.array(mask)).to_pylist()
        files += [{"file": shown(path), "row": each} for each in found]
    files += [{"file": shown(path), "rows": rows} for path, rows in training_files(session, key)]
    files += [{"file": shown(path), "pages": each} for path, each in scanned_files(session, key)]
    exported, unread = exports_with(session, key)
    files += [{"file": location, "rows": rows} for location, rows in exported.items()]
    not_read |= unread
    held = {name: rows for name, rows in tables.items() if rows}
    if not held and not any(named.values()) and not files:
        raise not_found(session, key)
    return {
        "portfolio": session.contract.portfolio,
        "loan_id": key,
        "tables": held,
        "named_in": {name: rows for name, rows in named.items() if rows},
        "files": files,
        "not_read": not_read,
        "sources_elsewhere": sources_elsewhere(tables["applications"], session),
        "backups": backups,
    }


def not_found(session: Session, key: Any) -> MissingError:
    """Return the error for a loan of which nothing is held."""
    return MissingError(
        f"nothing is held on loan {key} of {session.contract.portfolio}: no row, call or file "
        "names it; it may be erased already (loan-scoring audit lists erasures), or dropped by "
        "retention"
    )


def rows_by_key(session: Session, key: Any) -> dict[str, list[database.Row]]:
    """Return the rows of each table with a column that names a loan."""
    found: dict[str, list[database.Row]] = {"applications": []}
    for each in database.rows(session.connection, "select_loan_columns"):
        query = sql.SQL("SELECT * FROM {} WHERE {} = %s::loan_key").format(
            sql.Identifier(each["table"]), sql.Identifier(each["column"])
        )
        found.setdefault(each["table"], []).extend(_rows(session, query, (key,)))
    return found


def rows_naming(session: Session, key: Any) -> dict[str, list[database.Row]]:
    """Return the rows whose free text names a loan, by table: alerts, findings, comments."""
    found: dict[str, list[database.Row]] = {}
    for table, columns in text_columns(session).items():
        query = sql.SQL("SELECT * FROM {} WHERE {}").format(
            sql.Identifier(table),
            sql.SQL(" OR ").join(
                sql.SQL("{}::text ~* %(pattern)s").format(sql.Identifier(name)) for name in columns
            ),
        )
        found[table] = _rows(session, query, {"pattern": naming_pattern(key)})
    return found


def text_columns(session: Session) -> dict[str, dict[str, str]]:
    """Return the columns whose text may name a loan, with their type, by table."""
    found: dict[str, dict[str, str]] = {}
    left_out = [*RECORD_TABLES, *BOOKKEEPING]
    for each in database.rows(session.connection, "select_text_columns", left_out=left_out):
        found.setdefault(each["table"], {})[each["column"]] = each["type"]
    return found


def quarantined_rows(session: Session, key: Any) -> list[database.Row]:
    """Return the quarantined rows of a loan.

    These are the rows with the loan's key, the rows that became an application of the loan by a
    correction, and malformed rows of which one field is the loan's key.
    """
    contract = session.contract
    found = database.rows(
        session.connection,
        "select_quarantine_naming",
        loan_id=key,
        text=str(key).split(":")[0],
        is_made=contract.key.made_from is not None,
    )
    return [row for row in found if row["was_corrected"] or _is_of(session, row, key)]


def _is_of(session: Session, row: database.Row, key: Any) -> bool:
    column = session.contract.key
    if column.made_from and row["header"] is not None:
        return bool(key == made_key(column, row["raw_text"], row["file"], row["line"]))
    values = split_record(row, row) if row["header"] is not None else None
    if values is None or not {*column.sources} <= {*row["header"]}:
        return has_field(row["raw_text"], key)
    named = dict(zip(row["header"], values, strict=True))
    table = pa.table({name: [named[name]] for name in column.sources})
    keys, _ = parse_column(column, Block(table, np.array([1]), []))
    return bool(pc.fill_null(pc.equal(keys, pa.scalar(key, keys.type)), False)[0].as_py())


def _lookup_rows(session: Session, key: Any) -> list[database.Row]:
    """Return the rows of look-ups whose key is the loan's."""
    names = [each.name for each in lookups_by_loan(session.contract).values()]
    query = sql.SQL("SELECT * FROM lookup_rows WHERE lookup = ANY (%s) AND key = %s")
    return _rows(session, query, (names, str(key)))


def known_lines(session: Session, key: Any) -> dict[str, set[int]]:
    """Return the lines from which applications of a loan came, by the hash of the file."""
    lines: dict[str, set[int]] = {}
    for row in database.rows(session.connection, "select_lines_of_loan", loan_id=key):
        lines.setdefault(row["sha256"], set()).add(row["line"])
    return lines


def lines_of(path: Path, lines: dict[str, set[int]]) -> set[int]:
    """Return the known lines of a file. The file is hashed only if there are any."""
    return lines.get(file_sha256(path), set()) if lines else set()


def sources_elsewhere(applications: Sequence[database.Row], session: Session) -> list[database.Row]:
    """Return the sources of a loan's batches, because a source outside the data folder is not ours.

    Nothing but the sender can erase the loan there.
    """
    keys = {(row["batch_id"], row["revision"]) for row in applications}
    query = sql.SQL("SELECT batch_id, revision, source FROM batches ORDER BY batch_id, revision")
    return [
        row
        for row in _rows(session, query, ())
        if (row["batch_id"], row["revision"]) in keys
        and not row["source"].startswith(str(settings.data_dir()))
    ]


def shown(path: Path) -> str:
    """Return a path below the data folder, relative to it."""
    return str(path.relative_to(settings.data_dir()))


def _rows(session: Session, query: sql.Composable, values: Any) -> list[database.Row]:
    with session.connection.cursor() as cursor:
        cursor.execute(query, values)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
