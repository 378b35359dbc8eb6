"""Airflow's processes read the same folders as the shell that started them."""

import re
from pathlib import Path

import pytest

from loan_scoring.local.airflow_components import COMPONENTS
from loan_scoring.local.airflow_environment import airflow_environment


def test_relative_folders_are_those_of_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOAN_SCORING_DATA", "some/data")
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", "/contracts")
    monkeypatch.setenv("LOAN_SCORING_SOURCE", "https://lender.example/loans.csv")
    monkeypatch.setenv("LOAN_SCORING_PROMOTION", "hold")
    monkeypatch.setenv("LOAN_SCORING_STATE", "")
    found = airflow_environment(
        "scheduler",
        tmp_path,
        tmp_path,
        tmp_path,
        "postgresql://x/y",
        port=1,
        parallelism=1,
        extra={},
    )
    assert found["LOAN_SCORING_DATA"] == str(tmp_path / "some" / "data")
    assert found["LOAN_SCORING_PORTFOLIOS"] == "/contracts"
    assert found["LOAN_SCORING_SOURCE"] == "https://lender.example/loans.csv"
    assert (found["LOAN_SCORING_PROMOTION"], found["LOAN_SCORING_STATE"]) == ("hold", "")


SECRETS = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": {*COMPONENTS, "migration"},
    "AIRFLOW__CORE__FERNET_KEY": {"api-server", "triggerer"},
    "AIRFLOW__API_AUTH__JWT_SECRET": {"api-server", "scheduler"},
    "AIRFLOW__API__SECRET_KEY": {"api-server"},
    "AIRFLOW_CONN_LOAN_SCORING": {"api-server", "scheduler"},
    "AIRFLOW_CONN_LOAN_SCORING_READER": {"api-server"},
    "AIRFLOW_CONN_LOAN_SCORING_OWNER": {"scheduler"},
    "AIRFLOW_CONN_SMTP_DEFAULT": {"scheduler"},
    "LOAN_SCORING_DATABASE_URL": {"api-server", "scheduler"},
    "LOAN_SCORING_OWNER_URL": {"scheduler"},
    "LOAN_SCORING_READER_URL": {"api-server"},
    "LOAN_SCORING_ADMIN_URL": set(),
    "LOAN_SCORING_MLFLOW_URL": set(),
    "LOAN_SCORING_OWNER_PASSWORD": set(),
    "LOAN_SCORING_READER_PASSWORD_LOAN_DEFAULT": set(),
    "LOAN_SCORING_BACKUP_KEY": set(),
    "MLFLOW_VIEWER_PASSWORD": set(),
}
"""Processes of `make up` that have a secret; tasks run in forks of the scheduler."""


@pytest.mark.attack
def test_each_process_has_the_secrets_that_it_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        if not name.startswith("AIRFLOW__"):
            monkeypatch.setenv(name, "postgresql://a-secret")
    held = {
        process: airflow_environment(
            process, tmp_path, tmp_path, tmp_path, "postgresql://x/y",
            port=1, parallelism=1, extra={"AIRFLOW_CONN_LOAN_SCORING": "postgresql://z/y"},
        )
        for process in (*COMPONENTS, "migration")
    }  # fmt: skip
    found = {name: {each for each in held if name in held[each]} for name in SECRETS}
    assert found == SECRETS
    patterns = re.compile("SECRET|PASSWORD|_KEY|_CONN|_URL$")
    known = {*SECRETS, "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"}
    for each in held.values():
        ours = {name for name in each if name.startswith(("AIRFLOW", "LOAN_SCORING"))}
        unknown = {name for name in ours - known if patterns.search(name)}
        assert unknown == {"AIRFLOW__API__BASE_URL", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"}
