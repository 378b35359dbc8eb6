"""Check that the sources of columns fit together, and fit the format of the files."""

from collections.abc import Sequence

from loan_scoring.contract.columns import KEY, Column
from loan_scoring.contract.file_formats import FileFormat
from loan_scoring.contract.outcomes import Target
from loan_scoring.contract.parts import first_repeated


def check_sources(source_format: FileFormat, columns: Sequence[Column], target: Target) -> None:
    """Check that sources are declared once, and are positions if the files have no header.

    Raises:
        ValueError: a source is declared twice, or is no position where a position is needed.
    """
    sources = [source for column in columns for source in column.sources]
    repeated = first_repeated(sources)
    if repeated is not None:
        raise ValueError(f"columns: source '{repeated}' is declared twice")
    if any(column.made_from for column in columns) and KEY in sources:
        raise ValueError(
            f"columns.{KEY}.made_from: the file has a column {KEY}; declare it as the key"
        )
    declared = [(f"columns.{c.name}", source) for c in columns for source in c.sources]
    declared.append(("target", target.source))
    for place, source in declared:
        is_position = source.isascii() and source.isdecimal() and source[0] != "0"
        if not source_format.header and not is_position:
            raise ValueError(
                f"{place}.source: '{source}' is a name, but source.header is false; give the "
                "position of the column, from 1"
            )
    folded = {source.casefold() for _, source in declared}
    if source_format.ignore_case and len(folded) < len(declared):
        raise ValueError(
            "source.ignore_case: two sources differ by letter case only; set it to false"
        )
