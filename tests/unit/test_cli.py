"""The command line: one line and exit 1 for what a user can cause, 2 for usage."""

import csv
import io
import json
from pathlib import Path

import pytest

from loan_scoring import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = cli.main(arguments)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("ingest",),
        ("ingest", "--batch", "yesterday"),
        ("ingest", "--batch", "2026-02-30"),
        ("ingest", "--batch", "2026-1-5", "--source", "night.csv"),
        ("ingest", "--batch", "20260105"),
        ("metrics", "--batch", "\u0662026-01-05"),
        ("train", "--promote", "maybe"),
    ],
)
def test_usage_exits_with_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "usage: loan-scoring" in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("status", "--portfolio", "mortgages"), "no contract"),
        (("status", "--database", "postgresql://u@127.0.0.1:1/x"), "no database at"),
        (("status", "--database", "nonsense"), "the database URL is none"),
        (("replay", "--scenario", "flood@1"), "flood"),
        (("replay", "--source", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_1(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], line: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("loan-scoring: ")
    assert line in err
    assert err.count("\n") == 1


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("loan", "99999999999999999999"), "'99999999999999999999' is no loan number of"),
        (("loan", "\u0661\u0662"), "'\u0661\u0662' is no loan number of loan_default"),
        (("loan", "12"), "no published score of loan 12 in loan_default"),
        (("retention", "--keep-days", "1000000"), "--keep-days 1000000: keep 1 to 36500 days"),
    ],
)
def test_a_number_that_none_can_have_is_one_line(
    capsys: pytest.CaptureFixture[str], empty_url: str, arguments: tuple[str, ...], line: str
) -> None:
    test_a_users_mistake_is_one_line_and_exit_1(
        capsys, (*arguments, "--json", "--database", empty_url), line
    )


@pytest.mark.integration
def test_every_stage_runs_without_airflow(
    capsys: pytest.CaptureFixture[str], ready_url: str, drops, tmp_path: Path
) -> None:
    def ok(*arguments: str) -> str:
        code, out, err = run(capsys, *arguments, "--database", ready_url)
        assert code == 0, err
        return out

    night = drops.application_files["2026-01-05"]
    assert "1000 received, 1000 accepted" in ok("ingest", "--batch", "2026-01-05")
    again = ok("ingest", "--batch", "2026-01-05", "--source", str(night))
    assert "the same bytes: nothing changed" in again
    assert "1000 accepted" in ok("outcomes", "--source", str(drops.outcome_files[0]))
    assert json.loads(ok("score", "--batch", "2026-01-05", "--json"))["applications"] == 1000
    assert "0 causes of alert" in ok("metrics", "--batch", "2026-01-05")
    # A thousand loans more make no model that is better by more than noise: nobody is asked.
    assert "refused: AUC 0." in ok("train", "--promote", "hold")
    state = json.loads(ok("status", "--json"))
    assert [batch["batch_id"] for batch in state["batches"]] == ["2026-01-05", "history"]
    assert state["champions"]["propensity"]["model_version"] == "propensity-1"
    assert "password" not in json.dumps(state)
    rows = list(
        csv.reader(io.StringIO(ok("sql", "-c", "select count(*) as n from current_scores")))
    )
    assert rows == [["n"], ["1000"]]


@pytest.mark.integration
def test_sql_cannot_write(capsys: pytest.CaptureFixture[str], ready_url: str) -> None:
    code, _, err = run(capsys, "sql", "-c", "delete from outcomes", "--database", ready_url)
    assert code == 1
    assert err == "loan-scoring: Postgres: cannot execute DELETE in a read-only transaction\n"


@pytest.mark.integration
def test_status_beside_a_running_airflow_names_it(
    capsys: pytest.CaptureFixture[str], empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = run(capsys, "status", "--database", empty_url)
    assert "Airflow   not running; `make up` starts it\n" in out
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://scoring.lender.example")
    _, out, _ = run(capsys, "status", "--database", empty_url)
    assert "Airflow   https://scoring.lender.example\n" in out
