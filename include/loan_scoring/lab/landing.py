"""Write the files of a replay into the landing folder, so that no reader sees a partial file.

A drop is the content of one such file: the applications or the outcomes of one date.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import FileFormat
from loan_scoring.database.files import write_whole
from loan_scoring.errors import LoanScoringError
from loan_scoring.ingest.deliveries import DONE

DELIMITERS = {"auto": ",", "tab": "\t", "blank": " "}


class LandingFolder:
    """Write drops as CSV files in the format that the contract declares.

    A file that already has the content of the drop stays untouched. `formats` maps `applications`
    and `outcomes` to their formats.
    """

    def __init__(
        self,
        folder: Path,
        log: logging.Logger,
        *,
        is_synthetic: bool,
        formats: Mapping[str, FileFormat],
    ) -> None:
        self._folder, self._log, self._is_synthetic = folder, log, is_synthetic
        self._formats = formats

    def land(self, kind: str, name: str, table: pa.Table) -> tuple[Path, bool]:
        """Write a drop. Return the path of the file, and whether the file had to be written.

        A drop is either real or synthetic. Writing a real drop deletes a synthetic file of the same
        name, and writing a synthetic drop deletes a real file, because otherwise ingestion would
        find two files for one batch.

        Args:
            kind: `applications` or `outcomes`.
            name: batch_id, or the date on which the outcomes land.
            table: rows of the drop, in string columns.

        Raises:
            LoanScoringError: the file cannot be written.
        """
        real, synthetic = f"{name}.csv", f"{name}.synthetic.csv"
        own, other = (synthetic, real) if self._is_synthetic else (real, synthetic)
        path, file_format = self._folder / kind / own, self._formats[kind]
        try:
            is_written = self._write(path, _csv_bytes(table, file_format))
            path.with_name(path.name + DONE).touch()
            replaced = path.with_name(other)
            if replaced.exists():
                self._log.warning("%s: removed, %s takes its place", replaced, path.name)
                replaced.unlink()
                replaced.with_name(other + DONE).unlink(missing_ok=True)
        except OSError as error:
            raise LoanScoringError(f"{path}: cannot be written: {error.strerror}") from error
        except UnicodeEncodeError as error:
            raise LoanScoringError(
                f"{path}: {error.object[error.start : error.end]!r} cannot be written in "
                f"{file_format.encoding}; correct source.encoding in the contract"
            ) from error
        return path, is_written

    def _write(self, path: Path, content: bytes) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if path.stat().st_size == len(content) and path.read_bytes() == content:
                return False
            self._log.warning("%s: replaced, it held other rows", path)
        write_whole(path, content)
        return True


def _csv_bytes(table: pa.Table, file_format: FileFormat) -> bytes:
    """Return a table of string columns as CSV. Only values that need quotes get quotes.

    Without a header, the names of the columns are their positions; a column that has no position is
    left out, because no reader could find it.
    """
    delimiter = DELIMITERS.get(file_format.delimiter, file_format.delimiter)
    header = [pa.table({name: pa.array([name]) for name in table.column_names})]
    if not file_format.header:
        last = max(int(name) for name in table.column_names if name.isdecimal())
        blank = pa.array([""] * table.num_rows, pa.string())
        names = [str(place) for place in range(1, last + 1)]
        table = pa.table({n: table[n] if n in table.column_names else blank for n in names})
        header = []
    lines = [
        line
        for part in (*header, table)
        for line in pc.binary_join_element_wise(
            *(_quoted(texts, delimiter) for texts in part.columns), delimiter
        ).to_pylist()
    ]
    return ("\n".join(lines) + "\n").encode(file_format.encoding)


def _quoted(texts: pa.ChunkedArray, delimiter: str) -> pa.ChunkedArray:
    # Among runs of blanks, a value without any character would be lost.
    pattern = '^$|[ \t"\r\n]' if delimiter == " " else f'[{delimiter}"\r\n]'
    needs_quotes = pc.match_substring_regex(texts, pattern)
    if not pc.any(needs_quotes).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(needs_quotes, pc.binary_join_element_wise('"', doubled, '"', ""), texts)
