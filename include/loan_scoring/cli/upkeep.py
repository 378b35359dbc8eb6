"""Define and run the commands of upkeep: `roles`, `migrate`, `retention` and others."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loan_scoring import settings
from loan_scoring.cli.arguments import count, month_text
from loan_scoring.cli.common import Handler, account_name, add_command, session_of
from loan_scoring.errors import StateError

if TYPE_CHECKING:
    from loan_scoring.database.backup import Backup


def add_upkeep_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands `roles`, `migrate`, `retention`, `export`, `backup` and others."""

    def command(name: str, handler: Handler, help_: str) -> argparse.ArgumentParser:
        return add_command(commands, name, handler, help_, common)

    command(
        "roles",
        _roles,
        "create owner, application and reader on a server; passwords come from the environment",
    )
    # Not `common`: its default is one portfolio, and the default of migrate is all.
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--portfolio", help="only this one; default: all")
    own.add_argument("--database", metavar="URL", help="default: LOAN_SCORING_DATABASE_URL")
    own.add_argument("--json", action="store_true", help="print a machine-readable result")
    add_command(
        commands, "migrate", _migrate, "bring the schema of every portfolio up to date", own
    )
    retention = command("retention", _retention, "drop months that are past their retention")
    retention.add_argument(
        "--keep-days", type=int, metavar="N", help="default: the contract's retention.keep_days"
    )
    retention.add_argument(
        "--dry-run", action="store_true", help="show what would be dropped, drop nothing"
    )
    retention.add_argument(
        "--today",
        type=date.fromisoformat,
        metavar="DATE",
        help="the date, where the clock is right and the newest batch is months old",
    )
    retention.add_argument(
        "--export-to",
        metavar="URI",
        help="write months as Parquet before they are dropped; default: retention.export_to",
    )
    export = command("export", _export, "write the rows of a month as Parquet files")
    export.add_argument("--month", required=True, type=month_text, metavar="YYYY-MM")
    export.add_argument("--to", required=True, metavar="URI", help="folder, or s3://BUCKET/PATH")
    clean = add_command(
        commands,
        "clean-airflow",
        _clean_airflow,
        "delete old rows of Airflow's metadata database, and old log files",
        argparse.ArgumentParser(add_help=False),
    )
    clean.add_argument("--json", action="store_true", help="print a machine-readable result")
    clean.add_argument("--logs", type=Path, metavar="FOLDER", help="default: $AIRFLOW_HOME/logs")
    backup = command("backup", _backup, "write every portfolio's tables and artifacts to a folder")
    backup.add_argument("--to", required=True, metavar="FOLDER", help="must not exist yet")
    backup.add_argument(
        "--encrypt", action="store_true", help="encrypt its files with LOAN_SCORING_BACKUP_KEY"
    )
    backup.add_argument(
        "--keep-days", type=count, metavar="N", help="it is to be deleted then; kept on record"
    )
    restore = command("restore", _restore, "restore database and artifacts from a backup")
    restore.add_argument("--from", dest="folder", required=True, metavar="FOLDER")
    restore.add_argument(
        "--replace", action="store_true", help="drop the portfolios that the database holds"
    )
    restore.add_argument(
        "--unsigned", action="store_true", help="although LOAN_SCORING_BACKUP_KEY is set"
    )


def _owner_url(options: argparse.Namespace) -> str:
    """Return the database URL of the role that owns the tables.

    The first of these settings that has a value is used: --database, LOAN_SCORING_OWNER_URL,
    LOAN_SCORING_DATABASE_URL, the embedded Postgres.
    """
    from loan_scoring.local.postgres import portfolio_database_url

    return portfolio_database_url(options.database or settings.owner_url())


