"""Create an empty Postgres cluster in a draft folder, then move it to its place."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from loan_scoring.database.programs import postgres_program
from loan_scoring.errors import DatabaseError
from loan_scoring.local.postgres_account import Account, claim


def create_cluster(data: Path, password: str, account: Account) -> None:
    """Create a cluster in the folder `data`; its superuser postgres has the password.

    Raises:
        DatabaseError: initdb failed.
    """
    for abandoned in data.parent.glob("initdb-*"):
        # An initdb whose starter was killed may still write there. It then fails, and the next call
        # removes what it left.
        shutil.rmtree(abandoned, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=data.parent))
    password_file = draft / "password"
    password_file.touch(0o600)
    password_file.write_text(password + "\n")
    claim(draft, account)
    done = account.run(
        postgres_program("initdb"),
        f"--pgdata={draft / 'data'}",
        "--username=postgres",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        # Postgres's own locale: the order of text must not change with the system's libraries.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        stdout=subprocess.PIPE,
    )
    if done.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise DatabaseError(f"initdb failed in {data.parent}: {cause_of_failure(done.stdout)}")
    (draft / "data").replace(data)
    shutil.rmtree(draft)


def cause_of_failure(output: bytes) -> str:
    """Return the line of a Postgres program's output that states the error."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:"))]
    return (fatal or lines or ["no output"])[-1]
