"""Write the files of a replay into the landing folder, so that no reader sees a partial file.

A drop is the content of one such file: the applications or the outcomes of one date.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from loan_scoring.contract import FileFormat
from loan_scoring.database.files import write_whole
from loan_scoring.errors import LoanScoringError
from loan_scoring.ingest.deliveries import DONE
from loan_scoring.ingest.files.csv_writing import csv_bytes


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
            is_written = self._write(path, csv_bytes(table, file_format))
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
