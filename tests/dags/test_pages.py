"""The pages on real Postgres through Airflow's API server: rights, refusals, what they show."""

from collections.abc import Callable
from typing import Any

import pytest

from loan_scoring.session import Session

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code warns of what it will do otherwise one day.
    pytest.mark.filterwarnings("default"),
]

Token = Callable[[str], dict[str, str]]
P = "/loan-scoring/p/loan_default"


@pytest.fixture
def empty_url(empty: Session, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the pages read an empty schema by the reader's role, and write by the application's."""
    name = empty.connection.get_dsn_parameters()["dbname"]
    for connection, role in (
        ("LOAN_SCORING", "loan_scoring"),
        ("LOAN_SCORING_READER", "loan_scoring_reader"),
    ):
        url = postgres.url(role).rpartition("/")[0] + f"/{name}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{connection}", url)
    return name


@pytest.mark.parametrize(
    "path", ["/", "/p/loan_default/", "/p/other/", "/nowhere", "/openapi.json", "/docs", "/dag/x"]
)
def test_who_is_not_logged_in_learns_nothing(client: Any, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert client.request(method, f"/loan-scoring{path}").status_code == 401


def test_static_files_are_anyones(client: Any) -> None:
    assert client.get("/loan-scoring/static/pages.css").status_code == 200


def test_page_may_load_nothing_of_others_and_run_nothing_in_line(
    client: Any, token: Token, empty_url: str
) -> None:
    policy = client.get(f"{P}/", headers=token("viewer")).headers["content-security-policy"]
    assert "default-src 'self';" in policy
    assert "script-src" not in policy


def test_portfolio_that_is_none_is_not_found(client: Any, token: Token, empty_url: str) -> None:
    assert client.get("/loan-scoring/p/other/", headers=token("viewer")).status_code == 404


def test_page_without_its_database_says_so(
    client: Any, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOAN_SCORING", "LOAN_SCORING_READER"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", "postgresql://u:secret@127.0.0.1:1/none")
    shown = client.get(f"{P}/", headers=token("viewer"))
    assert shown.status_code == 503
    assert "no database at postgresql://u@127.0.0.1:1/none" in shown.text
    assert "secret" not in shown.text


def test_tab_of_a_dag_opens_its_portfolio(client: Any, token: Token) -> None:
    seen = token("viewer")
    mine = client.get("/loan-scoring/dag/loan_default_train", headers=seen, follow_redirects=False)
    assert mine.headers["location"] == f"{P}/"
    assert "not of loan-scoring" in client.get("/loan-scoring/dag/other", headers=seen).text
