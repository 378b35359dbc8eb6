"""Compare a landed file with its manifest: row count, SHA-256 and control totals."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.errors import NoRowsError, PassingSourceError, SourceError
from loan_scoring.ingest.deliveries import is_empty_marker
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.files.columns import Header
from loan_scoring.ingest.files.locations import scheme_of
from loan_scoring.ingest.files.table import SourceTable, open_table
from loan_scoring.ingest.parsing.columns import parse_column


@dataclass(frozen=True)
class Manifest:
    """What the sender says of a file. A figure that the contract does not ask for is None."""

    path: Path
    rows: int | None
    sha256: str | None
    totals: dict[str, float] = field(default_factory=dict)
    """The sum of a column over all rows of the file, by the column's name in the contract."""


class EmptyDelivery:
    """The table of a date that is declared empty: it has a SHA-256, and no rows."""

    raw_columns: Sequence[str] = ()
    delimiter = ","
    header = Header([], [], [])

    def __init__(self, path: Path) -> None:
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Block]:
        return iter(())


def open_delivery(
    contract: Contract,
    location: str | Path,
    wanted: Sequence[str],
    manifest: Manifest | None,
    optional: Sequence[str] = (),
) -> SourceTable | EmptyDelivery:
    """Open a landed file as a table, or a declared empty date as a table without rows.

    Args:
        contract: contract of the portfolio.
        location: path or URL of the file.
        wanted: source columns that the file must have.
        manifest: manifest of the file.
        optional: source columns that the file may lack.

    Raises:
        SourceError: the file cannot be read, lacks a column, or has no rows and is not declared
            empty.
    """
    path = Path(location)
    if is_empty_marker(path) and path.is_file():
        return EmptyDelivery(path)
    is_empty = manifest is not None and manifest.rows == 0
    if manifest is not None and is_empty and path == manifest.path:
        return EmptyDelivery(path)
    try:
        return open_table(location, wanted, encoding=contract.source.encoding, optional=optional)
    except NoRowsError:
        if is_empty:
            return EmptyDelivery(path)
        raise


def read_manifest(
    contract: Contract, location: str | Path, *, with_totals: bool = True
) -> Manifest | None:
    """Read the manifest of a file. Return None if the contract declares none, or for a URL.

    The manifest is a JSON object, or a CSV file with a header and one line. Control totals are
    read only of files of applications, because files of outcomes have no amounts.

    Raises:
        SourceError: the manifest lacks a field that the contract names, or a field has a wrong
            value.
    """
    policy = contract.ingest.manifest
    if policy is None or scheme_of(location) is not None:
        return None
    path = Path(location)
    if not path.name.endswith(policy.ending):
        path = path.with_name(path.name + policy.ending)
    if not path.is_file():
        return None
    found = _fields(path)

    def read(name: str | None, kind: type) -> Any:
        if name is None:
            return None
        try:
            return kind(str(found[name]).strip())
        except (KeyError, ValueError):
            raise SourceError(
                f"{path}: {name} is {found.get(name, 'missing')!r} in the manifest; "
                "correct it, or ingest.manifest in the contract"
            ) from None

    sums = policy.totals if with_totals else {}
    totals = {column: read(name, float) for column, name in sums.items()}
    return Manifest(path, read(policy.rows, int), read(policy.sha256, str), totals)


def _fields(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip().startswith("{"):
            return dict(json.loads(text))
        lines = list(csv.DictReader(io.StringIO(text)))
    except (ValueError, csv.Error, OSError) as error:
        raise PassingSourceError(f"{path}: the manifest cannot be read: {error}") from error
    if len(lines) != 1:
        raise PassingSourceError(
            f"{path}: the manifest has {len(lines)} lines below its header; give one, or JSON"
        )
    return dict(lines[0])


class CheckedRows:
    """The blocks of a table, whose control totals are added up when they are read first.

    Iterate over all blocks, then call `check`.
    """

    def __init__(
        self, contract: Contract, table: SourceTable | EmptyDelivery, manifest: Manifest | None
    ) -> None:
        self._contract, self._table, self._manifest = contract, table, manifest
        self._totals = dict.fromkeys(manifest.totals if manifest else (), 0.0)
        self._is_read = False

    def __iter__(self) -> Iterator[Block]:
        is_first, self._is_read = not self._is_read, True
        for block in self._table:
            for name in self._totals if is_first else ():
                values, _ = parse_column(self._contract.by_name[name], block)
                self._totals[name] += pc.sum(values).as_py() or 0
            yield block

    def check(self, rows: int) -> None:
        """Compare the file with its manifest, after its `rows` records were read.

        Raises:
            PassingSourceError: a figure differs. A retry may help if the file is still arriving.
        """
        manifest = self._manifest
        if manifest is None:
            return
        told = [
            f"{what} {found} and the manifest {says}"
            for what, found, says, is_same in self._compared(manifest, rows)
            if not is_same
        ]
        if told:
            raise PassingSourceError(
                f"{manifest.path}: the file is not the one of its manifest: {'; '.join(told)}; "
                "deliver both again"
            )

    def _compared(self, manifest: Manifest, rows: int) -> Iterator[tuple[str, str, str, bool]]:
        if manifest.rows is not None:
            is_same = rows == manifest.rows
            yield "the file has", f"{rows:,} rows", f"{manifest.rows:,}", is_same
        if manifest.sha256 is not None and not isinstance(self._table, EmptyDelivery):
            own, says = self._table.sha256, manifest.sha256.lower()
            yield "its SHA-256 is", f"{own[:12]}…", f"{says[:12]}…", own == says
        for name, total in self._totals.items():
            sender = manifest.totals[name]
            # The sum of many amounts differs in its last digits with the order of the rows.
            is_same = math.isclose(total, sender, rel_tol=1e-9, abs_tol=0.005)
            yield f"the sum of {name} is", f"{total:,.2f}", f"{sender:,.2f}", is_same
