"""Keep small state in files: secrets in private JSON files, locks, and port numbers."""

import fcntl
import json
import random
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loan_scoring.database.files import write_whole

# Linux assigns ports of 32768 and above to outgoing connections. The ports of servers are below
# 32768, because otherwise an outgoing connection could occupy a server's port during a restart.
_PORTS = range(15432, 32768)


def write_private(path: Path, text: str) -> None:
    """Write a file that only the owner of the file may read.

    If this process is killed, the file has either the old or the new content.
    """
    write_whole(path, text.encode(), mode=0o600)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Return an empty dict if the file does not exist or contains no JSON object.

    Raises:
        ValueError: the file is not JSON.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return content if isinstance(content, dict) else {}


def kept_secrets(path: Path, names: tuple[str, ...], *, size_bytes: int = 24) -> dict[str, str]:
    """Return all secrets in a private file, by name.

    If one of `names` has no secret yet, a random secret is created and added to the file.

    Args:
        path: path of the private file.
        names: names that must have a secret.
        size_bytes: number of random bytes in a new secret.
    """
    kept = read_json(path)
    missing = [name for name in names if name not in kept]
    if missing:
        kept |= {name: secrets.token_urlsafe(size_bytes) for name in missing}
        write_private(path, json.dumps(kept, indent=2) + "\n")
    return kept


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Lock a file while the block runs, so that no other process can lock the file.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is False.
    """
    # If the process that holds the lock dies, even by SIGKILL, Linux releases the lock.
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def kept_port(path: Path) -> int:
    """Return the port number that is kept in a file.

    If the file is missing or the port is in use, choose a free port and keep that port instead.
    """
    try:
        port = int(path.read_text())
    except (FileNotFoundError, ValueError):
        port = 0
    while not (port and is_free(port)):
        port = random.choice(_PORTS)  # noqa: S311 - a port is no secret
    write_private(path, f"{port}\n")
    return port


def is_free(port: int) -> bool:
    """Return whether a server can listen on a port of 127.0.0.1."""
    with socket.socket() as probe:
        # Servers set SO_REUSEADDR, too. Without this option, connections that linger after a
        # server's end would make the port look occupied.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
