"""Run Airflow's components as child processes of a supervisor, and end them with the supervisor."""

import secrets
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from loan_scoring.errors import LoanScoringError, StateError
from loan_scoring.local import guard, processes
from loan_scoring.local.airflow_client import AirflowClient, stack_client
from loan_scoring.local.airflow_components import COMPONENTS, Component, migrate_airflow
from loan_scoring.local.airflow_environment import airflow_environment, airflow_passwords
from loan_scoring.local.airflow_keeper import Keeper
from loan_scoring.local.airflow_status import folder_of, publish_status, withdraw_status
from loan_scoring.local.missed_trainings import STARTED_AT, forget_missed_trainings
from loan_scoring.local.state import is_free, kept_port, locked

_START_SECONDS = 600.0  # long because Airflow imports for minutes while all cores are busy
BROKEN_CONTRACTS = "loan_scoring_broken_contracts.py"
"""The DAG file that fails to import while a contract is broken, and that defines no DAG."""
_STOP_SECONDS = 4.0  # after SIGTERM, components that run longer than this are killed


@dataclass
class AirflowStack:
    """Airflow's scheduler, DAG processor, triggerer and API server on 127.0.0.1.

    Only one stack at a time can run in a state folder. A component that dies is restarted. If the
    stack is used as a context manager, the signals SIGINT, SIGTERM and SIGHUP stop the stack
    before they end this process.

    Args:
        port: port of the API server. If None, the port kept in the state folder, or a free port.
        expected_dags: ids of the DAGs that must be parsed before start() returns.
        environment: further environment variables for all processes of the stack.
        is_detached: whether the stack runs in the background, so that `stop_detached` can end it.
        beside: commands of further processes, by name, which are kept like the components.
    """

    state_dir: Path
    dags_folder: Path
    plugins_folder: Path
    metadata_url: str = field(repr=False)  # the URL contains a password, which repr() must not show
    _: KW_ONLY
    port: int | None = None
    parallelism: int = 8
    expected_dags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_detached: bool = False
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = folder_of(self.state_dir)
        self.logs = self.folder / "logs"
        self._components: list[Component] = []
        self._undo = ExitStack()

    def start(self) -> AirflowClient:
        """Start all components, wait until Airflow is ready, and return a client of Airflow.

        The client logs in as the user `admin`.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with ExitStack() as undo:
            try:
                undo.enter_context(locked(self.folder / "lock", wait=False))
            except BlockingIOError:
                raise StateError(
                    f"an Airflow already runs or starts on {self.folder}; wait, or run `make down`"
                ) from None
            # The lock was free, so the previous supervisor is dead. End the processes that still
            # have this folder's mark, because no supervisor would restart or end them.
            guard.end_marked(guard.process_mark(self.folder), patience_seconds=2)
            self._start_components(undo)
            client = self._wait_until_ready()
            keeper = Keeper(
                self._components, self.state_dir, self.metadata_url, self.logs, self._housekeeping
            )
            undo.callback(keeper.stop)
            self._publish(is_ready=True)
            self._undo = undo.pop_all()
        return client

    def stop(self) -> None:
        """Send SIGTERM to every process of the stack, and SIGKILL to processes that still run."""
        self._undo.close()

    def __enter__(self) -> AirflowClient:
        with ExitStack() as undo:
            undo.enter_context(processes.exit_on_signals())
            client = self.start()
            undo.push(self._undo.pop_all())
            self._undo = undo.pop_all()
        return client

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start_components(self, undo: ExitStack) -> None:
        self._started = datetime.now(UTC)
        port = self.port or kept_port(self.folder / "port")
        if not is_free(port):
            raise StateError(f"port {port} for Airflow is in use by another program")
        self._url = f"http://127.0.0.1:{port}"
        self._publish(is_ready=False)
        undo.callback(withdraw_status, self.state_dir)
        airflow_passwords(self.folder)
        mark = guard.process_mark(self.folder, secrets.token_hex(4))
        undo.callback(guard.Guard(mark, self.logs / "guard.log").release)
        undo.callback(self._end, mark)

        def environment(process: str) -> dict[str, str]:
            return airflow_environment(
                process,
                self.folder,
                self.dags_folder,
                self.plugins_folder,
                self.metadata_url,
                port=port,
                parallelism=self.parallelism,
                extra={
                    **self.environment,
                    guard.MARK: mark,
                    STARTED_AT: self._started.isoformat(),
                },
            )

        migrate_airflow(
            self.folder, environment("migration"), self.metadata_url, self.logs / "migration.log"
        )
        forget_missed_trainings(self.metadata_url)
        self._components = []
        for name, arguments in COMPONENTS.items():
            log = self.logs / f"{name}.log"
            self._components.append(Component(name, arguments, environment(name), log))
        for name, command in self.beside.items():
            log = self.logs / f"{name}.log"
            self._components.append(Component(name, (), environment(name), log, command))
        self._housekeeping = environment("housekeeping")

    def _end(self, mark: str) -> None:
        for component in self._components:
            component.ask_to_end()
        deadline = time.monotonic() + _STOP_SECONDS
        while not all(component.is_dead() for component in self._components):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        survivors = guard.end_marked(mark, patience_seconds=1)
        for component in self._components:
            if component.process.pid not in survivors:
                component.process.wait()  # reap the process, because otherwise a zombie remains
        if survivors:
            raise LoanScoringError(f"these processes of {self.folder} do not end: {survivors}")

    def _publish(self, *, is_ready: bool) -> None:
        publish_status(
            self.state_dir, url=self._url, is_ready=is_ready, is_detached=self.is_detached
        )

    def _wait_until_ready(self) -> AirflowClient:
        client = stack_client(self.state_dir, self._url)
        deadline = time.monotonic() + _START_SECONDS
        while lack := self._lack(client):
            for component in self._components:
                if component.is_dead():
                    raise component.death()
            if time.monotonic() > deadline:
                raise LoanScoringError(
                    f"Airflow was not ready in {_START_SECONDS:.0f} s: {lack}; see {self.logs}"
                )
            time.sleep(0.2)
        return client

    def _lack(self, client: AirflowClient) -> str | None:
        """Return why Airflow is not ready, as a sentence. Return None if Airflow is ready.

        Raises:
            LoanScoringError: an expected DAG is missing, and a DAG file cannot be imported.
        """
        try:
            health = client.health()
        except LoanScoringError as error:
            return str(error)
        for name in ("scheduler", "triggerer", "dag_processor"):
            # A heartbeat from before this start does not count, because the process that sent the
            # heartbeat may have been killed since.
            heartbeat = health[name].get(f"latest_{name}_heartbeat")
            if not heartbeat or datetime.fromisoformat(heartbeat) < self._started:
                return f"the {name} has not reported"
            if health[name]["status"] != "healthy":
                return f"the {name} is {health[name]['status']}"
        absent = set(self.expected_dags) - client.dags_parsed_since(self._started)
        if absent:
            for file, cause in client.import_errors_since(self._started).items():
                if file == BROKEN_CONTRACTS:
                    continue  # the DAGs of all other portfolios are parsed nevertheless
                raise LoanScoringError(f"Airflow cannot import {file}: {cause}")
            return f"the DAG {min(absent)} is not parsed yet; see that {self.dags_folder} has it"
        return None
