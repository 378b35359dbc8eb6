"""Files with odd headers or odd cells are read, or refused with a line that shows what is odd."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loan_scoring.errors import SourceError
from loan_scoring.ingest.files.table import open_table

MARK = b"\xef\xbb\xbf"


def read(path: Path, wanted: tuple[str, ...], block_bytes: int = 1 << 20) -> tuple:
    """Return rows, line numbers, undeclared columns, and malformed records of a file."""
    with open_table(path, wanted, block_bytes=block_bytes) as table:
        blocks = list(table)
        extra = table.header.extra
    rows = [tuple(row.values()) for block in blocks for row in block.table.to_pylist()]
    lines = [int(line) for block in blocks for line in block.line_numbers]
    malformed = [(m.line_number, m.raw_text, m.reason) for b in blocks for m in b.malformed]
    return rows, lines, extra, malformed


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# Headers


@pytest.mark.parametrize(
    ("header", "extra"),
    [
        (b"Nr,Income,,", ["(no name) (2 times)"]),
        (b"Nr,Income, ,x", ["(no name)", "x"]),
        (b"Nr,Income,note,note", ["note (2 times)"]),
        (b'Nr,Income,"a\nb",\xe2\x80\x8bx', [r"a\nb", r"\u200bx"]),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 5, 1 << 20])
def test_undeclared_columns_without_a_name_of_their_own_are_kept_out_and_reported(
    tmp_path: Path, header: bytes, extra: list[str], block_bytes: int
) -> None:
    path = write(tmp_path / "f.csv", header + b"\n1,100,,\n2,200,p,q\n")
    rows, lines, found, malformed = read(path, ("Nr", "Income"), block_bytes)
    first = 2 + header.count(b"\n")
    assert (rows, lines) == ([("1", "100"), ("2", "200")], [first, first + 1])
    assert (found, malformed) == (extra, [])


def test_a_column_without_a_name_is_read_by_its_position(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", b",Income,\n1,100,\n2,200,q\n")
    rows, _, extra, _ = read(path, ("column 1", "Income"))
    assert (rows, extra) == ([("1", "100"), ("2", "200")], ["(no name)"])
    named = write(tmp_path / "g.csv", b"note,column 1,\n1,100,\n")
    rows, _, extra, _ = read(named, ("column 1",))
    assert (rows, extra) == ([("100",)], ["note", "(no name)"])


def test_undeclared_columns_of_parquet_are_kept_out_and_reported(tmp_path: Path) -> None:
    arrays = [pa.array([n]) for n in range(5)]
    names = ["Nr", "note", "note", "", ""]
    pq.write_table(pa.Table.from_arrays(arrays, names=names), tmp_path / "f.parquet")
    rows, _, extra, _ = read(tmp_path / "f.parquet", ("Nr",))
    assert (rows, extra) == ([("0",)], ["note (2 times)", "(no name) (2 times)"])


@pytest.mark.parametrize("start", [b"", MARK])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("delimiter", [b",", b";", b"\t"])
@pytest.mark.parametrize("block_bytes", [1, 3, 1 << 20])
def test_quoted_line_end_is_part_of_the_header(
    tmp_path: Path, start: bytes, line_end: bytes, delimiter: bytes, block_bytes: int
) -> None:
    header = [b'"Income\n(EUR; ""net"")"', b"Nr", b"x"]
    lines = [delimiter.join(header), delimiter.join([b"100", b"1", b"2"]), b""]
    path = write(tmp_path / "f.csv", start + line_end.join(lines))
    rows, numbers, extra, _ = read(path, ("Nr", 'Income\n(EUR; "net")'), block_bytes)
    assert (rows, numbers, extra) == ([("1", "100")], [3], ["x"])


@pytest.mark.parametrize("name", [b'In"come', b'"In"come', b'"Income', b'"Income\n"x'])
def test_misplaced_quote_of_a_header_costs_no_row(tmp_path: Path, name: bytes) -> None:
    path = write(tmp_path / "f.csv", b"Nr," + name + b'\n1,"100"\n2,"20"\n')
    rows, *_ = read(path, ("Nr",))
    assert rows[-2:] == [("1",), ("2",)]


@pytest.mark.parametrize(
    ("header", "wanted", "message"),
    [
        ("\u200bNr,Income", "Nr", r"column Nr missing from the header (found '\u200bNr')"),
        ("Nr ,Income", "Nr", "(found 'Nr ')"),
        ("NR,Income", "Nr", "(found 'NR')"),
        ("\u039dr,N r,Income", "Nr", "(found 'N r', much alike: column 1)"),
        ("Gro\u0308ße,Income", "Größe", r"(found 'Gro\u0308ße')"),
        ('"Income\r\n(EUR)",Income', "Income (EUR)", r"(found 'Income\r\n(EUR)')"),
        ("Loan_amnt,Income", "loan_amount", "(found much alike: column 1)"),
        ("x,y,Income", "Nr", "column Nr missing from the header; add"),
        ("Nr,Nr,Income", "Nr", "column Nr twice in the header"),
        ('"a\nb","a\nb",Income', "a\nb", r"column a\nb twice in the header"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_missing_column_names_the_nearest_ones(
    tmp_path: Path, header: str, wanted: str, message: str, suffix: str
) -> None:
    path = tmp_path / f"f.{suffix}"
    if suffix == "csv":
        write(path, f"{header}\n1,2,3\n".encode())
    else:
        names = [name.strip('"') for name in header.split(",")]
        pq.write_table(pa.Table.from_arrays([pa.array([1])] * len(names), names=names), path)
    with pytest.raises(SourceError) as caught:
        read(path, (wanted, "Income"))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


# Cells of Parquet


def text_with_bytes(*cells: bytes) -> pa.Array:
    """Return a column of strings that are not UTF-8, as other programs write them."""
    values = pa.array(cells, pa.binary())
    return pa.StringArray.from_buffers(len(cells), *values.buffers()[1:])


@pytest.mark.parametrize("type_", ["binary", "string", "dictionary"])
def test_one_bad_cell_of_parquet_costs_its_own_row(tmp_path: Path, type_: str) -> None:
    cells = (b"a", b"b\xff", "Zürich".encode(), b"c\x00")
    column = {
        "binary": pa.array(cells, pa.binary()),
        "string": text_with_bytes(*cells),
        "dictionary": pa.array(cells, pa.binary()).dictionary_encode(),
    }[type_]
    pq.write_table(pa.table({"Nr": [1, 2, 3, 4], "Job": column}), tmp_path / "f.parquet")
    rows, lines, _, malformed = read(tmp_path / "f.parquet", ("Nr", "Job"))
    assert (rows, lines) == ([("1", "a"), ("3", "Zürich")], [2, 4])
    assert malformed == [(3, r"2,b\xff", "encoding"), (5, r"4,c\x00", "encoding")]
    as_csv = write(tmp_path / "f.csv", b"Nr,Job\n1,a\n2,b\xff\n3,Z\xc3\xbcrich\n4,c\x00\n")
    assert read(as_csv, ("Nr", "Job"))[0::3] == (rows, malformed)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([90], pa.duration("s")), "column x is duration"),
        (pa.array([[1]]), "column x is list<element: int64>; deliver one value per row"),
        (pa.array([b"0123456789abcdef"], pa.binary(16)).cast(pa.uuid()), "deliver text or numbers"),
    ],
)
def test_value_whose_text_would_mislead_is_refused(
    tmp_path: Path, column: pa.Array, message: str
) -> None:
    pq.write_table(pa.table({"x": column}), tmp_path / "f.parquet")
    with pytest.raises(SourceError) as caught:
        read(tmp_path / "f.parquet", ("x",))
    assert message in str(caught.value)


def test_numbers_of_parquet_keep_their_digits(tmp_path: Path) -> None:
    columns = {
        "float64": pa.array([812345678901.0, 0.1, None, -5.0, 1e22]),
        "float32": pa.array([16777215.0, 0.5, None, -5.0, 2.0**40], pa.float32()),
        "decimal": pa.array(
            [Decimal(n) for n in ("1.50", "2", "0", "4", "5")], pa.decimal128(9, 2)
        ),
    }
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    rows, *_ = read(tmp_path / "f.parquet", tuple(columns))
    assert rows == [
        ("812345678901", "16777215", "1.50"),
        ("0.1", "0.5", "2.00"),
        ("", "", "0.00"),
        ("-5", "-5", "4.00"),
        ("1e+22", "1.0995116e+12", "5.00"),
    ]


# Files that are small and stand for much


@pytest.mark.attack
@pytest.mark.parametrize("is_dictionary", [True, False])
def test_a_parquet_file_that_expands_too_far_is_refused(
    tmp_path: Path, is_dictionary: bool
) -> None:
    texts = pa.array(["x" * 100_000] * 2_000)
    table = pa.table({"Nr": [str(n) for n in range(2_000)], "Job": texts})
    path = tmp_path / "f.parquet"
    pq.write_table(table, path, compression="zstd", use_dictionary=["Job"] * is_dictionary)
    assert path.stat().st_size < 100_000
    with pytest.raises(SourceError, match="like a zip bomb; if it is genuine"):
        read(path, ("Nr", "Job"))


@pytest.mark.attack
def test_long_texts_of_parquet_are_read_a_part_of_the_rows_at_a_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    texts = [rng.bytes(30_000).hex() for _ in range(2_000)]
    table = pa.table({"Nr": range(2_000), "Job": texts})
    pq.write_table(table, tmp_path / "f.parquet")
    with open_table(tmp_path / "f.parquet", ("Nr", "Job"), block_bytes=1 << 30) as opened:
        blocks = list(opened)
    assert len(blocks) > 1
    assert max(each.table.nbytes for each in blocks) < 80 << 20
    assert [int(n) for each in blocks for n in each.line_numbers] == list(range(2, 2_002))
    found = pa.concat_tables([each.table for each in blocks])
    assert found.column("Job").to_pylist() == texts
    assert found.column("Nr").to_pylist() == [str(n) for n in range(2_000)]


@pytest.mark.attack
def test_a_row_of_parquet_that_is_longer_than_a_line_may_be_is_refused(tmp_path: Path) -> None:
    texts = ["short", np.random.default_rng(1).bytes(40 << 20).hex()]
    pq.write_table(pa.table({"Nr": [1, 2], "Job": texts}), tmp_path / "f.parquet")
    with pytest.raises(SourceError, match="row 3 is longer than 16 MB"):
        read(tmp_path / "f.parquet", ("Nr", "Job"))


def test_few_levels_in_many_rows_are_no_bomb(tmp_path: Path) -> None:
    rows = 300_000
    table = pa.table({"Nr": range(rows), "Job": ["self-employed, with staff"] * rows})
    pq.write_table(table, tmp_path / "f.parquet", compression="zstd")
    found, _, _, malformed = read(tmp_path / "f.parquet", ("Job",))
    assert (len(found), {*found}, malformed) == (rows, {("self-employed, with staff",)}, [])
