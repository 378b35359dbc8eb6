"""Choose the user account that runs Postgres. Postgres refuses to run as root."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from loan_scoring.database.programs import postgres_program
from loan_scoring.errors import DatabaseError


class Account(NamedTuple):
    """A user account that can run Postgres.

    Postgres's data folder must belong to `uid` and `gid`. A program runs with `prefix` before its
    own arguments. If `switches_user` is true, the program changes to `uid` and `gid` first.
    """

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    switches_user: bool = False

    def run(
        self, *arguments: str, stdout: int, data: Path | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a program as this account, wait until the program ends, and return the result.

        The program has neither the terminal nor the environment of this process.
        """
        # Other variables are not passed on, for two reasons. PG* variables could direct the program
        # to another server. If Postgres had the mark of a stack, the guard would end Postgres
        # together with that stack (see guard.py).
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
    """Return the account that is to run Postgres with its data in `folder`.

    This is the account of this process, unless the process runs as root. For root, the result is
    the first other account that can enter the folder and run Postgres.

    Raises:
        DatabaseError: this process runs as root, and no other account can enter the folder and
            run Postgres.
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
        # In this user namespace root appears as user 1000, so Postgres does not refuse to run.
        # Outside the namespace the process still belongs to root. So Postgres can enter folders
        # that are private to root, and new files of Postgres belong to root.
        namespace = (unshare, "--user", "--map-user=1000", "--map-group=1000", "--")
        accounts.append(Account(0, 0, prefix=namespace))
    # A container may forbid user namespaces. For this case the list goes on with the owner of the
    # nearest parent folder that does not belong to root, and ends with the user `nobody`.
    owner = next((stat for stat in map(Path.stat, folder.parents) if stat.st_uid != 0), None)
    if owner:
        accounts.append(Account(owner.st_uid, owner.st_gid, switches_user=True))
    nobody = pwd.getpwnam("nobody")
    return [*accounts, Account(nobody.pw_uid, nobody.pw_gid, switches_user=True)]


def claim(folder: Path, account: Account) -> None:
    """Make an account the owner of a folder and of everything in the folder."""
    if folder.stat().st_uid != account.uid:
        # The folder itself is changed last. If this process is killed before that, the folder still
        # has the old owner, so the next call repeats all changes.
        for path in [*folder.rglob("*"), folder]:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
