"""Airflow's processes read the same folders as the shell that started them."""

from pathlib import Path

import pytest

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
        tmp_path, tmp_path, tmp_path, "postgresql://x/y", port=1, parallelism=1, extra={}
    )
    assert found["LOAN_SCORING_DATA"] == str(tmp_path / "some" / "data")
    assert found["LOAN_SCORING_PORTFOLIOS"] == "/contracts"
    assert found["LOAN_SCORING_SOURCE"] == "https://lender.example/loans.csv"
    assert (found["LOAN_SCORING_PROMOTION"], found["LOAN_SCORING_STATE"]) == ("hold", "")
