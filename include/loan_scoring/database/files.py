"""Replace files so that no half-written file appears, and store artifacts with their hashes."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loan_scoring import settings
from loan_scoring.errors import StateError


def draft_path(path: Path) -> Path:
    """Return the path of a new hidden file beside `path`, for a draft of the file at `path`.

    The name holds a random token, not the process id, because workers in different containers may
    share the folder and have the same process id.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a draft file for the block to write.

    If the block succeeds, the draft replaces the file at `path`. If the block fails, the draft is
    removed.
    """
    draft = draft_path(path)
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file so that even a crash of the machine leaves either its old or its new content.

    Args:
        path: path of the file. Its folder must exist.
        content: new content of the file.
        mode: permissions with which the file is created, before the umask is applied.
    """
    with replacing(path) as draft:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def write_artifact(portfolio: str, name: str, content: bytes) -> str:
    """Write an artifact of a portfolio with `write_whole`, and return its SHA-256."""
    folder = settings.artifacts_dir(portfolio)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / name, content)
    return hashlib.sha256(content).hexdigest()


def store_by_content(portfolio: str, stem: str, ending: str, content: bytes) -> tuple[str, str]:
    """Write an artifact under the name STEM-HASH.ENDING, and return its name and SHA-256.

    The name needs the hash because a skops file holds a time and the memory addresses of objects.
    So two fits of the same model give two different files. If both files had one name, the second
    would replace the first, and the registered hash of the first would no longer match.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"{stem}-{sha256[:16]}.{ending}"
    return name, write_artifact(portfolio, name, content)


def read_artifact(portfolio: str, name: str, sha256: str) -> bytes:
    """Read an artifact, check its hash and return its content.

    Args:
        portfolio: portfolio of the artifact.
        name: file name of the artifact.
        sha256: hash with which the artifact was registered.

    Raises:
        StateError: the file is missing, or its hash is not `sha256`.
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


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
