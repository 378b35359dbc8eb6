"""Read the start of a CSV file, and find its delimiter and column names."""

import re
from dataclasses import dataclass

from loan_scoring.contract import FileFormat
from loan_scoring.counted import counted, described
from loan_scoring.errors import NoRowsError, SourceError
from loan_scoring.ingest.files.blocks import csv_fields
from loan_scoring.ingest.files.columns import contract_names
from loan_scoring.ingest.files.csv_grammar import MAX_QUOTED_LINES, field_pattern
from loan_scoring.ingest.files.text_streams import MARK, MAX_LINE_BYTES, Readable

HEADER_BYTES = 64 << 10
DELIMITERS = ",;\t|"
"""The delimiters that are found if the contract declares none."""
DECLARED = {"auto": DELIMITERS, "tab": "\t", "blank": " "}
SHOWN = {",": "comma", ";": "semicolon", "\t": "tab", " ": "blanks"}


@dataclass(frozen=True)
class CsvHeader:
    """The header of a CSV file, its delimiter, and the bytes read after the header."""

    names: list[str]
    delimiter: str
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
    file_format: FileFormat,
    first_line: int,
    block_bytes: int,
) -> CsvHeader:
    """Read the first lines of a CSV stream, and return its header.

    If the contract declares no delimiter, the delimiter is chosen so that the header has as many of
    the `asked` names as possible. A file without a header has its columns' positions as names.

    Args:
        stream: bytes of the file in UTF-8.
        where: name of the file, for error messages.
        asked: column names that the contract asks for.
        file_format: how the contract says that the file is written.
        first_line: line number of the header.
        block_bytes: largest number of bytes to read in one call.

    Raises:
        SourceError: the file is empty, has only a header, or is not text. Or the header is in
            another encoding, or has none of the `asked` names.
    """
    delimiters = DECLARED.get(file_format.delimiter, file_format.delimiter)
    data, is_at_end = stream.read(min(HEADER_BYTES, block_bytes)).removeprefix(MARK), False
    while not is_at_end and not _has_row(data, delimiters):
        if len(data) > MAX_LINE_BYTES:
            raise line_too_long(where, first_line + data.count(b"\n"))
        more = stream.read(block_bytes)
        data, is_at_end = data + more, not more
    if not data.strip():
        raise NoRowsError(f"{where}: the file is empty; deliver it again")
    if not file_format.header:
        delimiter = _delimiter_without_header(where, data, delimiters, asked)
        names = contract_names(_fields(data, delimiter), [], file_format)
        return CsvHeader(names, delimiter, 0, data, is_at_end)
    found = {d: contract_names(_fields(data, d), [*asked], file_format) for d in delimiters}
    best = max(delimiters, key=lambda d: len(asked.intersection(found[d])))
    end = _record_end(data, best)
    record, rest = data[:end].rstrip(b"\r\n"), data[end:]
    _refuse_if_wrong(where, record, is_alone=is_at_end and not rest.strip(b"\r\n"))
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{where}: the header is not {file_format.encoding}; declare source.encoding in "
            "the contract, or convert the file"
        ) from error
    if not asked.intersection(found[best]):
        by_blanks = contract_names(text.split(), [*asked], file_format)
        advice = (
            "declare source.delimiter: blank"
            if asked.intersection(by_blanks)
            else f"use the names of the contract, separated by {_shown(delimiters)}"
        )
        raise SourceError(
            f"{where}: no column of the contract in the header, line {first_line}, of "
            f"{counted(len(found[best]), 'field')} in {described(text)}; {advice}"
        )
    return CsvHeader(found[best], best, data.count(b"\n", 0, end), rest, is_at_end)


def _delimiter_without_header(where: str, data: bytes, delimiters: str, asked: set[str]) -> str:
    """Return the only delimiter by which the first record has all the positions asked for.

    Raises:
        SourceError: no delimiter gives so many fields, or several do.
    """
    _refuse_if_wrong(where, data[: _record_end(data, delimiters[0])], is_alone=False)
    most = max(int(position) for position in asked if position.isdecimal())
    counts = {d: len(_fields(data, d)) for d in delimiters}
    fit = [d for d in delimiters if counts[d] >= most]
    if len(fit) == 1:
        return fit[0]
    if not fit:
        raise SourceError(
            f"{where}: the first record has {max(counts.values())} fields, separated by "
            f"{_shown(delimiters)}, and the contract asks for column {most}; correct the sources "
            "or source.delimiter in the contract"
        )
    raise SourceError(
        f"{where}: the first record may be separated by {_shown(''.join(fit))}; declare "
        "source.delimiter in the contract"
    )


def _shown(delimiters: str) -> str:
    *first, last = [SHOWN.get(each, each) for each in delimiters]
    return f"{', '.join(first)} or {last}" if first else last


def _refuse_if_wrong(where: str, record: bytes, *, is_alone: bool) -> None:
    if re.search(rb"[\x00-\x08\x0e-\x1f]", record):
        raise SourceError(f"{where}: the file is binary, not text; deliver CSV or Parquet")
    if is_alone and b"\r" in record and b"\n" not in record:
        raise SourceError(f"{where}: lines end in CR only; save the file with LF or CRLF")
    if is_alone:
        raise NoRowsError(f"{where}: the file has a header but no rows; deliver it again")


def _has_row(data: bytes, delimiters: str) -> bool:
    """Return whether the header is complete and at least one line follows it."""
    lines = data.count(b"\n")
    line = data[: data.find(b"\n") + 1]
    if line.count(b'"') % 2 == 0 or lines > MAX_QUOTED_LINES:
        return lines >= 2
    ends = [end for d in delimiters if (end := _record_end(data, d)) > len(line)]
    return bool(ends) and b"\n" in data[max(ends) :]


def _fields(data: bytes, delimiter: str) -> list[str]:
    """Return the fields of the first record that is not empty."""
    data = data.lstrip(b"\r\n")
    text = data[: _record_end(data, delimiter)].decode(errors="replace")
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
