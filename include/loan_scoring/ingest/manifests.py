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
from loan_scoring.counted import described
from loan_scoring.errors import NoRowsError, PassingSourceError, SourceError
from loan_scoring.ingest.deliveries import is_empty_marker
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.files.columns import Header
from loan_scoring.ingest.files.locations import Location, scheme_of
from loan_scoring.ingest.files.table import ReadFile, SourceTable, open_applications
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
    read_files: Sequence[ReadFile] = ()
    declared_rows = 0

    def __init__(self, path: Path) -> None:
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Block]:
        return iter(())


Manifests = Sequence[Manifest | None]
"""The manifest of each file of a table, or None for a file without manifest."""


def open_delivery(
    contract: Contract, location: Location, wanted: Sequence[str], optional: Sequence[str] = ()
) -> tuple[SourceTable | EmptyDelivery, Manifests]:
    """Open a landed batch as a table, or a declared empty date as a table without rows.

    Of several files, those that are declared empty are left out. Return the table, and the manifest
    of each of its files.

    Args:
        contract: contract of the portfolio.
        location: path or URL of the file.
        wanted: source columns that the file must have.
        manifest: manifest of the file.
        optional: source columns that the file may lack.

    Raises:
        SourceError: a file cannot be read, lacks a column, or has no rows and is not declared
            empty.
    """
    manifests = read_manifests(contract, location)
    if not isinstance(location, tuple):
        if _is_empty(contract, Path(location), manifests[0], wanted):
            return EmptyDelivery(Path(location)), manifests
        table = open_applications(contract, location, wanted, optional)
        return table, manifests
    found = [
        (path, manifest)
        for path, manifest in zip(location, manifests, strict=True)
        if not _is_empty(contract, path, manifest, wanted)
    ]
    if not found:
        return EmptyDelivery(location[0]), manifests[:1]
    files = tuple(path for path, _ in found)
    kept = [manifest for _, manifest in found]
    return open_applications(contract, files, wanted, optional), kept


def _is_empty(
    contract: Contract, path: Path, manifest: Manifest | None, wanted: Sequence[str]
) -> bool:
    """Return whether a file has no rows, and is declared to have none."""
    if is_empty_marker(path) and path.is_file():
        return True
    if manifest is None or manifest.rows != 0:
        return False
    if path == manifest.path:
        return True
    try:
        with open_applications(contract, path, wanted):
            return False
    except NoRowsError:
        return True


def read_manifests(
    contract: Contract, location: Location, *, with_totals: bool = True
) -> list[Manifest | None]:
    """Read the manifest of each file of a location, as `read_manifest` does."""
    if isinstance(location, tuple):
        return [read_manifest(contract, path, with_totals=with_totals) for path in location]
    return [read_manifest(contract, location, with_totals=with_totals)]


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
            given = f"a text of {described(str(found[name]))}" if name in found else "missing"
            raise SourceError(
                f"{path}: {name} is {given} in the manifest; "
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
    """The blocks of a table, whose rows and control totals are counted when they are read first.

    Iterate over all blocks, then call `check`.
    """

    def __init__(
        self, contract: Contract, table: SourceTable | EmptyDelivery, manifests: Manifests
    ) -> None:
        self._contract, self._table, self._manifests = contract, table, manifests
        self._rows = [0] * len(manifests)
        self._totals = [dict.fromkeys(each.totals if each else (), 0.0) for each in manifests]
        self._is_read = False

    def __iter__(self) -> Iterator[Block]:
        is_first, self._is_read = not self._is_read, True
        for block in self._table:
            number = block.place.number
            if is_first and number < len(self._manifests):
                self._rows[number] += block.records
                totals = self._totals[number]
                for name in totals:
                    values, _ = parse_column(self._contract.by_name[name], block)
                    totals[name] += pc.sum(values).as_py() or 0
            yield block

    def check(self) -> None:
        """Compare each file with its manifest, after all records were read.

        Raises:
            PassingSourceError: a figure differs. A retry may help if the file is still arriving.
        """
        for number, manifest in enumerate(self._manifests):
            if manifest is None:
                continue
            told = [
                f"{what} {found} and the manifest {says}"
                for what, found, says, is_same in self._compared(manifest, number)
                if not is_same
            ]
            if told:
                raise PassingSourceError(
                    f"{manifest.path}: the file is not the one of its manifest: "
                    f"{'; '.join(told)}; deliver both again"
                )

    def _compared(self, manifest: Manifest, number: int) -> Iterator[tuple[str, str, str, bool]]:
        rows = self._rows[number]
        if manifest.rows is not None:
            is_same = rows == manifest.rows
            yield "the file has", f"{rows:,} rows", f"{manifest.rows:,}", is_same
        if manifest.sha256 is not None and not isinstance(self._table, EmptyDelivery):
            own, says = self._table.read_files[number].sha256, manifest.sha256.lower()
            yield "its SHA-256 is", f"{own[:12]}…", f"{says[:12]}…", own == says
        for name, total in self._totals[number].items():
            sender = manifest.totals[name]
            # The sum of many amounts differs in its last digits with the order of the rows.
            is_same = math.isclose(total, sender, rel_tol=1e-9, abs_tol=0.005)
            yield f"the sum of {name} is", f"{total:,.2f}", f"{sender:,.2f}", is_same
