"""Write a table of texts as CSV in the format that a contract declares."""

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import FileFormat

DELIMITERS = {"auto": ",", "tab": "\t", "blank": " "}


def csv_bytes(table: pa.Table, file_format: FileFormat) -> bytes:
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
