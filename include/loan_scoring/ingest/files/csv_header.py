"""Read the start of a CSV file: its encoding, its delimiter, its names."""

import re
from dataclasses import dataclass

from loan_scoring.errors import SourceError
from loan_scoring.ingest.files.blocks import Readable, csv_fields

HEADER_BYTES = 64 << 10
MAX_LINE_BYTES = 16 << 20
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class FileStart:
    """The header's line, the bytes read after it, whether that is all, and the encoding of both."""

    line: bytes
    rest: bytes
    is_at_end: bool
    encoding: str

    def split(self, where: str, asked: set[str]) -> tuple[str, list[str]]:
        """Return the delimiter that gives most of the asked names, and the names."""
        try:
            text = self.line.decode(self.encoding)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{where}: the header is not {self.encoding}; declare source.encoding in "
                "the contract or convert the file"
            ) from error
        splits = {d: csv_fields(text, d) for d in DELIMITERS}
        best = max(DELIMITERS, key=lambda d: len(asked.intersection(splits[d])))
        if not asked.intersection(splits[best]):
            start = text if len(text) <= 60 else text[:60] + "..."
            raise SourceError(
                f"{where}: no wanted column in the header {start!r}; names must be those "
                "of the contract, delimited by comma, semicolon or tab"
            )
        return best, splits[best]


def read_start(
    stream: Readable, where: str, encoding: str, first_line: int, block_bytes: int
) -> FileStart:
    """Read up to the second line end at least, and refuse what cannot be a CSV file.

    Raises:
        SourceError: the file is empty, has no row, or is no text.
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
        # A byte order mark says UTF-8, whatever the contract declares.
        data, encoding = data[3:], "utf-8"
    if not data.strip():
        raise SourceError(f"{where}: the file is empty; deliver it again")
    line, _, rest = data.partition(b"\n")
    if re.search(rb"[\x00-\x08\x0e-\x1f]", line):
        raise SourceError(f"{where}: not text but binary data; deliver CSV or Parquet")
    if is_at_end and not rest.strip(b"\r\n"):
        if b"\r" in line.rstrip(b"\r"):
            raise SourceError(f"{where}: lines end in CR alone; save it with LF or CRLF")
        raise SourceError(f"{where}: a header and no rows; deliver the file again")
    return FileStart(line.rstrip(b"\r"), rest, is_at_end, encoding)


def line_too_long(where: str, line_number: int) -> SourceError:
    """Say that a line has no end within bounds."""
    return SourceError(
        f"{where}: line {line_number} is longer than {MAX_LINE_BYTES >> 20} MB; "
        "its line ends are lost or it is no CSV"
    )
