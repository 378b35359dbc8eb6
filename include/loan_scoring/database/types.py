"""Map the column types of the contract to types of Arrow and of Postgres."""

import pyarrow as pa

ARROW_TYPES = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "category": pa.string(),
    "text": pa.string(),
    "uuid": pa.string(),
}
"""Arrow type for each column type of the contract."""

POSTGRES_TYPES = {
    "integer": "bigint",
    "number": "double precision",
    "category": "text",
    "text": "text",
    "uuid": "uuid",
}
"""Postgres type for each column type of the contract."""
