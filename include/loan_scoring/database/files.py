"""Write files whole or not at all, and read artifacts only where they are unchanged."""

import hashlib
import secrets

from loan_scoring import settings
from loan_scoring.errors import StateError


def write_artifact(portfolio: str, name: str, content: bytes) -> str:
    """Write an artifact and return its sha256; a kill leaves the whole file or none."""
    path = settings.artifacts_dir(portfolio) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by the process's number: workers in containers share the folder and number alike.
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    partial.write_bytes(content)
    partial.replace(path)
    return hashlib.sha256(content).hexdigest()


def store_by_content(portfolio: str, stem: str, ending: str, content: bytes) -> tuple[str, str]:
    """Write an artifact under a name that its content alone has; return name and sha256.

    A skops file holds the time and the addresses of its objects, so that the same model fitted
    twice is two files: under one name, the second would be a changed first one.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"{stem}-{sha256[:16]}.{ending}"
    return name, write_artifact(portfolio, name, content)


def read_artifact(portfolio: str, name: str, sha256: str) -> bytes:
    """Return an artifact's bytes.

    Raises:
        StateError: the file is missing, or is not the one that was registered.
    """
    path = settings.artifacts_dir(portfolio) / name
    if not path.is_file():
        raise StateError(f"artifact {path} is missing; restore it from a backup, or train anew")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise StateError(
            f"artifact {path} was changed: its sha256 is {found[:12]}..., registered is "
            f"{sha256[:12]}...; restore it from a backup, or train anew"
        )
    return content
