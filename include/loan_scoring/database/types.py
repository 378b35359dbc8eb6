"""The types of Arrow and Postgres for the contract's types."""

import pyarrow as pa

ARROW_TYPES = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "category": pa.string(),
    "text": pa.string(),
}
"""Arrow type of each type of the contract."""

POSTGRES_TYPES = {
    "integer": "bigint",
    "number": "double precision",
    "category": "text",
    "text": "text",
}
"""Postgres type of each type of the contract."""
