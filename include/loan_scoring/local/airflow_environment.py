"""Build the environment of Airflow's processes on one machine: all settings and secrets."""

import os
from collections.abc import Mapping
from pathlib import Path

from loan_scoring.local.state import kept_secrets

PASSWORDS_FILE = "simple_auth_manager_passwords.json.generated"
_USERS = ("admin", "op", "viewer")
"""Users of the UI; each has the role of its name."""

# Not inherited from the shell: settings of another Airflow.
_FOREIGN = ("AIRFLOW__", "AIRFLOW_HOME", "AIRFLOW_CONFIG")
# Not inherited either: without bytecode files every task would compile what it imports.
_UNWANTED = ("PYTHONDONTWRITEBYTECODE",)

_FIXED_SETTINGS = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{user}" for user in _USERS),
    "API__HOST": "127.0.0.1",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
    # An idle scheduler looks for work five times a second, so that short tasks follow quickly.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # The next scheduler adopts the tasks of a killed one, without using up a retry, once the
    # heartbeat of the killed one is this old ...
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    # ... which must be well before a task without a heartbeat is failed.
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    # A task waits about a minute for the API server to start. The scheduler starts faster and
    # resumes interrupted tasks first; with the defaults they would fail after 10 to 30 s.
    "WORKERS__EXECUTION_API_RETRIES": "20",
    "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    "WORKERS__EXECUTION_API_TIMEOUT": "20",
}
_TELEMETRY_OFF = {"SCARF_ANALYTICS": "false", "DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false"}


def airflow_environment(
    folder: Path,
    dags_folder: Path,
    plugins_folder: Path,
    metadata_url: str,
    *,
    port: int,
    parallelism: int,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """Return the environment of Airflow's processes; `extra` overrides everything else."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name not in _UNWANTED
    }
    # Sizes: 32 bytes are what Fernet requires; for 64 Airflow's HMAC gives no warning.
    secrets = kept_secrets(folder / "secrets.json", ("fernet",), size_bytes=32)
    secrets |= kept_secrets(folder / "secrets.json", ("api", "jwt"), size_bytes=64)
    settings = _FIXED_SETTINGS | {
        "CORE__PARALLELISM": str(parallelism),
        "CORE__DAGS_FOLDER": str(dags_folder.resolve()),
        "CORE__PLUGINS_FOLDER": str(plugins_folder.resolve()),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / PASSWORDS_FILE),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__FERNET_KEY": secrets["fernet"] + "=",  # base64 of 32 bytes, with its padding
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
    return {
        # Threads that wait by spinning take cores from other tasks: beside them a training took
        # 2 to 15 times as long.
        "OMP_WAIT_POLICY": "PASSIVE",
        **inherited,
        **_TELEMETRY_OFF,
        "AIRFLOW_HOME": str(folder),
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        # Tasks call the API server through a client that uses proxies.
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        # setproctitle would overwrite the environment in /proc, and with it the mark by which the
        # guard finds our processes.
        "SPT_NOENV": "1",
        "PYTHONUNBUFFERED": "1",
        **extra,
    }


def airflow_passwords(folder: Path) -> dict[str, str]:
    """Return the passwords of the UI's users; they are made once and kept in a private file."""
    return kept_secrets(folder / PASSWORDS_FILE, _USERS, size_bytes=12)
