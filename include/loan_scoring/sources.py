"""Where bytes come from: find, fetch and unpack a source file, and open it as a table."""

import glob
import gzip
import hashlib
import importlib
import os
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self, cast
from urllib.parse import urlsplit

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.tabular import (
    PARQUET_MAGIC,
    Block,
    CsvRows,
    Header,
    Malformed,
    ParquetRows,
    Readable,
)

__all__ = [
    "Block",
    "Header",
    "Malformed",
    "Table",
    "is_synthetic",
    "label",
    "open_table",
    "resolve",
]

TIMEOUT_SECONDS = 30.0
PROBE_SECONDS = 10.0
RETRY_SECONDS = (1.0, 3.0)
"""How long to wait before each repeated download."""
OBJECT_STORES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs"}
"""The schemes of object storage, and the optional package that reads each."""
MAX_EXPANSION = 100
"""A packed file that gives more than this times its size is refused, once past FREE_BYTES."""
FREE_BYTES = 64 << 20
COPY_BYTES = 1 << 20


def resolve(contract: Contract, explicit: str | None) -> str | None:
    """Find the labelled source of a portfolio, or None where none can be read.

    The order: `explicit`, LOAN_SCORING_SOURCE, data/<portfolio>.csv (.gz, .zip), the contract's
    URL if it answers.

    Raises:
        SourceError: `explicit` or LOAN_SCORING_SOURCE is set and cannot be read.
    """
    chosen = explicit or settings.source()
    if chosen:
        _check(chosen)
        return chosen
    for suffix in (".csv", ".csv.gz", ".csv.zip"):
        path = settings.data_dir() / f"{contract.portfolio}{suffix}"
        if path.exists():
            return str(path)
    try:
        if contract.source.url:
            _check(contract.source.url)
    except SourceError:
        return None
    return contract.source.url


def label(location: str | Path) -> str:
    """Return a location as it may stand in logs and tables: without user, password and query."""
    parts = urlsplit(str(location))
    if _scheme(location) is None:
        return str(location)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def is_synthetic(location: str | Path) -> bool:
    """Say whether a file's name marks its rows as generated, as in 2026-01-05.synthetic.csv."""
    return ".synthetic." in PurePosixPath(label(location)).name


def open_table(
    location: str | Path,
    wanted: Sequence[str],
    *,
    encoding: str = "utf-8",
    optional: Sequence[str] = (),
    block_bytes: int = 8 << 20,
) -> "Table":
    """Open a file, a glob of files or a URL as one table; use it as a context manager.

    Raises:
        SourceError: it cannot be read, or lacks a wanted column.
    """
    return Table(location, wanted, optional, encoding=encoding, block_bytes=block_bytes)


class Table:
    """The rows of one location: its header, the hash of its bytes, and its blocks.

    The files of a glob are one table in the order of their names. Its lines are numbered as if the
    files stood one after the other, and its sha256 is that of their bytes in this order.
    """

    def __init__(
        self,
        location: str | Path,
        wanted: Sequence[str],
        optional: Sequence[str],
        *,
        encoding: str,
        block_bytes: int,
    ) -> None:
        self._wanted, self._optional = list(wanted), list(optional)
        self._encoding, self._block_bytes = encoding, block_bytes
        with ExitStack() as stack:
            self._files = [
                (where, stack.enter_context(file)) for where, file in _deliver(str(location))
            ]
            self._stats = [_stat(file) for _, file in self._files]
            rows = [self._rows(where, file) for where, file in self._files]
            headers = [each.header for each in rows]
            self._stack = stack.pop_all()
        self.header = headers[0]
        self.raw_columns, self.delimiter = rows[0].raw_columns, rows[0].delimiter
        for (where, _), header in zip(self._files, headers, strict=True):
            if header.names != self.header.names:
                self._stack.close()
                raise SourceError(
                    f"{where}: its header differs from that of {self._files[0][0]}; "
                    "the files of a glob need the same columns in the same order"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def sha256(self) -> str:
        """The hex sha256 of the bytes as delivered, packed as they are."""
        digest = hashlib.sha256()
        for _, file in self._files:
            file.seek(0)
            while piece := file.read(COPY_BYTES):
                digest.update(piece)
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Block]:
        first_line = 1
        for (where, file), stat in zip(self._files, self._stats, strict=True):
            rows = self._rows(where, file, first_line)
            yield from rows
            first_line = rows.next_line
            if _stat(file) != stat:
                raise PassingSourceError(f"{where}: the file changed while it was read; run again")

    def _rows(self, where: str, file: BinaryIO, first_line: int = 1) -> CsvRows | ParquetRows:
        file.seek(0)
        magic = file.read(4)
        file.seek(0)
        if magic == PARQUET_MAGIC or _suffix(where) == ".parquet":
            return ParquetRows(
                file,
                where,
                self._wanted,
                self._optional,
                block_bytes=self._block_bytes,
                first_line=first_line,
            )
        return CsvRows(
            _unpack(file, where, magic),
            where,
            self._wanted,
            self._optional,
            encoding=self._encoding,
            block_bytes=self._block_bytes,
            first_line=first_line,
        )


