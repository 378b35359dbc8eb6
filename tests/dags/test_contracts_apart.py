"""A broken contract is one import error; the DAGs and pages of all other portfolios stay."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import contract as contracts
from loan_scoring.database.session import Session
from loan_scoring.local.airflow_stack import STAGES, stages_of

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

DAGS = Path(__file__).resolve().parents[2] / "dags"
BROKEN = "portfolio: broken\ntitle: Broken\nowner: x\ncolumns: []\n"
PAGES = (
    "", "batches", "batches/2026-01-05", "batches/2026-01-05/quarantine.csv", "drift", "alerts",
    "models", "desk", "desk/1", "operations",
)  # fmt: skip


@pytest.fixture
def folder(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The contracts of the tests, and one that is broken."""
    shutil.copytree(folders / "portfolios", tmp_path / "portfolios")
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path / "portfolios"))
    (tmp_path / "portfolios" / "broken.yaml").write_text(BROKEN)
    return tmp_path / "portfolios"


@pytest.fixture
def parse(airflow_home: Path) -> Callable[[], Any]:
    """Return a function that parses all DAG files as the DAG processor does."""

    def bag() -> Any:
        from airflow.dag_processing.dagbag import DagBag

        return DagBag(DAGS, bundle_path=DAGS)

    return bag


def test_broken_contract_is_one_import_error_and_takes_no_other_dag_away(
    folder: Path, parse: Callable[[], Any]
) -> None:
    found = parse()
    assert list(found.import_errors) == ["loan_scoring_broken_contracts.py"]
    (error,) = found.import_errors.values()
    assert "broken.yaml: columns: List should have at least 2 items" in error.splitlines()[-1]
    valid = contracts.load_all()[0]
    expected = {f"{each.portfolio}_{stage}" for each in valid for stage in stages_of(each)}
    assert set(found.dags) == expected | {"loan_scoring_contracts"}


def test_contract_that_breaks_in_the_middle_loses_its_own_dags_until_it_is_mended(
    folder: Path, parse: Callable[[], Any]
) -> None:
    (folder / "broken.yaml").unlink()
    before = parse()
    assert before.import_errors == {}
    path = folder / "credit_data.yaml"
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    during = parse()
    assert set(before.dags) - set(during.dags) == {f"credit_data_{stage}" for stage in STAGES}
    assert len(during.import_errors) == 1
    path.write_text(text)
    after = parse()
    assert after.import_errors == {}
    assert set(after.dags) == set(before.dags)


def test_dag_of_the_check_opens_an_alert(
    folder: Path, parse: Callable[[], Any], empty: Session, point: Callable[[Session], None]
) -> None:
    point(empty)
    run = parse().dags["loan_scoring_contracts"].test()
    assert run.state == "success"
    with empty.connection.cursor() as cursor:
        cursor.execute("select kind, subject, severity from open_alerts")
        assert cursor.fetchall() == [("contract", "broken", "critical")]


@pytest.mark.parametrize("path", PAGES)
def test_page_of_a_broken_contract_shows_its_error(
    client: Any, token: Callable[[str], dict], folder: Path, path: str
) -> None:
    shown = client.get(f"/loan-scoring/p/broken/{path}", headers=token("viewer"))
    assert shown.status_code == 409
    assert "The contract cannot be used" in shown.text
    assert "broken.yaml: columns: List should have at least 2 items" in shown.text


def test_pages_of_other_portfolios_work_beside_a_broken_contract(
    client: Any, token: Callable[[str], dict], folder: Path, night: Session
) -> None:
    seen = token("viewer")
    for path in ("", "batches/2026-01-05", "alerts"):
        assert client.get(f"/loan-scoring/p/loan_default/{path}", headers=seen).status_code == 200
    assert client.get("/loan-scoring/api/v1/openapi.json", headers=seen).status_code == 200
    answer = client.get("/loan-scoring/", headers=seen, follow_redirects=False)
    assert answer.headers["location"] == "/loan-scoring/p/loan_default/"
    refused = client.get("/loan-scoring/api/v1/broken/batches", headers=seen)
    assert refused.status_code == 409
    assert "broken.yaml: columns" in refused.json()["detail"]


@pytest.mark.parametrize("path", PAGES)
def test_page_of_a_new_contract_says_what_to_do_next(
    client: Any,
    token: Callable[[str], dict],
    folder: Path,
    empty: Session,
    point: Callable[[Session], None],
    path: str,
) -> None:
    point(empty)
    raw = yaml.safe_load((folder / "credit_data.yaml").read_text()) | {"portfolio": "ships"}
    (folder / "ships.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    shown = client.get(f"/loan-scoring/p/ships/{path}", headers=token("viewer"))
    assert shown.status_code == 200
    for command in (
        "loan-scoring migrate",
        "loan-scoring ingest --portfolio ships --batch history --source FILE",
        "loan-scoring train --portfolio ships",
        "make run PORTFOLIO=ships",
    ):
        assert command in shown.text
    refused = client.get("/loan-scoring/api/v1/ships/batches", headers=token("viewer"))
    assert refused.status_code == 409
    assert "`loan-scoring migrate` creates them" in refused.json()["detail"]


def test_portfolio_with_empty_tables_shows_the_step_that_is_next(
    client: Any, token: Callable[[str], dict], empty: Session, point: Callable[[Session], None]
) -> None:
    point(empty)
    shown = client.get("/loan-scoring/p/loan_default/", headers=token("viewer")).text
    assert "<pre>loan-scoring ingest --portfolio loan_default --batch history" in shown
    assert "<pre>loan-scoring migrate" not in shown


def test_portfolio_with_a_champion_and_no_night_asks_for_a_night(
    client: Any, token: Callable[[str], dict], ready: Session, point: Callable[[Session], None]
) -> None:
    point(ready)
    shown = client.get("/loan-scoring/p/loan_default/", headers=token("viewer")).text
    assert "<pre>loan-scoring train" not in shown
    assert "loan-scoring score --portfolio loan_default --batch YYYY-MM-DD" in shown
