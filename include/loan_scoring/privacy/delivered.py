"""Find the records of a loan in delivered files, and write the files without them."""

import gzip
import os
import shutil
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loan_scoring import settings
from loan_scoring.contract import KEY, Column, Contract, Lookup
from loan_scoring.contract.presence import split_columns_of_file
from loan_scoring.database.files import draft_path
from loan_scoring.errors import SourceError
from loan_scoring.ingest.files.blocks import Block, csv_fields
from loan_scoring.ingest.files.csv_header import DELIMITERS
from loan_scoring.ingest.files.table import PARQUET_MAGIC, open_table
from loan_scoring.ingest.files.text_streams import MARK, Readable
from loan_scoring.ingest.files.unpacking import suffix_of, unpack
from loan_scoring.ingest.outcome_rows import outcome_columns
from loan_scoring.ingest.parsing.columns import parse_column

READ_BYTES = 4 << 20


@dataclass(frozen=True)
class Record:
    """A record of a delivered file: its first line, the number of its lines, and its text."""

    line: int
    lines: int
    text: str


def delivered_files(contract: Contract) -> Iterator[tuple[str, Path]]:
    """Yield kind and path of each file in the landing folder, also of files that nobody took.

    Manifests are left out. Of look-ups only those are read whose key is the loan's.
    """
    manifest = contract.ingest.manifest
    for kind in ("applications", "outcomes", *lookups_by_loan(contract)):
        folder = settings.landing_dir(contract.portfolio) / kind
        for path in sorted(folder.glob("*")):
            if manifest is not None and path.name.endswith(manifest.ending):
                continue
            if path.is_file() and not path.is_symlink() and path.stat().st_size:
                yield kind, path


def lookups_by_loan(contract: Contract) -> dict[str, Lookup]:
    """Return the look-ups whose key is the loan's, by their landing folder."""
    return {f"lookups/{each.name}": each for each in contract.lookups if [*each.key] == [KEY]}


def find_records(
    contract: Contract, kind: str, path: Path, key: Any, lines: Collection[int] = ()
) -> list[Record]:
    """Return the records of a loan in a delivered file.

    A malformed record is of the loan if one of its fields is the loan's key.

    Args:
        contract: contract of the portfolio.
        kind: `applications`, `outcomes` or `lookups/NAME`.
        path: the file.
        key: the loan, as the contract types its key.
        lines: lines that are known to be of the loan, such as one whose key was corrected.

    Raises:
        SourceError: the file cannot be read.
    """
    column, wanted, optional, file_format = _reading(contract, kind, path)
    with open_table(path, wanted, file_format=file_format, optional=optional) as table:
        return [record for block in table for record in _records(block, column, key, lines)]


def _reading(contract: Contract, kind: str, path: Path) -> tuple[Column, list[str], list[str], Any]:
    """Return how the key of a file is read: column, columns of the file and format."""
    lookup = lookups_by_loan(contract).get(kind)
    if lookup is not None:
        column = contract.key.model_copy(update={"source": lookup.key[KEY], "made_from": None})
        return column, [lookup.key[KEY]], [], lookup.source
    if kind == "outcomes":
        columns = outcome_columns(contract, is_history=False)
        return columns.key, [*columns.key.sources], [], columns.files
    if contract.key.made_from:
        wanted, optional = split_columns_of_file(contract, path.name.split(".")[0])
        return contract.key, list(wanted), list(optional), contract.source
    return contract.key, [*contract.key.sources], [], contract.source


def _records(block: Block, column: Column, key: Any, lines: Collection[int]) -> Iterator[Record]:
    values, _ = parse_column(column, block)
    is_of = pc.fill_null(pc.equal(values, pa.scalar(key, values.type)), False)
    is_known = np.isin(block.line_numbers, list(lines))
    for row in np.flatnonzero(is_of.to_numpy(zero_copy_only=False) | is_known).tolist():
        yield _record(block.line_numbers[row], block.raw_text(row))
    for each in block.malformed:
        if each.line_number in lines or has_field(each.raw_text, key):
            yield _record(each.line_number, each.raw_text)


def _record(line: int, text: str) -> Record:
    return Record(int(line), text.count("\n") + 1, text)


