"""Choose the account for Postgres's programs: they refuse root, who may have started us."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from loan_scoring.database.programs import postgres_program
from loan_scoring.errors import DatabaseError


class Account(NamedTuple):
    """How to run a program as a user that Postgres accepts; uid and gid must own the data."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    switches_user: bool = False

    def run(
        self, *arguments: str, stdout: int, data: Path | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a program to its end, detached from our terminal and our environment."""
        # Neither PG* variables, which would redirect the programs, nor the mark of a stack are
        # inherited: Postgres must not end with the stack that started it.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        if data is not None:
            environment["PGDATA"] = str(data)
        identity = (self.uid, self.gid) if self.switches_user else (None, None)
        return subprocess.run(
            [*self.prefix, *arguments],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=False,
            user=identity[0],
            group=identity[1],
            extra_groups=[] if self.switches_user else None,
        )


def choose_account(folder: Path) -> Account:
    """Return the first account that Postgres accepts and that can enter a folder and run programs.

    Raises:
        DatabaseError: there is none.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for account in _accounts_for_root(folder):
        probe = (
            "/bin/sh",
            "-c",
            'cd "$0" && "$1" --version',
            str(folder),
            postgres_program("postgres"),
        )
        if account.run(*probe, stdout=subprocess.DEVNULL).returncode == 0:
            return account
    raise DatabaseError(
        f"Postgres does not run as root, and no other user can use {folder} and "
        f"{postgres_program('postgres')}; run as an ordinary user, or set LOAN_SCORING_STATE to a "
        "folder that others may enter"
    )


def _accounts_for_root(folder: Path) -> list[Account]:
    accounts = []
    if unshare := shutil.which("unshare"):
        # A user namespace in which root appears as 1000: folders private to root stay reachable,
        # and every file stays root's.
        namespace = (unshare, "--user", "--map-user=1000", "--map-group=1000", "--")
        accounts.append(Account(0, 0, prefix=namespace))
    # If a container forbids namespaces: the owner of a parent folder, else nobody.
    owner = next((stat for stat in map(Path.stat, folder.parents) if stat.st_uid != 0), None)
    if owner:
        accounts.append(Account(owner.st_uid, owner.st_gid, switches_user=True))
    nobody = pwd.getpwnam("nobody")
    return [*accounts, Account(nobody.pw_uid, nobody.pw_gid, switches_user=True)]


def claim(folder: Path, account: Account) -> None:
    """Change the owner of a folder and all in it; its parents are not touched."""
    if folder.stat().st_uid != account.uid:
        # The folder comes last: its owner shows that all is done.
        for path in [*folder.rglob("*"), folder]:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
