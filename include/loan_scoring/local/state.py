"""Keep small state in files: private JSON, locks between processes, a port."""

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

# Below the ports that Linux gives to outgoing connections (32768 and up): one of them must not
# occupy a kept port when its server starts again.
_PORTS = range(15432, 32768)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    write_whole(path, text.encode(), mode=0o600)


def read_json(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; an empty one if the file does not exist."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return content if isinstance(content, dict) else {}


def kept_secrets(path: Path, names: tuple[str, ...], *, size_bytes: int = 24) -> dict[str, str]:
    """Return a random secret for each name; each is made once and kept in a private file."""
    kept = read_json(path)
    missing = [name for name in names if name not in kept]
    if missing:
        kept |= {name: secrets.token_urlsafe(size_bytes) for name in missing}
        write_private(path, json.dumps(kept, indent=2) + "\n")
    return kept


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock between processes; with wait=False raise BlockingIOError if it is taken."""
    # flock belongs to the open file: it is released when its holder dies, however it dies.
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def kept_port(path: Path) -> int:
    """Return the port kept in a file; if it is missing or taken, choose and keep another one."""
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
        # As servers do: a connection that lingers after a restart does not occupy the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