class Unpacked:
    """A packed stream that ends in one clear error where damaged or without bound."""

    def __init__(self, stream: Readable, where: str, packed_bytes: int) -> None:
        self._stream, self._where = stream, where
        self._limit = max(FREE_BYTES, MAX_EXPANSION * packed_bytes)
        self._count = 0

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, unpacked."""
        try:
            data = self._stream.read(size)
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
            raise SourceError(
                f"{self._where}: the packed file is truncated or damaged; deliver it again"
            ) from error
        self._count += len(data)
        if self._count > self._limit:
            raise SourceError(
                f"{self._where}: unpacks to more than {MAX_EXPANSION} times its size, like a zip "
                "bomb; deliver it unpacked if it is genuine"
            )
        return data


def _unpack(file: BinaryIO, where: str, magic: bytes) -> Readable:
    """Return the stream of a file's text, by what its first bytes say rather than its name."""
    size = os.fstat(file.fileno()).st_size
    if magic.startswith(b"\x1f\x8b"):
        return Unpacked(cast(Readable, gzip.GzipFile(fileobj=file)), where, size)
    if magic.startswith(b"PK"):
        return Unpacked(_only_member(file, where), where, size)
    if size and _suffix(where) in (".gz", ".zip"):
        raise SourceError(f"{where}: not packed as its name says, or damaged; deliver it again")
    return file


