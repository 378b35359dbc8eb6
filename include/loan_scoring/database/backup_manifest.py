"""Read the manifest of a backup, and verify its signature, its names and its hashes."""

import json
from pathlib import Path
from typing import Any

from loan_scoring.database import sealing
from loan_scoring.database.backup import DUMP, FOLDERS, MANIFEST, SIGNATURE
from loan_scoring.database.files import file_sha256
from loan_scoring.errors import StateError


def verified_manifest(
    folder: Path, key: bytes | None, unsigned: bool
) -> tuple[dict[str, Any], bool]:
    """Return the manifest of a backup, and whether its signature was verified."""
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise StateError(f"{folder} is no backup: {MANIFEST} cannot be read ({error})") from error
    is_signed = _is_signed(folder, content, key, unsigned)
    try:
        manifest: dict[str, Any] = json.loads(content)
        hashes = {name: noted["sha256"] for name, noted in manifest["files"].items()}
        taken_at, _ = manifest["taken_at"], [*manifest["schemas"]]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise StateError(f"{folder} is no backup: {MANIFEST} cannot be read ({error})") from error
    for name, sha256 in hashes.items():
        path = _inside(folder, name)
        if not path.is_file() or file_sha256(path) != sha256:
            raise StateError(f"{path} is missing or was changed since {taken_at}")
    return manifest, is_signed


def _is_signed(folder: Path, content: bytes, key: bytes | None, unsigned: bool) -> bool:
    """Return whether the manifest has a valid signature.

    Raises:
        StateError: the signature is wrong, is missing although there is a key, or cannot be
            verified because there is no key.
    """
    path = folder / SIGNATURE
    if not path.is_file():
        if key is not None and not unsigned:
            raise StateError(
                f"{folder} has no {SIGNATURE}, so nobody knows who wrote it; use --unsigned if it "
                "was written before LOAN_SCORING_BACKUP_KEY was set"
            )
        return False
    if key is None:
        raise StateError(
            f"{folder} is signed: set LOAN_SCORING_BACKUP_KEY to the secret that signed it"
        )
    if not sealing.is_signed_by(key, content, path.read_text(errors="replace")):
        raise StateError(
            f"{folder}: {SIGNATURE} is not the signature of {MANIFEST} by LOAN_SCORING_BACKUP_KEY; "
            "the backup was changed or signed with another secret"
        )
    return True


def _inside(folder: Path, name: str) -> Path:
    """Return the path of a backup's file.

    Raises:
        StateError: the name leads out of the folder or is not one that a backup has, or the file
            or a folder of it is a link or a device.
    """
    parts = name.split("/")
    is_known = name == DUMP or (parts[0] in FOLDERS and len(parts) > 1)
    if not is_known or "\0" in name or not {"", ".", ".."}.isdisjoint(parts):
        raise StateError(
            f"{folder}: {MANIFEST} names {name!r}, which no backup holds; nothing was restored"
        )
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise StateError(f"{path} is a link, which no backup holds; nothing was restored")
    if path.exists() and not path.is_file():
        raise StateError(f"{path} is not a regular file; nothing was restored")
    return path
