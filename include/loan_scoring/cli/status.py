"""Run the commands `status` and `sql`, which show the state and the data of a portfolio."""

import argparse
import csv
import logging
import os
import subprocess
import sys
from contextlib import closing
from typing import Any

from loan_scoring import settings
from loan_scoring.cli.common import session_of
from loan_scoring.database.session import Session
from loan_scoring.errors import DatabaseError, StateError

log = logging.getLogger(__name__)


def status_command(options: argparse.Namespace) -> dict[str, Any]:
    """Show the database, Airflow's URL, the batches, the champion and the open alerts."""
    from loan_scoring.monitoring.status import read_status
    from loan_scoring.monitoring.status_text import render_status

    refusal: str | None = None
    try:
        with session_of(options) as session:
            state = read_status(session)
    except DatabaseError as error:
        state, refusal = _state_as_stored(options, error), str(error)
    state["refusal"] = refusal
    state["database_url"] = _analyst_url(options)
    state["airflow"] = airflow = _airflow()
    lines = [
        *[f"REFUSED   {refusal}; below: what is stored", ""] * (refusal is not None),
        f"database  {state['database_url']}",
        f"Airflow   {airflow['url'] if airflow else 'not running; `make up` starts it'}",
        "",
        render_status(state),
    ]
    return {**state, "text": "\n".join(lines), "exit": int(refusal is not None)}


def _state_as_stored(options: argparse.Namespace, error: DatabaseError) -> dict[str, Any]:
    """Read the state from a schema that does not fit the contract, without a change of it.

    Raises:
        DatabaseError: `error`, if the schema lacks what the state is read from.
    """
    import psycopg2

    from loan_scoring import contract, database
    from loan_scoring.database.session import Session
    from loan_scoring.local.postgres import portfolio_database_url
    from loan_scoring.monitoring.status import read_status

    url = portfolio_database_url(options.database or settings.database_url())
    with closing(database.connect(options.portfolio, url)) as connection:
        try:
            return read_status(Session(contract.load(options.portfolio), connection))
        except psycopg2.Error:
            raise error from None


def _airflow() -> dict[str, Any] | None:
    """Return the URL of the running Airflow, and for a local Airflow also its password file.

    Return None if Airflow is not running.
    """
    from loan_scoring.local.airflow_status import stack_status

    found = stack_status(settings.state_dir())
    if found is not None:
        return {"url": found.url, "passwords": found.password_file}
    # If this process runs in a container, Airflow runs in other containers. Then only the URL of
    # Airflow is known here.
    url = os.environ.get("AIRFLOW__API__BASE_URL")
    return {"url": url} if url else None


def _analyst_url(options: argparse.Namespace) -> str:
    """Return a database URL with which an analyst can open the portfolio's schema in psql.

    If --database or LOAN_SCORING_DATABASE_URL is given, return that URL without the password. psql
    then takes the password from PGPASSWORD or ~/.pgpass. If no URL is given, return the URL
    of the reader role on the embedded Postgres.
    """
    from loan_scoring import database

    given = options.database or settings.database_url()
    if given:
        url = database.without_password(database.libpq_url(given))
    else:
        from loan_scoring.local.postgres import embedded

        url = embedded().url(database.READER)
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{options.portfolio}"


def sql_command(options: argparse.Namespace) -> dict[str, Any]:
    """Print the result of the query in option -c as CSV or JSON. Without -c, open psql."""
    from loan_scoring import contract, database
    from loan_scoring.database.roles import TIME_LIMITS

    url = _reader_url(options)
    if options.query is None:
        if options.lake is not None:
            raise StateError("sql --lake runs one query: give it with -c")
        return {"exit": _open_psql(options, url)}
    loaded = contract.load(options.portfolio)
    with closing(database.connect(options.portfolio, url, parameters=TIME_LIMITS)) as connection:
        if options.lake is not None:
            from loan_scoring.database.lake_query import select_lake

            reading = Session(loaded, connection)
            header, rows = select_lake(reading, url, options.lake, options.query)
        else:
            header, rows = database.select_read_only(connection, options.query)
    if options.json:
        return {"columns": header, "rows": rows}
    csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
    return {}


def _reader_url(options: argparse.Namespace) -> str:
    """Return the database URL with which `sql` reads.

    The first of these that is given is used: --database, LOAN_SCORING_READER_URL,
    LOAN_SCORING_DATABASE_URL with a warning, the reader on the embedded Postgres.
    """
    from loan_scoring import database
    from loan_scoring.local.postgres import embedded

    url = options.database or settings.reader_url()
    if url:
        return url
    if url := settings.database_url():
        log.warning("LOAN_SCORING_READER_URL is not set, so sql uses LOAN_SCORING_DATABASE_URL")
        return url
    with session_of(options):  # a schema that was never set up is set up
        return embedded().url(database.READER)


def _open_psql(options: argparse.Namespace, url: str) -> int:
    """Run psql with read-only transactions on the portfolio's schema. Return psql's exit code."""
    from loan_scoring import database
    from loan_scoring.database.programs import postgres_program

    environment = database.libpq_environment(database.libpq_parameters(url))
    environment["PGOPTIONS"] = (
        f"-c search_path={options.portfolio} -c default_transaction_read_only=on"
    )
    return subprocess.call([str(postgres_program("psql"))], env=environment)