def _only_member(file: BinaryIO, where: str) -> Readable:
    try:
        archive = zipfile.ZipFile(file)
        members = [
            member
            for member in archive.infolist()
            # macOS adds what it knows of a file as a second file.
            if not member.is_dir() and not member.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            raise SourceError(f"{where}: holds {len(members)} files; pack exactly one")
        # Other methods unpack without a bound on what one step gives.
        if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SourceError(f"{where}: packed with an unusual method; pack it with deflate")
        if members[0].flag_bits & 1:
            raise SourceError(f"{where}: needs a password; pack it without")
        return cast(Readable, archive.open(members[0]))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise SourceError(
            f"{where}: the packed file is truncated or damaged; deliver it again"
        ) from error


def _deliver(location: str) -> Iterator[tuple[str, BinaryIO]]:
    """Open each file of a location, those of a URL as unnamed local copies."""
    scheme = _scheme(location)
    if scheme is None:
        for path in _local_paths(location):
            yield str(path), _open_local(path)
    elif scheme in ("http", "https"):
        yield label(location), _download(location)
    else:
        system, paths = _objects(location, scheme)
        for name in paths:
            where = f"{scheme}://{name}"
            yield where, _copy_object(system, name, where)


def _check(location: str) -> None:
    """Raise a SourceError unless the location can be opened now."""
    scheme = _scheme(location)
    if scheme is None:
        for path in _local_paths(location):
            _open_local(path).close()
    elif scheme in ("http", "https"):
        try:
            _get(location, PROBE_SECONDS).close()
        except (OSError, HTTPException) as error:
            raise _unreachable(location, error) from error
    else:
        _objects(location, scheme)


def _scheme(location: str | Path) -> str | None:
    """Return the scheme of a URL, None of a local path."""
    scheme, separator, _ = str(location).partition("://")
    if isinstance(location, Path) or not separator:
        return None
    if scheme.lower() not in ("http", "https", *OBJECT_STORES):
        known = ", ".join(("http", "https", *OBJECT_STORES))
        raise SourceError(f"'{scheme}://' is no source that can be read; known are {known}")
    return scheme.lower()


def _suffix(where: str) -> str:
    return PurePosixPath(where).suffix.lower()


def _stat(file: BinaryIO) -> tuple[int, int]:
    stat = os.fstat(file.fileno())
    return stat.st_size, stat.st_mtime_ns


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
            raise SourceError(f"{path}: is a directory; name a file in it")
        if path.exists() and not path.is_file():
            raise SourceError(f"{path}: is no regular file; copy what it gives into one")
        return path.open("rb")
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error


def _get(url: str, timeout: float) -> HTTPResponse:
    if "@" in urlsplit(url).netloc:
        raise SourceError(f"{label(url)}: no user or password in a URL; use a signed URL")
    request = urllib.request.Request(url, headers={"User-Agent": "loan-scoring"})  # noqa: S310 (_scheme allows http and https alone)
    return cast(HTTPResponse, urllib.request.urlopen(request, timeout=timeout))  # noqa: S310


def _download(url: str) -> BinaryIO:
    """Copy a URL into an unnamed temporary file, again where the connection was at fault."""
    for wait in (*RETRY_SECONDS, None):
        with ExitStack() as stack:
            copy = stack.enter_context(tempfile.TemporaryFile())
            try:
                with _get(url, TIMEOUT_SECONDS) as response:
                    shutil.copyfileobj(response, copy, COPY_BYTES)
                    expected = response.headers.get("Content-Length")
                copy.flush()
                if expected is None or copy.tell() == int(expected):
                    stack.pop_all()
                    return cast(BinaryIO, copy)
                error = _cut_short(label(url), copy.tell(), expected)
            except (OSError, HTTPException) as failure:
                error = _unreachable(url, failure)
                code = getattr(failure, "code", None)
                if code in range(400, 500) and code not in (408, 429):
                    break
        if wait is not None:
            time.sleep(wait)
    raise error


def _cut_short(where: str, size: int, expected: object) -> SourceError:
    return PassingSourceError(f"{where}: ended after {size} of {expected} bytes; try again")


def _unreachable(url: str, error: Exception) -> SourceError:
    """Say why a URL gave nothing, in words that cannot hold its query."""
    cause = getattr(error, "reason", error)
    if isinstance(error, urllib.error.HTTPError):
        why = f"the server answered {error.code} {error.reason}"
        error.close()
    elif isinstance(cause, TimeoutError):
        why = "no answer in time"
    elif isinstance(cause, socket.gaierror):
        why = "its host is not known"
    elif isinstance(cause, OSError) and cause.strerror:
        why = cause.strerror.lower()
    else:
        why = f"the connection failed ({type(cause).__name__})"
    return SourceError(f"{label(url)}: {why}; check the URL and the network")


def _objects(location: str, scheme: str) -> tuple[Any, list[str]]:
    """Return the file system of an object store, and the paths that a location names there."""
    package = OBJECT_STORES[scheme]
    try:
        importlib.import_module(package)
        system, path = importlib.import_module("fsspec").core.url_to_fs(location)
        paths = sorted(system.glob(path)) if glob.has_magic(path) else [path]
        if not paths or not all(system.isfile(found) for found in paths):
            raise SourceError(f"{location}: no such object; check the address")
    except ImportError as error:
        raise SourceError(f"{location}: needs the package {package}; pip install it") from error
    except SourceError:
        raise
    except Exception as error:  # Each store has errors of its own.
        raise _refused(location, error) from error
    return system, paths


def _copy_object(system: Any, path: str, where: str) -> BinaryIO:
    with ExitStack() as stack:
        copy = stack.enter_context(tempfile.TemporaryFile())
        try:
            with system.open(path, "rb") as remote:
                shutil.copyfileobj(remote, copy, COPY_BYTES)
            expected = system.info(path)["size"]
        except Exception as error:
            raise _refused(where, error) from error
        copy.flush()
        if copy.tell() != expected:
            raise _cut_short(where, copy.tell(), expected)
        stack.pop_all()
        return cast(BinaryIO, copy)


def _refused(where: str, error: Exception) -> SourceError:
    return SourceError(
        f"{where}: the store gave {type(error).__name__}; check the address and the credentials"
    )
