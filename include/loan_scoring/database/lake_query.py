"""Query exported months and the database together, with DuckDB (extra `lake`)."""

import importlib
from pathlib import Path
from typing import Any

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.lake import exported_tables, file_system
from loan_scoring.database.session import Session
from loan_scoring.errors import DatabaseError, StateError

EXTENSION = "duckdb_extension_postgres_scanner"
"""The package that carries DuckDB's extension for Postgres, so that nothing is downloaded."""

CURRENT = {
    "current_scores": "CREATE VIEW current_scores AS SELECT s.* FROM scores AS s JOIN scoring_runs"
    " AS r ON r.batch_id = s.batch_id AND r.scoring_run_id = s.scoring_run_id WHERE r.is_current",
    "current_applications": "CREATE VIEW current_applications AS SELECT a.* FROM applications AS a"
    " JOIN batches AS b ON b.batch_id = a.batch_id AND b.revision = a.revision WHERE b.is_current",
}
"""Views that need the exported rows too."""


def select_lake(
    session: Session, url: str, uri: str, query: str
) -> tuple[list[str], list[list[Any]]]:
    """Run a query over the exported months and the database. Return column names and rows.

    Tables and views have the names that they have in the database. `applications`, `scores`,
    `outcomes` and `drift` also have the rows of exported months that retention has dropped, and
    so have `current_applications` and `current_scores`.

    Args:
        session: database session that reads.
        url: URL of the database for the role that reads.
        uri: folder or bucket of the exports.
        query: a SELECT in DuckDB's SQL.

    Raises:
        MissingError: nothing was exported there.
        StateError: the extra `lake` is not installed.
        DatabaseError: DuckDB refuses the query.
    """
    duckdb, extension = _packages()
    files: dict[str, list[str]] = {}
    dropped = _dropped_months(session)
    for table, month, location in exported_tables(session, uri):
        # Outcomes and drift stay in the database when a month is dropped.
        if table in ("applications", "scores") and month in dropped[table]:
            files.setdefault(table, []).append(location)
    with duckdb.connect() as lake:
        lake.execute(
            "SET autoinstall_known_extensions = false; SET autoload_known_extensions = false"
        )
        lake.execute(f"LOAD {_quoted(str(extension))}")
        parameters = database.libpq_parameters(url)
        dsn = " ".join(f"{name}={_escaped(value)}" for name, value in parameters.items())
        schema = session.contract.portfolio
        lake.execute(
            f"ATTACH {_quoted(dsn)} AS nights (TYPE postgres, READ_ONLY, SCHEMA {_quoted(schema)})"
        )
        _make_views(lake, schema, files, session.contract.key.is_numeric)
        places = {location for each in files.values() for location in each}
        # A query can read the exports and the database, and no other file or address.
        folders = ", ".join(
            _quoted(f"{Path(place).parent}/") for place in sorted(places) if "://" not in place
        )
        lake.execute(f"SET allowed_directories = [{folders}]")
        lake.execute("SET enable_external_access = false; SET lock_configuration = true")
        try:
            found = lake.execute(query)
            header = [each[0] for each in found.description or ()]
            return header, [list(row) for row in found.fetchall()]
        except duckdb.Error as error:
            raise DatabaseError(f"DuckDB: {str(error).strip().splitlines()[0]}") from error


def _packages() -> tuple[Any, Path]:
    try:
        duckdb = importlib.import_module("duckdb")
        package = importlib.import_module(EXTENSION)
    except ImportError as error:
        raise StateError(
            "sql --lake needs the extra lake: .venv/bin/uv pip install --require-hashes -r "
            "requirements-extras.txt"
        ) from error
    found = sorted(Path(str(package.__file__)).parent.rglob("*.duckdb_extension"))
    return duckdb, found[0]


def _dropped_months(session: Session) -> dict[str, set[str]]:
    with database.transaction(session.connection):
        found = database.rows(session.connection, "select_dropped_tables")
    months: dict[str, set[str]] = {"applications": set(), "scores": set()}
    for row in found:
        months.setdefault(row["table_name"], set()).add(row["month"])
    return months


def _make_views(lake: Any, schema: str, files: dict[str, list[str]], is_numeric: bool) -> None:
    """Give every table of the database its name, and the exported tables their exported rows.

    `is_numeric` says whether the key of a loan is a number.
    """
    names = lake.execute(
        "SELECT table_name, bool_or(column_name = ?) FROM information_schema.columns"
        " WHERE table_catalog = 'nights' GROUP BY table_name",
        [KEY],
    ).fetchall()
    for name, has_key in names:
        if name in CURRENT:
            continue
        # DuckDB takes a domain of Postgres, such as that of the key, for a text.
        number = f" REPLACE ({KEY}::bigint AS {KEY})" if has_key and is_numeric else ""
        parts = [f'FROM nights."{schema}"."{name}" SELECT *{number}']
        for location in files.get(name, []):
            system, path = file_system(location)
            if "://" in location:
                lake.register_filesystem(system)
                path = location
            parts.append(f"FROM read_parquet({_quoted(path)}, hive_partitioning = false)")
        lake.execute(f'CREATE VIEW "{name}" AS {" UNION ALL BY NAME ".join(parts)}')
    for text in CURRENT.values():
        lake.execute(text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _escaped(value: str) -> str:
    """Return a value as libpq reads it in a connection string."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
