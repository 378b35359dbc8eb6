"""What a location is: a local path or a URL, and how it may be shown."""

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from loan_scoring.errors import PassingSourceError, SourceError

OBJECT_STORES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs"}
"""The schemes of object storage, and the optional package that reads each."""
COPY_BYTES = 1 << 20
"""How much of a remote file is copied at a time."""


def location_label(location: str | Path) -> str:
    """Return a location as it may stand in logs and tables: without user, password and query."""
    parts = urlsplit(str(location))
    if scheme_of(location) is None:
        return str(location)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def scheme_of(location: str | Path) -> str | None:
    """Return the scheme of a URL, None of a local path."""
    scheme, separator, _ = str(location).partition("://")
    if isinstance(location, Path) or not separator:
        return None
    if scheme.lower() not in ("http", "https", *OBJECT_STORES):
        known = ", ".join(("http", "https", *OBJECT_STORES))
        raise SourceError(f"'{scheme}://' is no source that can be read; known are {known}")
    return scheme.lower()


def cut_short_error(where: str, size: int, expected: object) -> SourceError:
    """Say that a copy has fewer bytes than there are."""
    return PassingSourceError(f"{where}: ended after {size} of {expected} bytes; try again")


def is_synthetic(location: str | Path) -> bool:
    """Say whether a file's name marks its rows as generated, as in 2026-01-05.synthetic.csv."""
    return ".synthetic." in PurePosixPath(location_label(location)).name