def _roles(_: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.roles import create_roles_from_environment

    created = create_roles_from_environment()
    return {"roles": created, "text": f"roles ready: {', '.join(created)}"}


def _migrate(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import contract
    from loan_scoring.database.session import migrate_portfolio

    url = _owner_url(options)
    if options.portfolio is None:
        valid, broken = contract.load_all()
    else:
        valid, broken = [contract.load(options.portfolio)], {}
    applied = {each.portfolio: migrate_portfolio(each.portfolio, url) for each in valid}
    lines = [f"{name}: {_steps(steps)}" for name, steps in applied.items()]
    lines += [f"{name}: not migrated; {why}" for name, why in broken.items()]
    return {
        "applied": applied,
        "broken": broken,
        "text": "\n".join(lines),
    }


def _steps(names: list[str]) -> str:
    """Return applied steps in a few words: SQL files are counted, the others are named."""
    files = [name for name in names if name.endswith(".sql")]
    count = [f"applied {len(files)} migration{'s' * (len(files) > 1)}"] if files else []
    return ", ".join([*count, *(name for name in names if name not in files)]) or "up to date"


def _clean_airflow(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.local.airflow_age import clean_airflow

    home = os.environ.get("AIRFLOW_HOME")
    if home is None:
        raise StateError(
            "AIRFLOW_HOME is not set: run this where Airflow's own settings are, such as the "
            "service housekeeping; `make up` cleans by itself"
        )
    removed = clean_airflow(options.logs or Path(home) / "logs")
    days = settings.airflow_keep_days()
    return {
        "removed_files": removed,
        "text": f"rows of Airflow older than {days} days are deleted, and {removed:,} log files",
    }


def _retention(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import contract
    from loan_scoring.database.expired_files import expire_baselines, remove_expired_files
    from loan_scoring.database.retention import (
        count_month,
        drop_expired,
        expired_months,
    )

    policy = contract.load(options.portfolio).retention
    days: int | None = options.keep_days
    if days is None and policy is not None:
        days = policy.keep_days
    if days is None:
        raise StateError(
            f"the contract of {options.portfolio} sets no retention; give --keep-days, "
            "or write retention: {keep_days: N} into the contract"
        )
    today: date | None = options.today
    with session_of(options, settings.owner_url()) as session:
        if options.dry_run:
            months = [count_month(session, month) for month in expired_months(session, days, today)]
            files, versions = [], []
        else:
            to = options.export_to or (policy.export_to if policy else None)
            months = drop_expired(session, days, account_name(), today, export_to=to)
            versions = expire_baselines(session, days, account_name())
            files = remove_expired_files(session, days)
    lines = []
    for month in months:
        verb = "kept" if month.kept_for else "would drop" if options.dry_run else "dropped"
        more = f", and {month.quarantined:,} rows of quarantine" if month.quarantined else ""
        why = f"; {month.kept_for}" if month.kept_for else ""
        lines.append(
            f"{verb} {month.partition}: {month.rows:,} rows, {month.bytes / 1e6:.1f} MB{more}{why}"
        )
    lines += [f"let go of the baseline sample of {version}" for version in versions]
    lines += [f"removed {path}" for path in files]
    return {
        "partitions": [vars(month) for month in months],
        "baselines": versions,
        "files": files,
        "text": "\n".join(lines) or f"nothing is older than {days} days",
    }


def _export(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.lake import export_month

    with session_of(options, settings.owner_url()) as session:
        written = export_month(session, options.month, options.to, account_name())
    lines = [f"{each.rows:>12,} rows  {each.location}" for each in written]
    return {"files": [vars(each) for each in written], "text": "\n".join(lines)}


@contextmanager
def _disk_errors_as_one_line() -> Iterator[None]:
    """Raise a StateError with a message of one line if the block raises an OSError.

    An example of such an OSError is a full disk.
    """
    try:
        yield
    except OSError as error:
        raise StateError(f"{error.filename}: {error.strerror}; nothing was replaced") from error


def _backup(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.backup import write_backup

    url = _owner_url(options)
    with _disk_errors_as_one_line():
        done = write_backup(
            Path(options.to).resolve(), url, encrypts=options.encrypt, keep_days=options.keep_days
        )
    end = f", to be deleted after {done.ends_on}" if done.ends_on else ""
    return {
        **vars(done),
        "text": f"backed up {', '.join(done.schemas)} to {done.folder}: "
        f"{done.files} files, {done.bytes / 1e6:.1f} MB, {_sealed(done)}{end}",
    }


def _restore(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.restore import restore_backup

    url = _owner_url(options)
    with _disk_errors_as_one_line():
        done = restore_backup(
            Path(options.folder).resolve(), url, replace=options.replace, unsigned=options.unsigned
        )
    return {
        **vars(done),
        "text": f"restored {', '.join(done.schemas)} as of {done.taken_at} from {done.folder} "
        f"({_sealed(done)})",
    }


def _sealed(done: "Backup") -> str:
    signed = "signed" if done.is_signed else "not signed"
    return f"{signed}, encrypted" if done.is_encrypted else f"{signed}, not encrypted"
