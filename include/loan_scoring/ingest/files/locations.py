"""Distinguish local paths from URLs, and return labels without secrets for logs."""

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from loan_scoring.errors import PassingSourceError, SourceError

Location = str | Path | tuple[Path, ...]
"""A local path, a glob, a URL, or the paths of several files that are one batch."""

OBJECT_STORES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs"}
"""The URL schemes of object stores, each with the optional package that can read the store."""
COPY_BYTES = 1 << 20
"""The number of bytes of an object that are copied at a time."""


def location_label(location: Location) -> str:
    """Return a location for logs and tables. User, password and query of a URL are left out.

    >>> location_label((Path("in/2026-01-05-north.csv"), Path("in/2026-01-05-south.csv")))
    'in/2026-01-05-north.csv, 2026-01-05-south.csv'
    """
    if isinstance(location, tuple):
        first, *others = location
        return ", ".join([str(first), *(path.name for path in others)])
    parts = urlsplit(str(location))
    if scheme_of(location) is None:
        return str(location)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def scheme_of(location: Location) -> str | None:
    """Return the scheme of a URL, in lower case. Return None if the location is a local path.

    Raises:
        SourceError: the scheme is not supported.
    """
    scheme, separator, _ = str(location).partition("://")
    if not isinstance(location, str) or not separator:
        return None
    if scheme.lower() not in ("http", "https", *OBJECT_STORES):
        known = ", ".join(("http", "https", *OBJECT_STORES))
        raise SourceError(f"'{scheme}://' is not supported; use a local path, or one of {known}")
    return scheme.lower()


def cut_short_error(where: str, size: int, expected: object) -> SourceError:
    """Return the error for a copy that ended before all bytes of the original were copied."""
    return PassingSourceError(
        f"{where}: the copy ended after {size} of {expected} bytes; run again"
    )


def too_large_error(where: str, limit: int) -> SourceError:
    """Return the error for a file that is larger than may be fetched, `limit` bytes."""
    return SourceError(
        f"{where}: the file is larger than {limit >> 30} GiB; if it is genuine, raise "
        "LOAN_SCORING_MAX_DOWNLOAD_GIB"
    )


def is_synthetic(location: Location) -> bool:
    """Return whether a file name marks synthetic rows, as in `2026-01-05.synthetic.csv`."""
    if isinstance(location, tuple):
        return any(is_synthetic(path) for path in location)
    return ".synthetic." in PurePosixPath(location_label(location)).name
