"""Read the start of a CSV file, and find its encoding, delimiter and column names."""

import re
from dataclasses import dataclass

from loan_scoring.errors import NoRowsError, SourceError
from loan_scoring.ingest.files.blocks import Readable, csv_fields
from loan_scoring.ingest.files.csv_grammar import MAX_QUOTED_LINES, field_pattern

HEADER_BYTES = 64 << 10
MAX_LINE_BYTES = 16 << 20
DELIMITERS = ",;\t"
MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class CsvHeader:
    """The header of a CSV file, how the file is written, and the bytes read after the header."""

    names: list[str]
    delimiter: str
    encoding: str
    lines: int
    """Number of lines of the header. A name in quotes may contain line ends."""
    rest: bytes
    is_at_end: bool
    """Whether the whole file has been read, so that no bytes follow `rest`."""


def read_header(
    stream: Readable,
    where: str,
    asked: set[str],
    *,
    encoding: str,
    first_line: int,
    block_bytes: int,
) -> CsvHeader:
    """Read the first lines of a CSV stream, and return its header.

    The delimiter is chosen so that the header has as many of the `asked` names as possible.

    Args:
        stream: unpacked bytes of the file.
        where: name of the file, for error messages.
        asked: column names that the contract asks for.
        encoding: encoding that the contract declares.
        first_line: line number of the header.
        block_bytes: largest number of bytes to read in one call.

    Raises:
        SourceError: the file is empty, has only a header, or is not text. Or the header is in
            another encoding, or has none of the `asked` names.
    """
    data, is_at_end = stream.read(min(HEADER_BYTES, block_bytes)), False
    while not is_at_end and not _has_row(data):
        if len(data) > MAX_LINE_BYTES:
            raise line_too_long(where, first_line + data.count(b"\n"))
        more = stream.read(block_bytes)
        data, is_at_end = data + more, not more
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceError(f"{where}: the text is UTF-16; save it as UTF-8")
    if data.startswith(MARK):
        # A byte order mark shows that the text is UTF-8, so the encoding in the contract is
        # ignored.
        data, encoding = data.removeprefix(MARK), "utf-8"
    if not data.strip():
        raise NoRowsError(f"{where}: the file is empty; deliver it again")
    names = {d: _names(data, d, encoding) for d in DELIMITERS}
    best = max(DELIMITERS, key=lambda d: len(asked.intersection(names[d])))
    end = _record_end(data, best)
    record, rest = data[:end].rstrip(b"\r\n"), data[end:]
    _refuse_if_wrong(where, record, is_alone=is_at_end and not rest.strip(b"\r\n"))
    try:
        text = record.decode(encoding)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{where}: the header is not {encoding}; declare source.encoding in "
            "the contract, or convert the file"
        ) from error
    if not asked.intersection(names[best]):
        start = text if len(text) <= 60 else text[:60] + "..."
        raise SourceError(
            f"{where}: no column of the contract in the header {start!r}; use the names "
            "of the contract, separated by comma, semicolon or tab"
        )
    return CsvHeader(names[best], best, encoding, data.count(b"\n", 0, end), rest, is_at_end)


def _refuse_if_wrong(where: str, record: bytes, *, is_alone: bool) -> None:
    if re.search(rb"[\x00-\x08\x0e-\x1f]", record):
        raise SourceError(f"{where}: the file is binary, not text; deliver CSV or Parquet")
    if is_alone and b"\r" in record and b"\n" not in record:
        raise SourceError(f"{where}: lines end in CR only; save the file with LF or CRLF")
    if is_alone:
        raise NoRowsError(f"{where}: the file has a header but no rows; deliver it again")


def _has_row(data: bytes) -> bool:
    """Return whether the header is complete and at least one line follows it."""
    data = data.removeprefix(MARK)
    lines = data.count(b"\n")
    line = data[: data.find(b"\n") + 1]
    if line.count(b'"') % 2 == 0 or lines > MAX_QUOTED_LINES:
        return lines >= 2
    ends = [end for d in DELIMITERS if (end := _record_end(data, d)) > len(line)]
    return bool(ends) and b"\n" in data[max(ends) :]


def _names(data: bytes, delimiter: str, encoding: str) -> list[str]:
    text = data[: _record_end(data, delimiter)].decode(encoding, errors="replace")
    return csv_fields(text.rstrip("\r\n"), delimiter)


def _record_end(data: bytes, delimiter: str) -> int:
    """Return where the first record ends, including its line end.

    A line end in quotes is part of the record. If the quotes of the first line are misplaced, the
    record is the first line.
    """
    first = data.find(b"\n") + 1 or len(data)
    if b'"' not in data[:first]:
        return first
    limit = first
    for _ in range(MAX_QUOTED_LINES - 1):
        limit = data.find(b"\n", limit) + 1 or len(data)
    field, d = field_pattern(delimiter), re.escape(delimiter).encode()
    match = re.compile(rb"%s(?:%s%s)*+\r?\n" % (field, d, field)).match(data, 0, limit)
    return match.end() if match else first


def line_too_long(where: str, line_number: int) -> SourceError:
    """Return the error for a line that is longer than MAX_LINE_BYTES."""
    return SourceError(
        f"{where}: line {line_number} is longer than {MAX_LINE_BYTES >> 20} MB; the line ends are "
        "lost or the file is not CSV; deliver it again"
    )
