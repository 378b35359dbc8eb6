"""Find a loan in exported months, and take it out of them."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.lake import file_system, put_file
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError

KEPT_TABLE = "scores"
"""In this table the loan becomes the pseudonym, as in the database. In others its rows go."""


def exports_with(session: Session, key: Any) -> tuple[dict[str, int], dict[str, str]]:
    """Return the exported files with a loan, each with the number of its rows.

    The second result has the files that cannot be read, each with the reason.
    """
    found, not_read = {}, {}
    for row in _exports(session):
        location = row["location"]
        try:
            rows = _count(location, key)
        except SourceError as error:
            not_read[location] = str(error)
            continue
        if rows:
            found[location] = rows
    return found, not_read


def _count(location: str, key: Any) -> int:
    try:
        system, path = file_system(location)
        with system.open(path, "rb") as file:
            return int(pq.read_table(file, columns=[KEY], filters=[(KEY, "=", key)]).num_rows)
    except Exception as error:  # each store's package has error classes of its own
        raise SourceError(f"{type(error).__name__}: {str(error).strip()[:200]}") from error


def rewritten_exports(
    session: Session, key: Any, pseudonym: Any
) -> Iterator[tuple[str, str, str, Path]]:
    """Yield each exported file with the loan, written anew without it.

    Yields:
        address, hash before, hash after, and the draft, which is to be put to the address.
    """
    tables = {row["location"]: row["table_name"] for row in _exports(session)}
    with tempfile.TemporaryDirectory() as folder:
        for location in exports_with(session, key)[0]:
            system, path = file_system(location)
            old, draft = Path(folder) / "old.parquet", Path(folder) / "new.parquet"
            system.get_file(path, str(old))
            _write_without(old, draft, key, pseudonym if tables[location] == KEPT_TABLE else None)
            yield location, _sha256(old), _sha256(draft), draft


def put_export(draft: Path, location: str) -> None:
    """Put a rewritten file to its address.

    Raises:
        StateError: the store refuses it.
    """
    put_file(draft, location, pq.ParquetFile(draft).metadata.num_rows)


def _exports(session: Session) -> list[database.Row]:
    with database.transaction(session.connection):
        found = database.rows(session.connection, "select_exports")
    return [row for row in found if row["table_name"] != "drift"]


def _write_without(old: Path, new: Path, key: Any, pseudonym: Any) -> None:
    """Write a file without the rows of a loan, or with its pseudonym if one is given."""
    source = pq.ParquetFile(old)
    with pq.ParquetWriter(new, source.schema_arrow, compression="zstd") as writer:
        for group in range(source.num_row_groups):
            table = source.read_row_group(group)
            place = table.schema.get_field_index(KEY)
            keys = table.column(place)
            mask = pc.equal(keys, pa.scalar(key, keys.type))
            if pseudonym is None:
                table = table.filter(pc.invert(mask))
            else:
                value = pa.scalar(int(pseudonym) if pa.types.is_integer(keys.type) else pseudonym,
                                  keys.type)  # fmt: skip
                table = table.set_column(place, table.schema.field(place),
                                         pc.if_else(mask, value, keys))  # fmt: skip
            writer.write_table(table)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
