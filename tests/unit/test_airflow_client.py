"""Airflow's client logs in again where its token is refused, and names no secret."""

import json
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loan_scoring.errors import LoanScoringError
from loan_scoring.local.airflow_client import AirflowClient
from loan_scoring.local.state import is_free, kept_port

RIGHT = "right"


class Airflow(ThreadingHTTPServer):
    """Accepts the token that it gave last, and counts log-ins."""

    refusal = (401, "token expired")
    accepts = True
    log_ins = 0

    def answer(self, path: str, token: str | None, body: Any) -> tuple[int, Any]:
        if path == "/auth/token":
            if body["password"] != RIGHT:
                return 422, {"detail": [{"input": body}]}
            self.log_ins += 1
            return 201, {"access_token": f"token-{self.log_ins}"}
        if token != f"Bearer token-{self.log_ins}" or not self.accepts:
            return self.refusal[0], {"detail": self.refusal[1]}
        if path.startswith("/api/v2/dags?"):
            offset = int(path.rpartition("offset=")[2])
            moment = "2026-01-05T00:00:00+00:00"
            dags = [{"dag_id": f"d{i}", "last_parsed_time": moment} for i in range(130)]
            return 200, {"dags": dags[offset : offset + 100]}
        return 500, {"detail": f"headers were {token}"}


class Handler(BaseHTTPRequestHandler):
    def reply(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        code, content = self.server.answer(self.path, self.headers.get("Authorization"), body)  # type: ignore[attr-defined]
        data = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = reply  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    with Airflow(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def client(airflow: Airflow, password: str = RIGHT) -> AirflowClient:
    return AirflowClient(f"http://127.0.0.1:{airflow.server_port}", "ann", password, Path("logs"))


LONG_AGO = datetime.fromisoformat("2020-01-01T00:00:00+00:00")


@pytest.mark.parametrize("refusal", [(401, "token expired"), (403, "Invalid JWT token")])
def test_refused_token_is_replaced_by_one_log_in(airflow, refusal):
    airflow.refusal = refusal
    session = client(airflow)
    assert len(session.dags_parsed_since(LONG_AGO)) == 130
    assert airflow.log_ins == 1
    session._token = "of yesterday"
    assert len(session.dags_parsed_since(LONG_AGO)) == 130
    assert airflow.log_ins == 2


def test_refusal_that_stays_is_reported(airflow):
    airflow.accepts = False
    with pytest.raises(LoanScoringError, match="Airflow refuses PATCH /api/v2/dags/d: 401 "):
        client(airflow).unpause("d")


def test_errors_name_neither_password_nor_token(airflow):
    with pytest.raises(LoanScoringError, match="refuses POST /auth/token: 422") as caught:
        client(airflow, "wr0ng-secret").unpause("d")
    assert "wr0ng-secret" not in str(caught.value)
    with pytest.raises(LoanScoringError, match="refuses PATCH /api/v2/dags/d: 500") as caught:
        client(airflow).unpause("d")
    assert "token-1" not in str(caught.value)


def test_airflow_that_does_not_answer_is_named_with_its_logs(tmp_path, monkeypatch):
    port = kept_port(tmp_path / "port")
    assert is_free(port)
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:9")
    session = AirflowClient(f"http://127.0.0.1:{port}", "ann", RIGHT, Path("logs"))
    with pytest.raises(LoanScoringError) as caught:
        session.health()
    assert str(caught.value) == (
        f"Airflow does not answer at http://127.0.0.1:{port}: [Errno 111] Connection refused; "
        "see logs"
    )


def test_requests_are_not_logged(airflow, caplog):
    caplog.set_level("INFO")
    client(airflow).dags_parsed_since(LONG_AGO)
    assert caplog.messages == []
