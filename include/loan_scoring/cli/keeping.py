"""The commands of who keeps the database: roles, migrate, retention, backup, restore."""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from loan_scoring import settings
from loan_scoring.cli.common import Handler, account_name
from loan_scoring.errors import StateError


def add_upkeep_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser."""

    def command(name: str, handler: Handler, help_: str) -> Any:
        made = commands.add_parser(name, help=help_, description=help_, parents=[common])
        made.set_defaults(handler=handler)
        return made

    command(
        "roles", _roles, "make owner, application and reader on a server; passwords: environment"
    )
    command("migrate", _migrate, "bring the schema of every portfolio up to date, as the owner")
    kept = command("retention", _retention, "drop months that are older than is to be kept")
    kept.add_argument(
        "--keep-days", type=int, metavar="N", help="default: the contract's retention.keep_days"
    )
    kept.add_argument("--dry-run", action="store_true", help="show what would go, drop nothing")
    backup = command("backup", _backup, "write every portfolio's tables and artifacts to a folder")
    backup.add_argument("--to", required=True, metavar="FOLDER", help="a new one")
    restored = command("restore", _restore, "bring database and artifacts back from a backup")
    restored.add_argument("--from", dest="folder", required=True, metavar="FOLDER")
    restored.add_argument(
        "--replace", action="store_true", help="drop the portfolios that the database holds"
    )


def _roles(_: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.roles import create_roles_from_environment

    made = create_roles_from_environment()
    return {"roles": made, "text": f"roles ready: {', '.join(made)}"}


def _migrate(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import contract, database
    from loan_scoring.database.migrations import migrate_schema
    from loan_scoring.local.postgres import portfolio_database_url

    url = portfolio_database_url(options.database or settings.owner_url())
    applied = {}
    for portfolio in contract.names():
        with closing(database.connect(portfolio, url)) as connection:
            applied[portfolio] = migrate_schema(connection, contract.load(portfolio))
    lines = [f"{name}: {', '.join(steps) or 'up to date'}" for name, steps in applied.items()]
    return {"applied": applied, "text": "\n".join(lines)}


def _retention(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import contract
    from loan_scoring.database.retention import (
        count_month,
        drop_expired,
        expired_months,
        remove_expired_files,
    )
    from loan_scoring.database.session import open_session
    from loan_scoring.local.postgres import portfolio_database_url

    policy = contract.load(options.portfolio).retention
    days: int | None = options.keep_days
    if days is None and policy is not None:
        days = policy.keep_days
    if days is None:
        raise StateError(
            f"the contract of {options.portfolio} keeps rows for good; say --keep-days, "
            "or write retention: {keep_days: N} into it"
        )
    with open_session(
        options.portfolio, portfolio_database_url(options.database or settings.owner_url())
    ) as session:
        if options.dry_run:
            found = [count_month(session, each) for each in expired_months(session, days)]
            files = []
        else:
            found = drop_expired(session, days, account_name())
            files = remove_expired_files(session)
    lines = []
    for each in found:
        verb = "kept" if each.kept_for else "would drop" if options.dry_run else "dropped"
        more = f", and {each.quarantined:,} rows of quarantine" * bool(each.quarantined)
        why = f"; {each.kept_for}" * bool(each.kept_for)
        lines.append(
            f"{verb} {each.partition}: {each.rows:,} rows, {each.bytes / 1e6:.1f} MB{more}{why}"
        )
    lines += [f"removed {path}" for path in files]
    return {
        "partitions": [vars(each) for each in found],
        "files": files,
        "text": "\n".join(lines) or f"nothing is older than {days} days",
    }


@contextmanager
def _disk_told() -> Iterator[None]:
    """Say in one line what the disk refuses: no room, no rights."""
    try:
        yield
    except OSError as error:
        raise StateError(f"{error.filename}: {error.strerror}; nothing was replaced") from error


def _backup(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.backup import write_backup
    from loan_scoring.local.postgres import portfolio_database_url

    url = portfolio_database_url(options.database or settings.owner_url())
    with _disk_told():
        done = write_backup(Path(options.to).resolve(), url)
    return {
        **vars(done),
        "text": f"backed up {', '.join(done.schemas)} to {done.folder}: "
        f"{done.files} files, {done.bytes / 1e6:.1f} MB",
    }


def _restore(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.backup import restore_backup
    from loan_scoring.local.postgres import portfolio_database_url

    url = portfolio_database_url(options.database or settings.owner_url())
    with _disk_told():
        done = restore_backup(Path(options.folder).resolve(), url, replace=options.replace)
    return {
        **vars(done),
        "text": f"restored {', '.join(done.schemas)} as of {done.taken_at} from {done.folder}",
    }
