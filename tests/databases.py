"""A Postgres for each worker, a database for each test, databases built once for all workers."""

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from loan_scoring import database, settings
from loan_scoring.database.backup import FOLDERS
from loan_scoring.database.programs import postgres_program
from loan_scoring.database.session import Session, open_session
from loan_scoring.local.postgres import EmbeddedPostgres, embedded
from workers import once

MIGRATED = "migrated"
"""A database with the portfolio's schema and no rows, to be copied."""


@pytest.fixture(scope="session")
def postgres(folders: Path, run_folder: Path) -> Iterator[EmbeddedPostgres]:
    """This worker's server: a copy of one that holds the migrated database `MIGRATED`."""

    def make(draft: Path) -> None:
        server = EmbeddedPostgres(draft / "state").start()
        try:
            # Nothing here must outlive the machine; and each database is 600 files: a shutdown that
            # synced those of all tests took a minute.
            execute(server, "ALTER SYSTEM SET fsync = off")
            create_database(server, MIGRATED)
            with open_session("loan_default", url_on(server, MIGRATED)):
                pass
        finally:
            server.stop()

    made = once(run_folder / "cluster", make)
    shutil.copytree(made / "state", folders / "state")
    (folders / "state" / "postgres" / "port").unlink()  # each server takes one of its own
    server = EmbeddedPostgres(folders / "state").start()
    yield server
    server.stop()


def execute(server: EmbeddedPostgres, *statements: str) -> None:
    with closing(psycopg2.connect(server.url("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def create_database(server: EmbeddedPostgres, name: str, template: str = "template1") -> None:
    execute(
        server,
        f"CREATE DATABASE {name} OWNER loan_scoring TEMPLATE {template}",
        f"GRANT CONNECT ON DATABASE {name} TO loan_scoring_reader",
    )


def url_on(server: EmbeddedPostgres, name: str) -> str:
    """Return the application's URL of a database."""
    return server.url("loan_scoring").rpartition("/")[0] + f"/{name}"


NewDatabase = Callable[..., str]


@pytest.fixture(scope="session")
def new_database(postgres: EmbeddedPostgres) -> NewDatabase:
    """Make a database, empty or a copy of another, and return the application's URL of it."""
    numbers = itertools.count(1)

    def make(template: str | None = None) -> str:
        name = f"test_{next(numbers)}"
        create_database(postgres, name, *[template.rpartition("/")[2]] if template else [])
        return url_on(postgres, name)

    return make


BuiltOnce = Callable[..., tuple[str, Any]]


@pytest.fixture(scope="session")
def built_once(new_database: NewDatabase, run_folder: Path) -> BuiltOnce:
    """Have one worker of the run build a database and its files; return this worker's copy of it.

    `build` gets the URL of a new database, a copy of `template` where given. What it returns, fit
    for JSON, comes back beside the copy's URL.
    """

    def go(name: str, build: Callable[[str], Any], template: str | None = None) -> tuple[str, Any]:
        def make(draft: Path) -> None:
            url = new_database(template)
            (draft / "result.json").write_text(json.dumps(build(url)))
            dump = ["pg_dump", "--format=custom", "--compress=0", f"--file={draft / 'dump'}", url]
            subprocess.run([postgres_program(dump[0]), *dump[1:]], check=True)
            for folder in FOLDERS:
                if (settings.data_dir() / folder).is_dir():
                    shutil.copytree(settings.data_dir() / folder, draft / "data" / folder)

        made = once(run_folder / name, make)
        url = new_database()
        restore = ["pg_restore", "--exit-on-error", f"--dbname={url}", str(made / "dump")]
        subprocess.run([postgres_program(restore[0]), *restore[1:]], check=True)
        shutil.copytree(made / "data", settings.data_dir(), dirs_exist_ok=True)
        return url, json.loads((made / "result.json").read_text())

    return go


@pytest.fixture
def empty(new_database: NewDatabase) -> Iterator[Session]:
    """A session on a migrated schema without rows."""
    with open_session("loan_default", new_database(template=MIGRATED)) as session:
        yield session


@pytest.fixture
def ready_url(ready: Session) -> str:
    """The URL of the `ready` session's database, for processes of their own."""
    return url_of(ready)


@pytest.fixture
def empty_url(empty: Session) -> str:
    """The URL of the `empty` session's database."""
    return url_of(empty)


def url_of(session: Session) -> str:
    return url_on(embedded(), session.connection.info.dbname)


Digests = Callable[[Session, dict[str, str]], dict[str, str]]


@pytest.fixture(scope="session")
def digests() -> Digests:
    """Count and digest tables; each is named with what of its row `t` counts, such as no times."""

    def take(session: Session, tables: dict[str, str]) -> dict[str, str]:
        return {
            name: database.select_read_only(
                session.connection,
                "select count(*) || ' ' || md5(string_agg(r, '|' order by r))"
                f" from (select ({row})::text as r from {name} as t) as rows",
            )[1][0][0]
            for name, row in tables.items()
        }

    return take
