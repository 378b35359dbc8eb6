"""Write the rows of a month as Parquet files, which a data lake or an auditor reads."""

import hashlib
import importlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from loan_scoring import database
from loan_scoring.database import audit
from loan_scoring.database.copying import copy_out
from loan_scoring.database.partitions import partition_bounds
from loan_scoring.database.session import Session
from loan_scoring.errors import MissingError, StateError

log = logging.getLogger(__name__)

ROWS = {
    "applications": "SELECT * FROM applications WHERE batch_id = %s ORDER BY loan_id, revision",
    "scores": "SELECT * FROM scores WHERE batch_id = %s ORDER BY loan_id, scoring_run_id",
    "outcomes": "SELECT * FROM outcomes WHERE loan_id IN"
    " (SELECT loan_id FROM applications WHERE batch_id = %s) ORDER BY loan_id",
    "drift": "SELECT r.batch_id, d.* FROM drift AS d JOIN scoring_runs AS r USING (scoring_run_id)"
    " WHERE r.batch_id = %s ORDER BY 2, kind, feature, test",
}
"""The rows of a batch in each table that is exported.

Rows of a batch are sorted by loan, so that readers find a loan without reading all row groups.
"""

ARROW_TYPES = {
    "bool": pa.bool_(), "date": pa.date32(), "float8": pa.float64(), "int2": pa.int16(),
    "int4": pa.int32(), "int8": pa.int64(), "timestamptz": pa.timestamp("us", "UTC"),
}  # fmt: skip
"""Arrow type by Postgres type. Others, such as jsonb and arrays, are exported as their text."""


@dataclass(frozen=True)
class ExportedFile:
    """A Parquet file that was written: table, address and number of rows."""

    table_name: str
    location: str
    rows: int


def export_month(session: Session, month: str, to: str, by: str) -> list[ExportedFile]:
    """Write the rows of a month as one Parquet file a table, and record the files.

    The file of a table is `TO/PORTFOLIO/TABLE/month=YYYY-MM/rows.parquet`. It replaces an earlier
    one when it is complete. Its schema has the comments of the table and of the columns. Memory
    holds one batch.

    Args:
        session: database session that may record the files, which is the owner's.
        month: month as YYYY-MM.
        to: folder, or address of a bucket that fsspec knows, such as `s3://lake/loans`.
        by: who exports, such as `cli:ann`.

    Raises:
        MissingError: the database has no batch of this month, or retention has dropped its rows.
        StateError: the files cannot be written there.
    """
    portfolio = session.contract.portfolio
    _, low, high = partition_bounds("", f"{month}-01")
    with database.snapshot(session.connection):
        found = database.rows(session.connection, "select_batches_of_month", low=low, high=high)
        batch_ids = [row["batch_id"] for row in found]
        present = {
            row["partition"] for row in database.rows(session.connection, "select_partitions")
        }
        if not batch_ids or partition_bounds("scores", batch_ids[0])[0] not in present:
            raise MissingError(f"{portfolio} has no scores of {month}")
        if partition_bounds("applications", batch_ids[0])[0] not in present:
            raise MissingError(f"retention has dropped the applications of {portfolio} of {month}")
        with tempfile.TemporaryDirectory() as folder:
            written = []
            for table in ROWS:
                path = Path(folder) / f"{table}.parquet"
                rows = _write(session.connection, table, batch_ids, path)
                location = f"{to.rstrip('/')}/{portfolio}/{table}/month={month}/rows.parquet"
                written.append((ExportedFile(table, location, rows), path, _sha256(path)))
            for each, path, _ in written:
                put_file(path, each.location, each.rows)
    with database.transaction(session.connection):
        for each, _, sha256 in written:
            database.execute(
                session.connection, "insert_export", location=each.location,
                table_name=each.table_name, month=month, rows=each.rows, sha256=sha256,
                exported_by=by,
            )  # fmt: skip
        details = {each.table_name: each.rows for each, _, _ in written}
        audit.record_entry(session, by, "month.export", f"{to} {month}", details)
    log.info("exported %s of %s to %s", month, portfolio, to)
    return [each for each, _, _ in written]


def _write(connection: Connection, table: str, batch_ids: list[str], path: Path) -> int:
    """Write the rows of a table, one row group or more a batch. Return their number."""
    schema = _schema(connection, table, batch_ids[0])
    types = {field.name: field.type for field in schema}
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        rows = 0
        for batch_id in batch_ids:
            query = sql.SQL(ROWS[table].replace("%s", "{}")).format(sql.Literal(batch_id))
            found = copy_out(connection, query, types)
            writer.write_table(found.cast(schema), row_group_size=50_000)
            rows += found.num_rows
    return rows


def _schema(connection: Connection, table: str, batch_id: str) -> pa.Schema:
    with connection.cursor() as cursor:
        cursor.execute(f"{ROWS[table]} LIMIT 0", (batch_id,))
        described = [(each.name, each.type_code) for each in cursor.description or ()]
        cursor.execute("SELECT oid, typname FROM pg_type WHERE oid = ANY (%s)",
                       ([code for _, code in described],))  # fmt: skip
        names = dict(cursor.fetchall())
    comments = {
        row["column_name"]: row["description"]
        for row in database.rows(connection, "select_comments", table=table)
    }
    fields = [
        pa.field(
            name,
            ARROW_TYPES.get(names[code], pa.string()),
            metadata={"comment": comments[name]} if name in comments else None,
        )
        for name, code in described
    ]
    about = comments.get(None)
    return pa.schema(fields, metadata={"comment": about} if about else None)


def put_file(path: Path, location: str, rows: int) -> None:
    """Copy a Parquet file to its address, and read back how many rows it has there.

    Raises:
        StateError: the file cannot be written, or has another number of rows.
    """
    try:
        system, place = file_system(location)
        part = f"{place}.part"
        system.makedirs(place.rpartition("/")[0], exist_ok=True)
        system.put_file(str(path), part)
        system.mv(part, place)
        with system.open(place, "rb") as file:
            found = pq.ParquetFile(file).metadata.num_rows
    except ImportError as error:
        raise StateError(f"{location}: this needs another package: {error}") from error
    except Exception as error:  # each store's package has error classes of its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StateError(f"{location} cannot be written: {reason}") from error
    if found != rows:
        raise StateError(f"{location} has {found} rows instead of {rows}; export it again")


def file_system(location: str) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the path in it."""
    system, path = importlib.import_module("fsspec").core.url_to_fs(location)
    return system, str(path)


def exported_tables(session: Session, uri: str) -> Iterator[tuple[str, str, str]]:
    """Yield table, month and address of each exported file under an address.

    Raises:
        MissingError: there is none.
    """
    start = f"{uri.rstrip('/')}/"
    with database.transaction(session.connection):
        found = database.rows(session.connection, "select_exports")
    under = [row for row in found if row["location"].startswith(start)]
    if not under:
        known = sorted(
            {row["location"].partition(f"/{session.contract.portfolio}/")[0] for row in found}
        )
        raise MissingError(
            f"no month of {session.contract.portfolio} was exported to {uri}; "
            + (
                f"there are exports at {', '.join(known)}"
                if known
                else "`loan-scoring export` does"
            )
        )
    for row in under:
        yield row["table_name"], row["month"], row["location"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
