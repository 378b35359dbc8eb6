"""Rows read with COPY are the same, however many blocks their text is converted in."""

import pyarrow as pa
import pytest
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.database import copying
from loan_scoring.database.session import Session

pytestmark = pytest.mark.integration

QUERY = sql.SQL(
    "SELECT n, CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'two\nlines, \"quoted\"'"
    " ELSE 'text ' || n END FROM generate_series(1, 1000) AS n ORDER BY n"
)
TYPES = {"n": pa.int64(), "text": pa.string()}


def test_blocks_end_with_rows_and_lose_nothing(
    empty: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = database.copy_out(empty.connection, QUERY, TYPES)
    assert whole.column("text").to_pylist()[:5] == ["", 'two\nlines, "quoted"', "text 3", "text 4",
                                                    None]  # fmt: skip
    monkeypatch.setattr(copying, "BLOCK_BYTES", 100)
    blocks = database.copy_out(empty.connection, QUERY, TYPES)
    assert blocks.column("n").num_chunks > 10
    assert blocks.combine_chunks() == whole.combine_chunks()
    none = database.copy_out(empty.connection, sql.SQL("SELECT 1, 'a' WHERE false"), TYPES)
    assert none == pa.schema(list(TYPES.items())).empty_table()
