"""Old rows and logs of Airflow end; young ones and the last run of a DAG stay."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loan_scoring.cli.main import main
from loan_scoring.errors import LoanScoringError
from loan_scoring.local.airflow_age import clean_airflow, remove_old_logs, rotate_logs

NOW = datetime(2031, 3, 1, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(days=200), NOW - timedelta(days=20)


def write(path: Path, at: datetime, text: str = "line\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for each in (path, path.parent):
        os.utime(each, (at.timestamp(), at.timestamp()))
    return path


@pytest.fixture
def entries(airflow_home: Path) -> Iterator[list[str]]:
    """Two entries of Airflow's own log of events, an old and a young one."""
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    names = ["made old", "made young"]
    with create_session() as session:
        for name, at in zip(names, (OLD, YOUNG), strict=True):
            entry = Log(event=name)
            entry.dttm = at
            session.add(entry)
    yield names
    with create_session() as session:
        session.execute(delete(Log).where(Log.event.in_(names)))


def left(names: list[str]) -> list[str]:
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return list(session.scalars(select(Log.event).where(Log.event.in_(names))))


def test_old_rows_and_files_end(entries: list[str], tmp_path: Path) -> None:
    gone = write(tmp_path / "dag_id=a" / "run_id=old" / "attempt=1.log", OLD)
    stays = write(tmp_path / "dag_id=a" / "run_id=young" / "attempt=1.log", YOUNG)
    assert clean_airflow(tmp_path, now=NOW) == 1
    assert (gone.exists(), gone.parent.exists(), stays.exists()) == (False, False, True)
    assert left(entries) == ["made young"]


def test_a_metadata_database_that_fails_is_one_line_and_files_end_all_the_same(
    tmp_path: Path,
) -> None:
    gone = write(tmp_path / "dag_processor" / "old" / "file.log", OLD)
    broken = os.environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:///relative.db"}
    with pytest.raises(LoanScoringError, match=r"airflow db clean ended with \d+: \S+") as failure:
        clean_airflow(tmp_path, broken, NOW)
    assert "\n" not in str(failure.value)
    assert not gone.exists()


def test_logs_of_components_are_put_aside_and_not_deleted(tmp_path: Path) -> None:
    log = write(tmp_path / "scheduler.log", OLD, "x" * 100)
    with log.open("a") as component:
        component.write("y")
        component.flush()
        assert remove_old_logs(tmp_path, NOW) == 0
        rotate_logs(tmp_path, most_bytes=50)
        component.write("z")
    assert log.read_text() == "z"
    assert log.with_suffix(".log.1").read_text() == "x" * 100 + "y"


def test_command_needs_airflows_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AIRFLOW_HOME")
    assert main(["clean-airflow"]) != 0
    assert "AIRFLOW_HOME is not set" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["0", "a week"])
def test_days_are_a_number(given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOAN_SCORING_AIRFLOW_KEEP_DAYS", given)
    with pytest.raises(LoanScoringError, match="give a whole number of days"):
        clean_airflow(tmp_path)
