"""Tell local paths and URLs apart, and show them without secrets."""

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from loan_scoring.errors import PassingSourceError, SourceError

OBJECT_STORES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs"}
"""The schemes of object storage, and the optional package that reads each."""
COPY_BYTES = 1 << 20
"""How many bytes of an object are copied at a time."""


def location_label(location: str | Path) -> str:
    """Return a location for logs and tables: without user, password and query."""
    parts = urlsplit(str(location))
    if scheme_of(location) is None:
        return str(location)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def scheme_of(location: str | Path) -> str | None:
    """Return the scheme of a URL, or None for a local path.

    Raises:
        SourceError: the scheme is not supported.
    """
    scheme, separator, _ = str(location).partition("://")
    if isinstance(location, Path) or not separator:
        return None
    if scheme.lower() not in ("http", "https", *OBJECT_STORES):
        known = ", ".join(("http", "https", *OBJECT_STORES))
        raise SourceError(f"'{scheme}://' is not supported; use a local path, or one of {known}")
    return scheme.lower()


def cut_short_error(where: str, size: int, expected: object) -> SourceError:
    """Return the error for a copy that has fewer bytes than the original."""
    return PassingSourceError(
        f"{where}: the copy ended after {size} of {expected} bytes; run again"
    )


def is_synthetic(location: str | Path) -> bool:
    """Return whether a file name marks generated rows, as 2026-01-05.synthetic.csv does."""
    return ".synthetic." in PurePosixPath(location_label(location)).name
