"""The environment in which Airflow's processes run on one machine: every setting, every secret."""

import os
from collections.abc import Mapping
from pathlib import Path

from loan_scoring.local.state import kept_secrets

PASSWORDS_FILE = "simple_auth_manager_passwords.json.generated"
_USERS = ("admin", "op", "viewer")
"""Each has the role of its name."""

# What must not slip in from the shell that starts us: a half set Airflow of another project.
_FOREIGN = ("AIRFLOW__", "AIRFLOW_HOME", "AIRFLOW_CONFIG")
# Left out as well: where bytecode is not written, every process and task compiles what it imports.
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
    # An idle scheduler looks for work five times a second: a chain of short tasks is quick.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # What a killed scheduler was running is taken up by the next one, without costing a retry, as
    # soon as its heartbeat is this old ...
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    # ... and well before the missing heartbeat of a task itself fails the task.
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    # A task waits about a minute for an API server that starts: the scheduler, quicker to start,
    # takes up interrupted tasks before it answers, and by default they fail after 10 to 30 s.
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
    """Return the environment of Airflow's processes; extra wins over everything."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name not in _UNWANTED
    }
    # The sizes that Fernet wants and that Airflow's HMAC does not warn of.
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
        # Threads that wait by spinning take the cores from the tasks beside them: with others at
        # work a training took twice as long, and up to fifteen times.
        "OMP_WAIT_POLICY": "PASSIVE",
        **inherited,
        **_TELEMETRY_OFF,
        "AIRFLOW_HOME": str(folder),
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        # Tasks speak with the API server by a client that obeys proxies.
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        # Process titles would be written over the environment that shows in /proc, and with it
        # over the mark by which the guard knows our processes.
        "SPT_NOENV": "1",
        "PYTHONUNBUFFERED": "1",
        **extra,
    }


def airflow_passwords(folder: Path) -> dict[str, str]:
    """Return the passwords of the users of Airflow's UI, made once and kept privately."""
    return kept_secrets(folder / PASSWORDS_FILE, _USERS, size_bytes=12)
