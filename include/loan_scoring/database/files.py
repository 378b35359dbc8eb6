"""Write files whole or not at all, and keep a portfolio's artifacts by name and hash."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loan_scoring import settings
from loan_scoring.errors import StateError


def draft_path(path: Path) -> Path:
    """Return a hidden name beside `path` for a draft of it.

    The token is random: workers in containers share the folder and may have the same process
    number.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a draft; it replaces `path` if the block succeeds, else it is removed."""
    draft = draft_path(path)
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file whole or not at all; a crash of the machine leaves the old or the new content.

    Args:
        path: in a folder that exists.
        content: of the file.
        mode: permissions of the file from its first byte on, before the umask.
    """
    with replacing(path) as draft:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def write_artifact(portfolio: str, name: str, content: bytes) -> str:
    """Write an artifact whole or not at all, and return its SHA-256."""
    folder = settings.artifacts_dir(portfolio)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / name, content)
    return hashlib.sha256(content).hexdigest()


def store_by_content(portfolio: str, stem: str, ending: str, content: bytes) -> tuple[str, str]:
    """Write an artifact under a name that carries its hash; return the name and the SHA-256.

    A skops file holds the time and the addresses of its objects: the same model fitted twice gives
    two different files. Under one name the second would look like a changed first one.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"{stem}-{sha256[:16]}.{ending}"
    return name, write_artifact(portfolio, name, content)


def read_artifact(portfolio: str, name: str, sha256: str) -> bytes:
    """Return an artifact's bytes if they have the registered hash.

    Raises:
        StateError: the file is missing, or it was changed after it was registered.
    """
    path = settings.artifacts_dir(portfolio) / name
    if not path.is_file():
        raise StateError(f"artifact {path} is missing; restore it from a backup, or train again")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise StateError(
            f"artifact {path} was changed: its sha256 is {found[:12]}..., registered is "
            f"{sha256[:12]}...; restore it from a backup, or train again"
        )
    return content
