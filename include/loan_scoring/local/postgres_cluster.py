"""Create an empty Postgres cluster in a draft folder, then move the cluster to its final folder."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from loan_scoring.database.programs import postgres_program
from loan_scoring.errors import DatabaseError
from loan_scoring.local.postgres_account import Account, claim


def create_cluster(data: Path, password: str, account: Account) -> None:
    """Create an empty cluster in the folder `data`, whose superuser `postgres` has `password`.

    Raises:
        DatabaseError: initdb failed.
    """
    for abandoned in data.parent.glob("initdb-*"):
        # A process that was killed during initdb left this draft folder, so delete the folder. If
        # initdb still runs, initdb fails now. The next call deletes what initdb writes until then.
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
        # Use Postgres's builtin locale. With a locale of the system, an update of the system could
        # change the sort order of strings and so make indexes wrong.
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
    """Return the line of a Postgres program's output that reports the error."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:"))]
    return (fatal or lines or ["no output"])[-1]
