"""Call Airflow's REST API: health, DAGs, DAG runs and failed tasks."""

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from loan_scoring.errors import LoanScoringError
from loan_scoring.local.airflow_environment import PASSWORDS_FILE
from loan_scoring.local.airflow_logs import cause_in_task_log, task_log
from loan_scoring.local.airflow_status import folder_of, stack_status
from loan_scoring.local.state import read_json

_PAGE = 100
_TIMEOUT_SECONDS = 120.0  # long because Airflow responds slowly while all cores are busy


class _StaleTokenError(LoanScoringError):
    """Airflow rejects the access token, which has expired or was signed with another secret."""


class DagRun(NamedTuple):
    """A run of a DAG. `partition_key` is the batch_id, or None if the run has no partition key."""

    dag_id: str
    run_id: str
    state: str
    partition_key: str | None
    started_at: datetime | None
    ended_at: datetime | None


class FailedTask(NamedTuple):
    """A failed task with the log file of the last attempt and the cause of the failure.

    `map_index` is -1 if the task is not mapped.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    log: Path
    cause: str


class AirflowClient:
    """A client of Airflow's REST API. The first request that needs a token logs in."""

    def __init__(self, url: str, user: str, password: str, log_folder: Path) -> None:
        self.url = url
        self.log_folder = log_folder
        self._credentials = {"username": user, "password": password}
        self._token: str | None = None
        logging.getLogger("httpx").setLevel(logging.WARNING)  # httpx logs each request at INFO
        self._http = httpx.Client(
            base_url=url,
            timeout=_TIMEOUT_SECONDS,
            follow_redirects=True,
            trust_env=False,  # use no proxy, because a proxy cannot reach Airflow on 127.0.0.1
            # Open a new connection for each request, because a kept connection breaks when the API
            # server restarts.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def health(self) -> dict[str, dict[str, Any]]:
        """Return Airflow's health report: the status and last heartbeat of each component.

        Raises:
            LoanScoringError: Airflow does not respond or responds with an error.
        """
        content: dict[str, dict[str, Any]] = self._send("GET", "/api/v2/monitor/health", None)
        return content

    def dags_parsed_since(self, moment: datetime) -> set[str]:
        """Return the ids of the DAGs that Airflow has parsed after `moment`."""
        return {
            dag["dag_id"]
            for dag in self._pages("/api/v2/dags", "dags")
            if dag["last_parsed_time"] and datetime.fromisoformat(dag["last_parsed_time"]) > moment
        }

    def import_errors_since(self, moment: datetime) -> dict[str, str]:
        """Return the import errors of DAG files since `moment`.

        The keys are file names. Each value is the last line of the file's stack trace.
        """
        return {
            error["filename"]: error["stack_trace"].strip().splitlines()[-1]
            for error in self._pages("/api/v2/importErrors", "import_errors")
            if datetime.fromisoformat(error["timestamp"]) > moment
        }

    def trigger(
        self, dag_id: str, *, partition_key: str | None = None, conf: dict[str, Any] | None = None
    ) -> DagRun:
        """Start a run of a DAG and return the run."""
        body = {"logical_date": None, "partition_key": partition_key, "conf": conf or {}}
        return _dag_run(self._call("POST", f"/api/v2/dags/{_quoted(dag_id)}/dagRuns", body))

    def unpause(self, dag_id: str) -> None:
        """Unpause a DAG, so that Airflow starts scheduled runs of the DAG."""
        self._call("PATCH", f"/api/v2/dags/{_quoted(dag_id)}", {"is_paused": False})

    def dag_runs(self, dag_id: str | None = None, *, states: Iterable[str] = ()) -> list[DagRun]:
        """Return the runs of a DAG, or of all DAGs if `dag_id` is None, oldest first.

        If `states` is not empty, only runs in one of these states are returned.
        """
        path = f"/api/v2/dags/{_quoted(dag_id or '~')}/dagRuns"
        query = [("state", state) for state in states] + [("order_by", "run_after")]
        return [_dag_run(run) for run in self._pages(path, "dag_runs", query)]

    def failed_tasks(
        self, dag_id: str | None = None, run_id: str | None = None
    ) -> list[FailedTask]:
        """Return the failed tasks of a run, of a DAG or of all DAGs, with causes of failure.

        If `run_id` is None, all runs are searched. If `dag_id` is None, all DAGs are searched.
        """
        path = f"/api/v2/dags/{_quoted(dag_id or '~')}/dagRuns/{_quoted(run_id or '~')}"
        found = self._pages(f"{path}/taskInstances", "task_instances", [("state", "failed")])
        return [self._failed_task(task) for task in found]

    def _failed_task(self, task: dict[str, Any]) -> FailedTask:
        names = (task["dag_id"], task["task_id"], task["dag_run_id"], task["map_index"])
        log = task_log(self.log_folder, *names, task["try_number"])
        return FailedTask(*names, log, cause_in_task_log(log))

    def _pages(
        self, path: str, key: str, query: Iterable[tuple[str, str]] = ()
    ) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = httpx.QueryParams([*query, ("limit", _PAGE), ("offset", offset)])
            items = self._call("GET", f"{path}?{page}")[key]
            yield from items
            offset += len(items)
            if len(items) < _PAGE:
                return

    @retry(
        retry=retry_if_exception_type(_StaleTokenError), stop=stop_after_attempt(2), reraise=True
    )
    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request with the access token. If Airflow rejects the token, log in again once."""
        if self._token is None:
            answer = self._send("POST", "/auth/token", self._credentials)
            self._token = answer["access_token"]
        try:
            return self._send(method, path, body)
        except _StaleTokenError:
            self._token = None
            raise

    def _send(self, method: str, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            answer = self._http.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise LoanScoringError(
                f"Airflow does not answer at {self.url}: {error or type(error).__name__}; "
                f"see {self.log_folder}"
            ) from error
        if answer.is_success:
            return answer.json()
        # The error message quotes the response, and the response may quote the request. So the
        # password and the token are masked.
        detail = answer.text
        for secret in filter(None, (self._credentials["password"], self._token)):
            detail = detail.replace(secret, "***")
        # If the token has expired, Airflow responds with 401. If the token was signed with another
        # secret, Airflow responds with 403 and the message "Invalid JWT token".
        is_stale = answer.status_code == httpx.codes.UNAUTHORIZED or "Invalid JWT token" in detail
        kind = _StaleTokenError if is_stale and self._token else LoanScoringError
        raise kind(f"Airflow refuses {method} {path}: {answer.status_code} {detail[:300]}")


def _quoted(name: str) -> str:
    return quote(name, safe="~")


def _dag_run(run: dict[str, Any]) -> DagRun:
    started, ended = (
        datetime.fromisoformat(run[name]) if run[name] else None
        for name in ("start_date", "end_date")
    )
    return DagRun(
        run["dag_id"], run["dag_run_id"], run["state"], run["partition_key"], started, ended
    )


def stack_client(state_dir: Path, url: str, user: str = "admin") -> AirflowClient:
    """Return a client that logs in as `user` to the Airflow of a state folder."""
    folder = folder_of(state_dir)
    return AirflowClient(url, user, read_json(folder / PASSWORDS_FILE)[user], folder / "logs")


def attach_to_stack(state_dir: Path) -> AirflowClient | None:
    """Return a client of the Airflow that runs in a state folder.

    Return None if no Airflow runs there, or if Airflow is not ready yet.
    """
    found = stack_status(state_dir)
    return stack_client(state_dir, found.url) if found and found.is_ready else None
