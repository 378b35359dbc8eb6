"""The maintenance DAG exists where the contract sets a retention, and drops old months."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import database, settings
from loan_scoring.database.retention import drop_expired
from loan_scoring.database.session import Session

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]


TODAY = date(2026, 7, 1)


def dags_of(folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> dict[str, Any]:
    from airflow.dag_processing.dagbag import DagBag

    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text()) | more
    folder.mkdir()
    (folder / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(folder))
    bag = DagBag(settings.home() / "dags" / "loan_scoring_maintenance.py")
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_contract_without_retention_has_no_maintenance_dag(
    airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dags_of(tmp_path / "portfolios", monkeypatch) == {}


@pytest.mark.parametrize("connection", ["LOAN_SCORING_OWNER", "LOAN_SCORING"])
def test_second_run_drops_nothing_more(
    airflow_home: Path, scored: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    connection: str,
) -> None:  # fmt: skip
    """It uses the owner's connection where it exists, else the one of the stages."""
    known = scored.connection.info
    url = f"postgresql://{known.user}:{known.password}@{known.host}:{known.port}/{known.dbname}"
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", url)
    monkeypatch.setenv(f"AIRFLOW_CONN_{connection}", url)
    dags = dags_of(
        tmp_path / "portfolios", monkeypatch, retention={"keep_days": 30},
        schedules={"maintenance": "0 3 * * 1"},
    )  # fmt: skip
    dag = dags["loan_default_maintenance"]
    assert dag.timetable.expression == "0 3 * * 1"
    assert set(dag.task_dict) == {"drop", "notify", "remove_files"}
    monkeypatch.setenv(
        "LOAN_SCORING_DATA", str(tmp_path / "data")
    )  # so that it removes no files of other tests
    # The newest batch is months old here, so a person says that the clock is right.
    for _ in range(2):
        assert dag.test(run_conf={"today": TODAY.isoformat()}).state == "success"
        found = database.select_read_only(
            scored.connection,
            "select partition, rows, dropped_by from dropped_partitions order by 1",
        )[1]
        by = "airflow:loan_default_maintenance"
        assert found == [
            ["applications_2026_01", 1000, by], ["scores_2026_01", 1000, by]
        ]  # fmt: skip
    recorded = database.select_read_only(
        scored.connection, "select task, rows from task_metrics where rows > 0 and run !~ 'cli'"
    )[1]
    assert recorded == [["maintenance.drop", 2000]]


@pytest.mark.parametrize("days", [0, 1_000_000])
def test_retention_out_of_bounds_is_refused(
    airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    from loan_scoring import contract
    from loan_scoring.errors import ContractError

    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text())
    (tmp_path / "loan_default.yaml").write_text(
        yaml.safe_dump(raw | {"retention": {"keep_days": days}}, sort_keys=False)
    )
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    with pytest.raises(ContractError, match=r"retention.keep_days"):
        contract.load("loan_default")


def test_page_of_a_dropped_batch_names_the_retention(
    client: Any, token: Any, scored: Session, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for connection, role in (
        ("LOAN_SCORING", "loan_scoring"),
        ("LOAN_SCORING_READER", "loan_scoring_reader"),
    ):
        url = postgres.url(role).rpartition("/")[0] + f"/{scored.connection.info.dbname}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{connection}", url)
    place = "/loan-scoring/p/loan_default"
    before = client.get(f"{place}/batches/2026-01-05", headers=token("viewer"))
    assert "Retention dropped" not in before.text
    drop_expired(scored, 30, "cli:ann", TODAY)
    after = client.get(f"{place}/batches/2026-01-05", headers=token("viewer"))
    assert after.status_code == 200
    assert "Retention dropped its scores and applications on" in after.text
    assert "(cli:ann)" in after.text
    desk = client.get(f"{place}/desk?batch=2026-01-05", headers=token("viewer"))
    assert desk.status_code == 409
    assert "the rows of batch 2026-01-05 are gone" in desk.text
    run_id = database.select_read_only(
        scored.connection, "select scoring_run_id from scoring_runs"
    )[1][0][0]
    extract = client.get(
        f"/loan-scoring/api/v1/loan_default/executions/{run_id}/scores", headers=token("viewer")
    )
    assert extract.status_code == 409
