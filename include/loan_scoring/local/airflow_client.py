"""Airflow's REST API, as much of it as this project uses."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from loan_scoring.errors import LoanScoringError
from loan_scoring.local.airflow_logs import cause_in_task_log, task_log

_PAGE = 100
_TIMEOUT_SECONDS = 120.0  # a machine with more work than cores keeps everyone waiting


class DagRun(NamedTuple):
    """A run of a DAG; partition_key is its batch_id where the DAG is partitioned."""

    dag_id: str
    run_id: str
    state: str
    partition_key: str | None
    started_at: datetime | None
    ended_at: datetime | None


class FailedTask(NamedTuple):
    """A failed task, or one index of a mapped one (else -1), with the log of its last attempt."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    log: Path
    cause: str


class AirflowClient:
    """A user's session with a running Airflow."""

    def __init__(self, url: str, user: str, password: str, log_folder: Path) -> None:
        self.url = url
        self.log_folder = log_folder
        self._credentials = {"username": user, "password": password}
        self._token: str | None = None
        # Whatever proxy the environment names, Airflow runs on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def health(self) -> dict[str, dict[str, Any]]:
        """Return the state of each component; raise LoanScoringError where nothing answers."""
        content: dict[str, dict[str, Any]] = self._send("GET", "/api/v2/monitor/health", None)
        return content

    def dags_parsed_since(self, moment: datetime) -> set[str]:
        """Return the ids of the DAGs that were read from their files after a moment."""
        return {
            dag["dag_id"]
            for dag in self._pages("/api/v2/dags", "dags")
            if dag["last_parsed_time"] and datetime.fromisoformat(dag["last_parsed_time"]) > moment
        }

    def import_errors_since(self, moment: datetime) -> dict[str, str]:
        """Return in one line why, for each file that could not be imported after a moment."""
        return {
            error["filename"]: error["stack_trace"].strip().splitlines()[-1]
            for error in self._pages("/api/v2/importErrors", "import_errors")
            if datetime.fromisoformat(error["timestamp"]) > moment
        }

    def trigger(
        self, dag_id: str, *, partition_key: str | None = None, conf: dict[str, Any] | None = None
    ) -> DagRun:
        """Start a run of a DAG and return it."""
        body = {"logical_date": None, "partition_key": partition_key, "conf": conf or {}}
        return _dag_run(self._call("POST", f"/api/v2/dags/{_quoted(dag_id)}/dagRuns", body))

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run by its schedule."""
        self._call("PATCH", f"/api/v2/dags/{_quoted(dag_id)}", {"is_paused": False})

    def dag_runs(self, dag_id: str | None = None, *, states: Iterable[str] = ()) -> list[DagRun]:
        """Return the runs of a DAG, or of all, that are in one of the states, oldest first."""
        path = f"/api/v2/dags/{_quoted(dag_id or '~')}/dagRuns"
        query = [("state", state) for state in states] + [("order_by", "run_after")]
        return [_dag_run(run) for run in self._pages(path, "dag_runs", query)]

    def failed_tasks(
        self, dag_id: str | None = None, run_id: str | None = None
    ) -> list[FailedTask]:
        """Return the failed tasks of a run, of a DAG or of all, each with its cause."""
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
            page = urllib.parse.urlencode([*query, ("limit", _PAGE), ("offset", offset)])
            items = self._call("GET", f"{path}?{page}")[key]
            yield from items
            offset += len(items)
            if len(items) < _PAGE:
                return

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """Send an authenticated request, again with a new token where the old one is refused."""
        if self._token is not None:
            try:
                return self._send(method, path, body)
            except _UnauthorizedError:
                self._token = None
        self._token = self._send("POST", "/auth/token", self._credentials)["access_token"]
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the URL is http, made by us
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {self._token}"} if self._token else {}),
            method=method,
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read().decode(errors="replace")[:300]
            # Airflow says 401 of a token that has expired, 403 of one signed with another secret.
            is_stale = error.code == 401 or "Invalid JWT token" in detail
            kind = _UnauthorizedError if is_stale else LoanScoringError
            raise kind(f"Airflow refuses {method} {path}: {error.code} {detail}") from error
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", error)
            raise LoanScoringError(
                f"Airflow does not answer at {self.url}: {cause}; see {self.log_folder}"
            ) from error


class _UnauthorizedError(LoanScoringError):
    pass


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="~")


def _dag_run(run: dict[str, Any]) -> DagRun:
    started, ended = (
        datetime.fromisoformat(run[name]) if run[name] else None
        for name in ("start_date", "end_date")
    )
    return DagRun(
        run["dag_id"], run["dag_run_id"], run["state"], run["partition_key"], started, ended
    )