def has_field(text: str, key: Any) -> bool:
    """Return whether a field of a record is a loan's key, whatever the delimiter."""
    wanted = str(key).casefold()
    return any(
        wanted == field.strip().casefold()
        for delimiter in DELIMITERS
        for field in csv_fields(text, delimiter)
    )


def write_without(contract: Contract, kind: str, path: Path, records: list[Record]) -> Path | None:
    """Write a draft of a file without some records, and return the draft's path.

    Records of a text become blank lines, which readers skip, so that all other lines keep their
    numbers. Rows of a Parquet file are left out. Return None for a workbook and for a Parquet file
    without other rows: such a file has to be removed.

    Raises:
        SourceError: the file cannot be read in its encoding.
    """
    numbers = {line for each in records for line in range(each.line, each.line + each.lines)}
    _, _, _, file_format = _reading(contract, kind, path)
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        is_parquet = magic == PARQUET_MAGIC or suffix_of(str(path)) == ".parquet"
        if suffix_of(str(path)) == ".xlsx":
            return None
        draft = draft_path(path)
        try:
            if is_parquet:
                if pq.ParquetFile(path).metadata.num_rows <= len(records):
                    return None
                _write_parquet(path, draft, {each.line for each in records})
            else:
                stream = unpack(file, str(path), magic)
                _write_text(stream, magic, path, draft, numbers, file_format.encoding)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    shutil.copymode(path, draft)
    # The time stays, because a file that has just changed is not taken as whole.
    stat = path.stat()
    os.utime(draft, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return draft


def _write_parquet(path: Path, draft: Path, lines: set[int]) -> None:
    source, line = pq.ParquetFile(path), 2  # as readers count: line 1 is the header
    with pq.ParquetWriter(draft, source.schema_arrow) as out:
        for batch in source.iter_batches():
            kept = [number not in lines for number in range(line, line + batch.num_rows)]
            line += batch.num_rows
            out.write_batch(batch.filter(pa.array(kept, pa.bool_())))


def _write_text(
    stream: Readable, magic: bytes, path: Path, draft: Path, lines: set[int], encoding: str
) -> None:
    with draft.open("xb") as file:
        if magic.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                _copy_lines(stream, cast(BinaryIO, packed), lines, encoding, path)
        elif magic.startswith(b"PK"):
            with zipfile.ZipFile(path) as source, zipfile.ZipFile(file, "w") as archive:
                (member,) = (
                    each
                    for each in source.infolist()
                    if not each.is_dir() and not each.filename.startswith("__MACOSX/")
                )
                with archive.open(member, "w") as packed_member:
                    _copy_lines(stream, cast(BinaryIO, packed_member), lines, encoding, path)
        else:
            _copy_lines(stream, file, lines, encoding, path)
        file.flush()
        os.fsync(file.fileno())


def _copy_lines(
    stream: Readable, out: BinaryIO, lines: set[int], encoding: str, path: Path
) -> None:
    """Copy a text and make some of its lines blank."""
    first = stream.read(len(MARK))
    if not first.startswith(MARK) and "\n".encode(encoding) != b"\n":
        _copy_wide(first, stream, out, lines, encoding, path)
        return
    line, carry = 1, first
    while piece := stream.read(READ_BYTES):
        *whole, carry = (carry + piece).split(b"\n")
        for text in whole:
            blank = b"\r" if text.endswith(b"\r") else b""
            out.write((blank if line in lines else text) + b"\n")
            line += 1
    if line not in lines:
        out.write(carry)


def _copy_wide(
    first: bytes, stream: Readable, out: BinaryIO, lines: set[int], encoding: str, path: Path
) -> None:
    """Copy a text whose line ends are not one byte, such as UTF-16, in memory."""
    data = first
    while piece := stream.read(READ_BYTES):
        data += piece
    try:
        texts = data.decode(encoding).split("\n")
    except UnicodeDecodeError:
        raise SourceError(f"{path}: not every byte is text in {encoding}") from None
    kept = ["" if line in lines else text for line, text in enumerate(texts, 1)]
    out.write("\n".join(kept).encode(encoding))
