"""Write the file `.env` with secrets and settings for docker-compose.yaml, or what it lacks."""

# This module imports only the standard library, because `make env` runs before any package is
# installed.
import argparse
import base64
import os
import secrets
import sys
from pathlib import Path

ENVIRONMENTS = {
    "nonprod": {"LOAN_SCORING_PAUSED": "true", "LOAN_SCORING_PROMOTION": "auto"},
    "prod": {"LOAN_SCORING_PAUSED": "false", "LOAN_SCORING_PROMOTION": "hold"},
}
"""The settings that differ between the environments. Each setting can be changed in `.env`."""

PASSWORDS = (
    "POSTGRES_PASSWORD",
    "AIRFLOW_DATABASE_PASSWORD",
    "LOAN_SCORING_OWNER_PASSWORD",
    "LOAN_SCORING_APP_PASSWORD",
    "LOAN_SCORING_READER_PASSWORD",
    "LOAN_SCORING_MLFLOW_PASSWORD",
    "AIRFLOW_RESULTS_PASSWORD",
    "REDIS_PASSWORD",
)
USER_PASSWORDS = (
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_OP_PASSWORD",
    "AIRFLOW_VIEWER_PASSWORD",
    "MLFLOW_VIEWER_PASSWORD",
)
MOVED = ("AIRFLOW__", "OTEL_")
"""Beginnings of settings that every service reads from settings.env, not from connections.env."""


def env_file_content(environment: str) -> str:
    """Return the content of the file `.env` for an environment, with new random secrets."""
    long = ("AIRFLOW_API_SECRET", "AIRFLOW_JWT_SECRET")
    lines = [
        "# Written by `make env`. Secrets: keep it private, and a copy where backups are kept.",
        f"COMPOSE_PROJECT_NAME=loan-scoring-{environment}",
        f"LOAN_SCORING_ENVIRONMENT={environment}",
        "# New DAGs wait to be switched on, or run by their schedules at once.",
        f"LOAN_SCORING_PAUSED={ENVIRONMENTS[environment]['LOAN_SCORING_PAUSED']}",
        "# auto: models that pass every gate come into use; hold: a person decides.",
        f"LOAN_SCORING_PROMOTION={ENVIRONMENTS[environment]['LOAN_SCORING_PROMOTION']}",
        "# Of the databases and of Redis. They stand in URLs: letters and digits alone.",
        *(f"{name}={secrets.token_hex(24)}" for name in PASSWORDS),
        "# Of the users admin, op and viewer of Airflow's UI, and of the user viewer of MLflow's.",
        *(f"{name}={secrets.token_hex(12)}" for name in USER_PASSWORDS),
        "# What Airflow encrypts connections by, and signs sessions and tokens with.",
        f"AIRFLOW_FERNET_KEY={base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}",
        *(f"{name}={secrets.token_hex(64)}" for name in long),
    ]
    return "\n".join(lines) + "\n"


def write_env_file(path: Path, environment: str) -> bool:
    """Write the file `.env`, which only its owner may read.

    Return False if the file exists already. The existing file is not changed.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(env_file_content(environment))
    return True


def add_missing_secrets(path: Path, environment: str) -> list[str]:
    """Append the passwords that a file of an earlier release lacks, and return their names.

    Settings and secrets that the file has are left as they are.
    """
    text = path.read_text()
    present = {line.partition("=")[0].strip() for line in text.splitlines()}
    new = [
        line
        for line in env_file_content(environment).splitlines()
        if line.partition("=")[0] in (*PASSWORDS, *USER_PASSWORDS)
        and line.partition("=")[0] not in present
    ]
    if new:
        with path.open("a") as file:
            file.write("\n".join([*([] if text.endswith("\n") else [""]), *new, ""]))
    return [line.partition("=")[0] for line in new]


def main() -> int:
    """Write or complete the file named on the command line, and print what was done."""
    parser = argparse.ArgumentParser(prog="make env", description=__doc__)
    parser.add_argument("environment", choices=ENVIRONMENTS)
    parser.add_argument("--path", type=Path, default=Path(".env"))
    options = parser.parse_args()
    try:
        is_written = write_env_file(options.path, options.environment)
        added = [] if is_written else add_missing_secrets(options.path, options.environment)
        moved = _settings_among_connections(options.path.with_name("connections.env"))
    except OSError as error:
        print(f"make env: cannot write {options.path}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    if is_written:
        what = f"wrote {options.path} for {options.environment}, with new secrets, mode 600"
    elif added:
        what = f"{options.path} exists already; added {', '.join(added)}, and changed nothing else"
    else:
        what = f"{options.path} exists already and was left as it is; remove it for a new one"
    print(what)  # noqa: T201
    if moved:
        print(  # noqa: T201
            f"move {', '.join(moved)} from connections.env to settings.env: only workers read "
            "connections.env"
        )
    return 0


def _settings_among_connections(path: Path) -> list[str]:
    if not path.exists():
        return []
    names = [line.partition("=")[0].strip() for line in path.read_text().splitlines()]
    return [name for name in names if name.startswith(MOVED)]


if __name__ == "__main__":
    sys.exit(main())
