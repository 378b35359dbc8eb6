"""Build the environment variables with the settings and secrets of a local Airflow."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from loan_scoring.local.state import kept_secrets

PASSWORDS_FILE = "simple_auth_manager_passwords.json.generated"
_USERS = ("admin", "op", "viewer")
"""Users of Airflow's UI. Each user has the Airflow role of the same name."""

# Variables with these prefixes are not inherited from the shell, because they may configure
# another Airflow.
_FOREIGN = ("AIRFLOW__", "AIRFLOW_HOME", "AIRFLOW_CONFIG")
# These variables are not inherited either. Without bytecode files, every task would have to
# compile all modules that the task imports.
_UNWANTED = ("PYTHONDONTWRITEBYTECODE",)

# Airflow's processes have another working directory, where a relative path would name another file.
_PATHS = tuple(
    f"LOAN_SCORING_{name}"
    for name in ("HOME", "STATE", "DATA", "PORTFOLIOS", "SOURCE", "MLFLOW_ARTIFACTS")
)

_FIXED_SETTINGS = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{user}" for user in _USERS),
    "API__HOST": "127.0.0.1",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
    # The pause of an idle scheduler is short, because with Airflow's default a task would start up
    # to a second after the previous task of its DAG.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # The next scheduler adopts the tasks of a killed scheduler once the last heartbeat of the
    # killed scheduler is 15 s old. Adopting a task does not use up a retry of the task.
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    # Airflow marks a task as failed after 60 s without a heartbeat. The time is much longer than
    # the 15 s above, because a task must be adopted before Airflow marks the task as failed.
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    # With these values a task repeats a request for about a minute until the API server responds.
    # This is needed after a restart, because the scheduler resumes interrupted tasks before the API
    # server is ready. With Airflow's default values these tasks would fail after 10 to 30 s.
    "WORKERS__EXECUTION_API_RETRIES": "20",
    "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    "WORKERS__EXECUTION_API_TIMEOUT": "20",
}
_AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "migration", "housekeeping")
_TASKS = ("scheduler",)  # LocalExecutor forks tasks from the scheduler, with its environment
HELD_BY = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _AIRFLOW,
    "AIRFLOW__CORE__FERNET_KEY": ("api-server", "triggerer"),
    "AIRFLOW__API_AUTH__JWT_SECRET": ("api-server", "scheduler"),
    "AIRFLOW__API__SECRET_KEY": ("api-server",),
    "AIRFLOW_CONN_LOAN_SCORING": ("api-server", *_TASKS),
    "AIRFLOW_CONN_LOAN_SCORING_READER": ("api-server",),
    "LOAN_SCORING_DATABASE_URL": ("api-server", *_TASKS),
    "LOAN_SCORING_READER_URL": ("api-server",),
    "LOAN_SCORING_OWNER_URL": _TASKS,
    "LOAN_SCORING_ADMIN_URL": (),
    "LOAN_SCORING_BACKUP_KEY": (),
    "LOAN_SCORING_MLFLOW_URL": (),
    "MLFLOW_VIEWER_PASSWORD": (),
    "PGPASSWORD": ("api-server", *_TASKS),
}
"""Which processes get a secret. Connections that are not listed are for tasks only.

docs/security.md names for each secret the function of Airflow that needs it.
"""
_OTHER_CONNECTIONS, _OTHER_PASSWORDS = "AIRFLOW_CONN_", re.compile(r"LOAN_SCORING_\w*PASSWORD")

_TELEMETRY_OFF = {"SCARF_ANALYTICS": "false", "DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false"}


def airflow_environment(
    process: str,
    folder: Path,
    dags_folder: Path,
    plugins_folder: Path,
    metadata_url: str,
    *,
    port: int,
    parallelism: int,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """Return the environment variables of one of Airflow's processes.

    The variables are those of this process, Airflow's settings and secrets, and `extra`. A variable
    in `extra` replaces any other variable of the same name. Secrets that `process` does not use are
    left out. Relative paths of folders and files become absolute.

    Args:
        process: name of a component, `migration` or `housekeeping`.
        folder: AIRFLOW_HOME.
        dags_folder: folder of the DAG files.
        plugins_folder: folder of Airflow's plugins.
        metadata_url: URL of Airflow's metadata database, with password.
        port: port of the API server.
        parallelism: number of tasks that run at the same time.
        extra: further variables, such as connections.
    """
    inherited = {
        name: str(Path(value).absolute()) if _is_path(name, value) else value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name not in _UNWANTED
    }
    # Fernet requires a key of 32 bytes. The keys that sign sessions and tokens have 64 bytes,
    # because Airflow logs a warning about shorter keys.
    secrets = kept_secrets(folder / "secrets.json", ("fernet",), size_bytes=32)
    secrets |= kept_secrets(folder / "secrets.json", ("api", "jwt"), size_bytes=64)
    settings = _FIXED_SETTINGS | {
        "CORE__PARALLELISM": str(parallelism),
        "CORE__DAGS_FOLDER": str(dags_folder.resolve()),
        "CORE__PLUGINS_FOLDER": str(plugins_folder.resolve()),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / PASSWORDS_FILE),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__FERNET_KEY": secrets["fernet"] + "=",  # Fernet requires the padding of base64
        "API__PORT": str(port),
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__SECRET_KEY": secrets["api"],
        "API_AUTH__JWT_SECRET": secrets["jwt"],
        "DATABASE__SQL_ALCHEMY_CONN": metadata_url.replace(
            "postgresql://", "postgresql+psycopg2://", 1
        ),
    }
    no_proxy = inherited.get("NO_PROXY") or inherited.get("no_proxy")
    loopback = ",".join(filter(None, (no_proxy, "127.0.0.1", "localhost")))
    found = {
        # PASSIVE makes OpenMP threads sleep while they wait. By default, waiting threads spin and
        # take cores from other tasks. With spinning threads, training took 2 to 15 times as long.
        "OMP_WAIT_POLICY": "PASSIVE",
        **inherited,
        **_TELEMETRY_OFF,
        "AIRFLOW_HOME": str(folder),
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        # The HTTP client of Airflow's tasks would otherwise call the API server through a proxy,
        # and a proxy cannot reach this machine's loopback address.
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        # Without this variable setproctitle overwrites the environment in /proc. The guard would
        # then not find the mark of the stack's processes there.
        "SPT_NOENV": "1",
        "PYTHONUNBUFFERED": "1",
        **extra,
    }
    return {name: value for name, value in found.items() if _is_for(process, name)}


def _is_for(process: str, name: str) -> bool:
    """Return whether a process may have a variable."""
    if name in HELD_BY:
        return process in HELD_BY[name]
    if name.startswith(_OTHER_CONNECTIONS):
        return process in _TASKS
    return not _OTHER_PASSWORDS.match(name)


def _is_path(name: str, value: str) -> bool:
    return name in _PATHS and bool(value) and "://" not in value


def airflow_passwords(folder: Path) -> dict[str, str]:
    """Return the passwords of the UI's users by user name.

    The passwords are created on the first call and kept in a private file.
    """
    return kept_secrets(folder / PASSWORDS_FILE, _USERS, size_bytes=12)
