"""Sign and encrypt the files of a backup with keys made from LOAN_SCORING_BACKUP_KEY."""

import hashlib
import hmac
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from loan_scoring import settings
from loan_scoring.errors import StateError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK = 1 << 20
"""Bytes of a file that are encrypted at once. Memory does not grow with the file."""

MAGIC = b"loan-scoring sealed 1\n"
PREFIX, COUNTER, TAG = 8, 4, 16
"""Bytes of the random part of a nonce, of its counter, and of the tag after each chunk.

The counter limits a file to 2**32 chunks of 1 MiB, 4 PiB.
"""

LEAST_KEY = 32
"""Least number of characters of the secret."""


def backup_key() -> bytes | None:
    """Return the secret of LOAN_SCORING_BACKUP_KEY, or None if the variable is not set.

    Raises:
        StateError: the secret is too short to resist guessing.
    """
    found = settings.backup_key()
    if found is None:
        return None
    if len(found) < LEAST_KEY:
        raise StateError(
            f"LOAN_SCORING_BACKUP_KEY has {len(found)} characters, at least {LEAST_KEY} are needed;"
            " make one by: openssl rand -hex 32"
        )
    return found.encode()


def signature(key: bytes, content: bytes) -> str:
    """Return the HMAC-SHA-256 of content (RFC 2104), by a key of its own."""
    return hmac.new(_derived(key, "sign"), content, hashlib.sha256).hexdigest()


def is_signed_by(key: bytes, content: bytes, given: str) -> bool:
    """Return whether a signature is that of the content, in constant time."""
    return hmac.compare_digest(signature(key, content), given.strip())


def encrypt_file(key: bytes, name: str, source: Path, target: Path) -> None:
    """Write an encrypted copy of a file: AES-256-GCM in chunks (NIST SP 800-38D).

    Each chunk is bound to the file's name, to its place and to whether it is the last one. So
    chunks can neither be exchanged nor cut off.
    """
    prefix = os.urandom(PREFIX)
    cipher = _cipher(key, prefix)
    with source.open("rb") as plain, target.open("xb") as out:
        out.write(MAGIC + prefix)
        for number, is_last, chunk in _chunks(plain, CHUNK):
            out.write(cipher.encrypt(_nonce(prefix, number), chunk, _bound(name, is_last)))


def decrypt_file(key: bytes, name: str, source: Path, target: Path) -> None:
    """Write the plain copy of a file that `encrypt_file` wrote.

    Raises:
        StateError: the file was changed or cut off, or was encrypted with another key.
    """
    from cryptography.exceptions import InvalidTag

    with source.open("rb") as sealed, target.open("wb") as out:
        head = sealed.read(len(MAGIC) + PREFIX)
        prefix = head[len(MAGIC) :]
        if not head.startswith(MAGIC) or len(prefix) < PREFIX:
            raise StateError(f"{source} is not encrypted, although its manifest says so")
        cipher = _cipher(key, prefix)
        try:
            for number, is_last, chunk in _chunks(sealed, CHUNK + TAG):
                out.write(cipher.decrypt(_nonce(prefix, number), chunk, _bound(name, is_last)))
        except InvalidTag:
            raise StateError(
                f"{source} was changed, or encrypted with another LOAN_SCORING_BACKUP_KEY"
            ) from None


def _cipher(key: bytes, prefix: bytes) -> "AESGCM":
    """Return the cipher of one file, whose key is made from the secret and the file's prefix."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(_derived(key, f"encrypt {prefix.hex()}"))


def _derived(key: bytes, purpose: str) -> bytes:
    return hmac.new(key, f"loan-scoring backup {purpose}".encode(), hashlib.sha256).digest()


def _nonce(prefix: bytes, number: int) -> bytes:
    return prefix + number.to_bytes(COUNTER, "big")


def _bound(name: str, is_last: bool) -> bytes:
    return f"{name}\n{is_last}".encode()


def _chunks(file: BinaryIO, size: int) -> Iterator[tuple[int, bool, bytes]]:
    """Yield number, whether it is the last one, and content of each chunk; at least one chunk."""
    number, chunk = 0, file.read(size)
    while True:
        following = file.read(size)
        yield number, not following, chunk
        if not following:
            return
        number, chunk = number + 1, following
