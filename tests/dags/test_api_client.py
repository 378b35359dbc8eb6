"""The Python client made from the OpenAPI document calls every operation; the API has a page."""

import ast
import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

Token = Callable[[str], dict[str, str]]
API = "/loan-scoring/api/v1"
NIGHT = "2026-01-05"


@pytest.fixture
def made(client: Any, token: Token) -> ModuleType:
    """The module that the API serves."""
    assert client.get(f"{API}/client.py").status_code == 401
    answer = client.get(f"{API}/client.py", headers=token("viewer"))
    assert answer.headers["content-type"].startswith("text/x-python")
    module = ModuleType("loan_scoring_client")
    exec(compile(answer.text, "loan_scoring_client.py", "exec"), module.__dict__)  # noqa: S102
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(ast.parse(answer.text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"json", "urllib", "Any"}
    return module


def logged_in(made: ModuleType, client: Any, token: Token, user: str) -> Any:
    """Return the served client, which sends its requests to the app of the tests."""

    class InProcess(made.Client):  # type: ignore[misc, name-defined]
        def send(
            self, method: str, url: str, body: bytes | None, headers: dict[str, str]
        ) -> tuple[int, bytes]:
            parts = urlsplit(url)
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            answer = client.request(method, path, content=body, headers=headers)
            return answer.status_code, answer.content

    return InProcess(
        "http://testserver", token=token(user)["Authorization"].removeprefix("Bearer ")
    )


def test_every_operation_has_a_method_with_its_parameters(
    client: Any, token: Token, made: ModuleType
) -> None:
    document = client.get(f"{API}/openapi.json", headers=token("viewer")).json()
    for operations in document["paths"].values():
        for operation in operations.values():
            method = getattr(made.Client, operation["operationId"])
            asked = {each["name"] for each in operation.get("parameters", [])}
            asked |= {"body"} if "requestBody" in operation else set()
            assert set(inspect.signature(method).parameters) - {"self"} == asked
            assert inspect.getdoc(method)


def test_client_scores_reads_and_raises_what_the_api_says(
    client: Any, token: Token, made: ModuleType, night: Session
) -> None:
    caller = logged_in(made, client, token, "op")
    document = client.get(
        f"{API}/openapi.json?portfolio=loan_default", headers=token("viewer")
    ).json()
    operation = document["paths"]["/api/v1/{portfolio}/score"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["example"]
    (score,) = caller.score("loan_default", body)["scores"]
    assert 0 < score["default_probability"] < 1
    batches = caller.list_batches("loan_default", limit=5)["batches"]
    assert [each["batch_id"] for each in batches] == [NIGHT, "history"]
    run = caller.list_executions("loan_default", batch=NIGHT)["executions"][0]["scoring_run_id"]
    rows = caller.list_scores("loan_default", run, limit=3)["scores"]
    (known,) = database.select_read_only(
        night.connection,
        f"select default_probability from current_scores where loan_id = {rows[0]['loan_id']}",
    )[1]
    assert rows[0]["default_probability"] == known[0]
    assert caller.read_card("loan_default", "propensity-1").startswith("# ")
    with pytest.raises(made.Problem, match=r"422: .*body.applications.0") as raised:
        caller.score("loan_default", {"applications": [{"term": 1}]})
    assert (raised.value.status, raised.value.errors[0]["loc"][:2]) == (
        422, ["body", "applications"],
    )  # fmt: skip
    with pytest.raises(made.Problem, match="404: no model propensity-77"):
        caller.read_model("loan_default", "propensity-77")
    with pytest.raises(made.Problem, match="403"):
        logged_in(made, client, token, "viewer").score("loan_default", body)


def test_client_without_a_token_logs_in_again(made: ModuleType) -> None:
    sent = []

    class Scripted(made.Client):  # type: ignore[misc, name-defined]
        def send(self, method: str, url: str, *_: Any) -> tuple[int, bytes]:
            sent.append(f"{method} {url}")
            if url.endswith("/auth/token"):
                return 201, b'{"access_token": "new"}'
            return (200, b"{}") if self.token == "new" else (401, b"{}")

    assert Scripted("http://h", "ann", "secret", token="old").list_models("loan_default") == {}
    address = "http://h/loan-scoring/api/v1/loan_default/models"
    assert sent == [f"GET {address}", "POST http://h/auth/token", f"GET {address}"]


def test_page_of_the_api_needs_a_login_and_loads_own_files(
    client: Any, token: Token, night: Session
) -> None:
    address = "/loan-scoring/p/loan_default/api"
    assert client.get(address).status_code == 401
    shown = client.get(address, headers=token("viewer")).text
    assert 'data-document="/loan-scoring/api/v1/openapi.json?portfolio=loan_default"' in shown
    for name in ("swagger-ui-bundle", "swagger-ui"):
        (file,) = {part.split('"')[0] for part in shown.split("/static/")[1:]
                   if re.match(rf"{name}-\d", part)}  # fmt: skip
        answer = client.get(f"/loan-scoring/static/{file}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
