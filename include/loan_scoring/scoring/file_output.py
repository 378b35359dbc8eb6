"""Write the two result files after a file is scored: the scores and the refused rows."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from loan_scoring.contract import KEY, Contract
from loan_scoring.database.files import draft_path
from loan_scoring.errors import LoanScoringError
from loan_scoring.ingest.files.blocks import FilePlace
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import SourceTable
from loan_scoring.ingest.row_rules import RejectedRow
from loan_scoring.ingest.spreadsheet import QuarantineSheet


def refused_path(out: Path) -> Path:
    """Return the path of the file of refused rows that belongs to the scores file `out`.

    >>> str(refused_path(Path("new/scores.csv")))
    'new/scores.refused.csv'
    """
    return out.with_name(f"{out.stem}.refused{out.suffix}")


class ScoreFiles:
    """Context manager that writes the scores file and the file of refused rows.

    Both files have temporary names while rows are written. At the end the new files replace the
    files of an earlier run. If no row was refused, the file of refused rows of the earlier run is
    deleted. If an error occurs, the files of the earlier run stay unchanged.
    """

    def __init__(self, out: Path, contract: Contract, table: SourceTable) -> None:
        self.scored = self.referred = self.refused = 0
        self._out, self._contract = out, contract
        self._layout = {"header": table.raw_columns, "delimiter": table.delimiter}
        self._is_several = table.is_several
        self._files = ExitStack()
        self._parts: dict[Path, Path] = {}
        self._writer: pa.csv.CSVWriter | None = None
        self._sheet: QuarantineSheet | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with _writing(self._out):
                self._files.close()
                if kind is None:
                    # Replace the scores last, so that new scores are never visible together with an
                    # old file of refused rows.
                    self._replace(refused_path(self._out))
                    self._replace(self._out)
        finally:
            for part in self._parts.values():
                part.unlink(missing_ok=True)

    def add(self, keys: pa.ChunkedArray, scores: pa.Table, versions: tuple[str, str]) -> None:
        """Write a block of scores.

        Args:
            keys: loan_id of each row.
            scores: score columns, with one row for each key.
            versions: version of the propensity model and version of the personas model.
        """
        rows = len(keys)
        columns = {name: scores.column(name) for name in scores.column_names}
        propensity, personas = (pa.repeat(version, rows) for version in versions)
        written = pa.table(
            {
                KEY: keys,
                **columns,
                "propensity_version": propensity,
                "personas_version": personas,
            }
        )
        with _writing(self._out):
            if self._writer is None:
                self._writer = self._files.enter_context(
                    pa.csv.CSVWriter(
                        self._open(self._out, "wb"),
                        written.schema,
                        write_options=pa.csv.WriteOptions(quoting_header="none"),
                    )
                )
            self._writer.write_table(written)
        referred = pc.count(scores.column("exclusion_reason")).as_py()
        self.referred += referred
        self.scored += rows - referred

    def refuse(self, rejected: list[RejectedRow], place: FilePlace) -> None:
        """Write rejected rows to the file of refused rows, in the format of a quarantine export.

        Args:
            rejected: rows of one block.
            place: the file of the block.
        """
        path = refused_path(self._out)
        with _writing(path):
            for each in sorted(rejected, key=lambda each: each.line_number):
                if self._sheet is None:
                    file = self._open(path, "w", encoding="utf-8", newline="")
                    self._sheet = QuarantineSheet(
                        file, self._contract, [], self._layout, with_file=self._is_several
                    )
                line = each.line_number - place.first_line + 1
                self._sheet.add(replace(each, line_number=line), place.name)
        self.refused += len(rejected)

    def _open(self, path: Path, mode: str, **options: str) -> Any:
        # Resolve the path, because otherwise the new file would replace a symbolic link instead of
        # the file that the link points to.
        self._parts[path] = part = draft_path(path.resolve())
        return self._files.enter_context(part.open(mode, **options))  # type: ignore[call-overload]

    def _replace(self, path: Path) -> None:
        if path in self._parts:
            self._parts[path].replace(path.resolve())
        else:
            path.unlink(missing_ok=True)


def refuse_to_replace(table: SourceTable, location: str | Path, path: Path) -> None:
    """Raise an error if writing a result file to a path would destroy something.

    Args:
        table: open source file that is being scored.
        location: path or URL of the source file, for the error message.
        path: path of the result file.

    Raises:
        LoanScoringError: the path exists and is not a regular file, or is a file that is being
            scored.
    """
    with _writing(path):
        if path.exists() and not path.is_file():
            raise LoanScoringError(f"{path}: this is not a regular file; name another --out")
        if table.reads(path):
            raise LoanScoringError(
                f"{path}: this file is being scored ({location_label(location)}) and would be "
                "replaced; name another --out"
            )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LoanScoringError(f"{path}: cannot be written: {error.strerror or error}") from error
