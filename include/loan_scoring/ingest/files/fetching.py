"""Open the files of a location. Remote files are first copied to unnamed local files."""

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from loan_scoring.errors import SourceError
from loan_scoring.ingest.files.locations import Location, location_label, scheme_of
from loan_scoring.ingest.files.objects import copy_object, find_objects
from loan_scoring.ingest.files.web import download, probe


def open_files(location: Location) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the name of each file of a location, and the file opened for reading.

    A remote file is copied, and the local copy is yielded.

    Args:
        location: local path, glob, URL, or several local paths.

    Raises:
        SourceError: a file cannot be read, or no file matches.
    """
    if not isinstance(location, str):
        for path in location if isinstance(location, tuple) else _local_paths(str(location)):
            yield str(path), _open_local(path)
        return
    scheme = scheme_of(location)
    if scheme is None:
        for path in _local_paths(location):
            yield str(path), _open_local(path)
    elif scheme in ("http", "https"):
        yield location_label(location), download(location)
    else:
        system, paths = find_objects(location, scheme)
        for name in paths:
            where = f"{scheme}://{name}"
            yield where, copy_object(system, name, where)


def check_location(location: str) -> None:
    """Check that a location can be opened, without reading any file to its end.

    Raises:
        SourceError: the location cannot be opened.
    """
    scheme = scheme_of(location)
    if scheme is None:
        for path in _local_paths(location):
            _open_local(path).close()
    elif scheme in ("http", "https"):
        probe(location)
    else:
        find_objects(location, scheme)


def _local_paths(location: str) -> list[Path]:
    path = Path(location).expanduser()
    if path.exists() or not glob.has_magic(location):
        return [path]
    paths = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207
    if not paths:
        raise SourceError(f"{location}: no file matches; check the pattern")
    return paths


def _open_local(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise SourceError(f"{path}: this is a directory; name a file in it")
        if path.exists() and not path.is_file():
            raise SourceError(f"{path}: this is not a regular file; copy its content into one")
        return path.open("rb")
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
