"""Map the column types of the contract to types of Arrow and of Postgres."""

import pyarrow as pa

ARROW_TYPES = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "money": pa.float64(),
    "percent": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", "UTC"),
    "category": pa.string(),
    "text": pa.string(),
    "uuid": pa.string(),
}
"""Arrow type for each column type of the contract."""

POSTGRES_TYPES = {
    "integer": "bigint",
    "number": "double precision",
    "money": "double precision",
    "percent": "double precision",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamp with time zone",
    "category": "text",
    "text": "text",
    "uuid": "uuid",
}
"""Postgres type for each column type of the contract."""
