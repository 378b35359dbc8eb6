"""Write the loans of the benchmarks into two CSV files, of which the second has TIMES the rows."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from loan_scoring.contract import Contract
from loan_scoring.errors import SourceError
from loan_scoring.ingest.files.locations import is_synthetic, location_label
from loan_scoring.ingest.files.table import open_table
from loan_scoring.lab.source import resolve_source
from loan_scoring.lab.synthetic import generate_loans

TIMES = 10


@dataclass(frozen=True)
class BenchLoans:
    """Labelled loans of a portfolio in CSV files that have the contract's columns and target."""

    contract: Contract
    source: str
    """File, URL or description of the loans. Generated loans begin with `synthetic`."""
    rows: int
    file: Path
    tenfold: Path
    """File that repeats the rows of `file` TIMES times, each time with other keys."""


def prepare_loans(contract: Contract, folder: Path, source: str | None = None) -> BenchLoans:
    """Write labelled loans into two CSV files in a folder. Generate loans if there is no source.

    Raises:
        SourceError: `source` or LOAN_SCORING_SOURCE is set and cannot be read, or a key is not an
            integer although the contract says so.
    """
    location = resolve_source(contract, source)
    columns = [*(column.source for column in contract.columns), contract.target.source]
    if location is None:
        rows = contract.replay.generated_rows
        origin = f"synthetic: generated from the contract {contract.portfolio}"
        table = generate_loans(contract, rows, contract.training.seed).select(columns)
    else:
        origin = f"{'synthetic: ' * is_synthetic(location)}{location_label(location)}"
        with open_table(location, columns, encoding=contract.source.encoding) as found:
            table = pa.concat_tables([block.table for block in found])
    file, tenfold = folder / "loans.csv", folder / f"loans_x{TIMES}.csv"
    try:
        write_loans(table, contract, file, 1)
        write_loans(table, contract, tenfold, TIMES)
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{origin}: column {contract.key.source} has a value that is not of type "
            f"{contract.key.type}; give a file without faults"
        ) from error
    return BenchLoans(contract, origin, table.num_rows, file, tenfold)


def write_loans(table: pa.Table, contract: Contract, path: Path, times: int = 1) -> None:
    """Write a table `times` times into one CSV file, each time with other keys."""
    key = contract.key
    place = table.column_names.index(key.source)
    keys = table.column(place)
    with path.open("wb") as file:
        for turn in range(times):
            if turn and key.type == "integer":
                numbers = keys.cast(pa.int64())
                span = pc.max(numbers).as_py() - pc.min(numbers).as_py() + 1
                moved = pc.add(numbers, turn * span).cast(pa.string())
            else:
                moved = pc.binary_join_element_wise(keys, f"-{turn}", "") if turn else keys
            # Write quotes only where needed, because most real files of loans contain no quotes.
            pa.csv.write_csv(
                table.set_column(place, key.source, moved),
                file,
                pa.csv.WriteOptions(include_header=turn == 0, quoting_style=_style(table)),
            )


def _style(table: pa.Table) -> str:
    """Return the quoting style for the CSV writer: `none` if no value needs quotes, or `needed`."""
    needs = (pc.any(pc.match_substring_regex(c, '[",\r\n]')).as_py() for c in table.columns)
    return "needed" if any(needs) else "none"
