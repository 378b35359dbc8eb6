"""Read the start of a CSV file, and find its encoding, delimiter and column names."""

import re
from dataclasses import dataclass

from loan_scoring.errors import NoRowsError, SourceError
from loan_scoring.ingest.files.blocks import Readable, csv_fields

HEADER_BYTES = 64 << 10
MAX_LINE_BYTES = 16 << 20
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class FileStart:
    """The first bytes of a file: the line with the header, and the bytes read after that line."""

    line: bytes
    rest: bytes
    is_at_end: bool
    """Whether the whole file has been read, so that no bytes follow `rest`."""
    encoding: str

    def split(self, where: str, asked: set[str]) -> tuple[str, list[str]]:
        """Return the delimiter of the header, and the column names.

        The delimiter is chosen so that the header has as many of the `asked` names as possible.

        Raises:
            SourceError: the header is in another encoding, or has none of the `asked` names.
        """
        try:
            text = self.line.decode(self.encoding)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{where}: the header is not {self.encoding}; declare source.encoding in "
                "the contract, or convert the file"
            ) from error
        splits = {d: csv_fields(text, d) for d in DELIMITERS}
        best = max(DELIMITERS, key=lambda d: len(asked.intersection(splits[d])))
        if not asked.intersection(splits[best]):
            start = text if len(text) <= 60 else text[:60] + "..."
            raise SourceError(
                f"{where}: no column of the contract in the header {start!r}; use the names "
                "of the contract, separated by comma, semicolon or tab"
            )
        return best, splits[best]


def read_start(
    stream: Readable, where: str, encoding: str, first_line: int, block_bytes: int
) -> FileStart:
    """Read the first lines of a CSV stream, and return the header's line and the encoding.

    At least two lines are read, unless the stream has fewer lines.

    Args:
        stream: unpacked bytes of the file.
        where: name of the file, for error messages.
        encoding: encoding that the contract declares.
        first_line: line number of the header.
        block_bytes: largest number of bytes to read in one call.

    Raises:
        SourceError: the file is empty, has only a header, or is not text.
    """
    data, is_at_end = stream.read(min(HEADER_BYTES, block_bytes)), False
    while data.count(b"\n") < 2 and not is_at_end:
        if len(data) > MAX_LINE_BYTES:
            raise line_too_long(where, first_line + data.count(b"\n"))
        more = stream.read(block_bytes)
        data, is_at_end = data + more, not more
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceError(f"{where}: the text is UTF-16; save it as UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        # A byte order mark shows that the text is UTF-8, so the encoding in the contract is
        # ignored.
        data, encoding = data[3:], "utf-8"
    if not data.strip():
        raise NoRowsError(f"{where}: the file is empty; deliver it again")
    line, _, rest = data.partition(b"\n")
    if re.search(rb"[\x00-\x08\x0e-\x1f]", line):
        raise SourceError(f"{where}: the file is binary, not text; deliver CSV or Parquet")
    if is_at_end and not rest.strip(b"\r\n"):
        if b"\r" in line.rstrip(b"\r"):
            raise SourceError(f"{where}: lines end in CR only; save the file with LF or CRLF")
        raise NoRowsError(f"{where}: the file has a header but no rows; deliver it again")
    return FileStart(line.rstrip(b"\r"), rest, is_at_end, encoding)


def line_too_long(where: str, line_number: int) -> SourceError:
    """Return the error for a line that is longer than MAX_LINE_BYTES."""
    return SourceError(
        f"{where}: line {line_number} is longer than {MAX_LINE_BYTES >> 20} MB; the line ends are "
        "lost or the file is not CSV; deliver it again"
    )
