"""Unpack gzip and zip files, with a limit on the unpacked size."""

import gzip
import os
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from loan_scoring.errors import SourceError
from loan_scoring.ingest.files.text_streams import Readable

MAX_EXPANSION = 100
"""The largest permitted ratio of a file's unpacked size to its packed size."""
FREE_BYTES = 64 << 20
"""A file that unpacks to at most this many bytes is accepted, whatever its ratio."""


def unpack(file: BinaryIO, where: str, magic: bytes) -> Readable:
    """Return a stream of a file's unpacked bytes.

    The first bytes of the file, and not its name, decide whether the file is gzip, zip or not
    packed.

    Args:
        file: file opened for reading.
        where: name of the file, for error messages.
        magic: first bytes of the file.

    Raises:
        SourceError: the packed file is damaged, the archive does not hold exactly one readable
            file, or the file is named .gz or .zip but is not packed.
    """
    size = os.fstat(file.fileno()).st_size
    if magic.startswith(b"\x1f\x8b"):
        return Unpacked(cast(Readable, gzip.GzipFile(fileobj=file)), where, size)
    if magic.startswith(b"PK"):
        return Unpacked(_only_member(file, where), where, size)
    if size and suffix_of(where) in (".gz", ".zip"):
        raise SourceError(
            f"{where}: the file is not packed as its name says, or is damaged; deliver it again"
        )
    return file


class Unpacked:
    """A stream of unpacked bytes. A read fails if the file is damaged or exceeds the size limit."""

    def __init__(self, stream: Readable, where: str, packed_bytes: int) -> None:
        self._stream, self._where = stream, where
        self._limit = max(FREE_BYTES, MAX_EXPANSION * packed_bytes)
        self._count = 0

    def read(self, size: int, /) -> bytes:
        """Return the next `size` unpacked bytes, or fewer at the end.

        Raises:
            SourceError: the packed file is damaged, or its unpacked size exceeds the limit.
        """
        try:
            data = self._stream.read(size)
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
            raise SourceError(
                f"{self._where}: the packed file is truncated or damaged; deliver it again"
            ) from error
        self._count += len(data)
        if self._count > self._limit:
            raise SourceError(
                f"{self._where}: the file unpacks to more than {MAX_EXPANSION} times its size, "
                "like a zip bomb; if it is genuine, deliver it unpacked"
            )
        return data


def _only_member(file: BinaryIO, where: str) -> Readable:
    try:
        archive = zipfile.ZipFile(file)
        members = [
            member
            for member in archive.infolist()
            # Skip the folder `__MACOSX`, because it holds only metadata that macOS adds.
            if not member.is_dir() and not member.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            raise SourceError(f"{where}: the archive holds {len(members)} files; pack exactly one")
        # Other compression methods are refused, because one read can unpack to any size and the
        # limit would be checked too late.
        if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SourceError(
                f"{where}: the compression method is not supported; pack it with deflate"
            )
        if members[0].flag_bits & 1:
            raise SourceError(f"{where}: the archive needs a password; pack it without one")
        return cast(Readable, archive.open(members[0]))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise SourceError(
            f"{where}: the packed file is truncated or damaged; deliver it again"
        ) from error


def suffix_of(where: str) -> str:
    return PurePosixPath(where).suffix.lower()
