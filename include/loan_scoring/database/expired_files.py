"""Remove files with rows that retention has dropped, and scans, and let go of baseline samples."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from loan_scoring import database, settings
from loan_scoring.database import audit
from loan_scoring.database.session import Session


def expire_baselines(
    session: Session, keep_days: int, by: str, today: date | None = None
) -> list[str]:
    """Let go of the baseline samples of models that are no longer used, and return their versions.

    A sample has rows of applicants. It is kept for the champion, and for `keep_days` days after the
    last scoring run of any other model. The files go by `remove_expired_files`.

    Args:
        session: session of the role that owns the schema.
        keep_days: number of days to keep.
        by: the user, in the form `cli:USER` or `airflow:DAG`.
        today: current date. If None, today in UTC.
    """
    with database.transaction(session.connection):
        before = _limit(keep_days, today)
        rows = database.rows(session.connection, "expire_baselines", before=before)
        versions = sorted(row["model_version"] for row in rows)
        if versions:
            details = {"keep_days": keep_days}
            audit.record_entry(session, by, "baseline.expire", ", ".join(versions), details)
    return versions


def remove_expired_files(session: Session, keep_days: int, today: date | None = None) -> list[Path]:
    """Remove the files that hold rows which retention has dropped, and return their paths.

    These are the landing files of applications and of outcomes, the scanned forms, and the quality
    pages, of dropped months; baseline samples that no model names; and training files that a
    training left behind. The latter two go when they are older than `keep_days` days, because a
    training writes its files before its rows. Table `dropped_partitions` says which months were
    dropped. So if the process is killed, the next call removes the remaining files. The rows of
    scanned pages go too.

    Args:
        session: session of the role that owns the schema.
        keep_days: number of days to keep.
        today: current date. If None, today in UTC.
    """
    portfolio = session.contract.portfolio
    with database.transaction(session.connection):
        dropped = database.rows(session.connection, "select_dropped_months")
        database.execute(session.connection, "expire_scans")
        named = {row["name"] for row in database.rows(session.connection, "select_artifacts")}
    removed: list[Path] = []
    for month in (row["month"] for row in dropped):
        for kind in ("applications", "outcomes"):
            removed += (settings.landing_dir(portfolio) / kind).glob(f"{month}-??.*")
        removed += settings.quality_dir(portfolio).glob(f"{month}-??-r*.html")
        removed += (settings.landing_dir(portfolio) / "scans").glob(f"{month}-??/*")
    before = _limit(keep_days, today).timestamp()
    for pattern in ("baseline-*.parquet", "training-*.parquet"):
        removed += [
            path
            for path in settings.artifacts_dir(portfolio).glob(pattern)
            if path.name not in named and path.stat().st_mtime < before
        ]
    for path in removed:
        path.unlink(missing_ok=True)
    return sorted(removed)


def _limit(keep_days: int, today: date | None) -> datetime:
    day = (today or datetime.now(UTC).date()) - timedelta(days=keep_days)
    return datetime.combine(day, time.min, UTC)
