"""Join the look-ups of a contract to applications, as of the date of each application.

A row of a look-up that was known later than the application never reaches the application, also if
a later delivery brings more rows. Of several known rows with the key, the latest known is taken.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import HISTORY, Contract, Lookup
from loan_scoring.database.session import Session
from loan_scoring.database.types import ARROW_TYPES, POSTGRES_TYPES
from loan_scoring.errors import StateError

SEPARATOR = "\x1f"
"""The character between the parts of a composite key."""
BATCH = "batch_id"
"""The column with the batch of each application, where applications of several are read."""
MICROSECONDS = 86_400_000_000
"""Microseconds of a day."""
ALWAYS = -(1 << 62)
"""The moment since which a row of a static table is known."""


@dataclass(frozen=True)
class KnownBy:
    """What may be known of the look-ups.

    `day` is the business date, for look-ups without `as_of`. It is None if the applications have a
    column `batch_id` instead, or are those of `history`. `delivery_id` is the last delivery that
    may be read, or None for all.
    """

    day: date | None = None
    delivery_id: int | None = None


def last_delivery(session: Session) -> int | None:
    """Return the number of the last delivery of look-ups. Return None if there is none."""
    found = database.row(session.connection, "select_last_lookup_delivery")
    return None if found is None else found["delivery_id"]


def join_lookups(
    session: Session, table: pa.Table, names: Iterable[str], known_by: KnownBy
) -> pa.Table:
    """Return a table with the columns of look-ups that the named columns need, joined.

    An application without a key, without a date, or with an unknown key gets nulls.

    Args:
        session: database session, whose contract declares the look-ups.
        table: applications with all columns of the file that the named columns need.
        names: names of columns, which may be columns of a file, of look-ups, or features.
        known_by: what may be known.

    Raises:
        StateError: an application of `history` has no date for a look-up that needs one.
    """
    contract = session.contract
    needed = contract.derived.closure(names)
    for lookup in contract.lookups:
        wanted = [column.name for column in lookup.columns if column.name in needed]
        if not wanted:
            continue
        keys = lookup_keys([table.column(name).combine_chunks() for name in lookup.key])
        rows = _rows(session, lookup, wanted, keys, known_by.delivery_id)
        moments, has_date = _moments(contract, lookup, table, known_by)
        known_at = rows.column("known_at").combine_chunks()
        place = places_as_of(
            keys,
            moments,
            rows.column("key").combine_chunks(),
            known_at_moments(contract, lookup, known_at),
            rows.column("delivery_id").to_numpy(),
        )
        found = pa.array(place, mask=(place < 0) | ~has_date)
        for name in wanted:
            table = table.append_column(name, rows.column(name).combine_chunks().take(found))
    return table


def lookup_keys(parts: Sequence[pa.Array]) -> pa.Array:
    """Return keys as table `lookup_rows` holds them. A key with a null part is null."""
    texts = [part.cast(pa.string()) for part in parts]
    return pc.binary_join_element_wise(*texts, SEPARATOR) if len(texts) > 1 else texts[0]


def places_as_of(
    keys: pa.Array,
    moments: np.ndarray,
    row_keys: pa.Array,
    row_moments: np.ndarray,
    deliveries: np.ndarray,
) -> np.ndarray:
    """Return for each application the index of its row in a look-up, or -1 if no row was known.

    The row is the one with the application's key that was known last, and not after the moment of
    the application. Of two rows with the same moment, the later delivery counts.

    Args:
        keys: key of each application, shape (applications,).
        moments: moment of each application, shape (applications,), int64.
        row_keys: key of each row, shape (rows,).
        row_moments: when each row was known, shape (rows,), int64.
        deliveries: number of each row's delivery, shape (rows,).
    """
    if not len(row_keys):
        return np.full(len(keys), -1)
    coded = row_keys.dictionary_encode()
    codes = coded.indices.to_numpy().astype(np.int64)
    wanted = pc.index_in(keys, value_set=coded.dictionary).fill_null(-1).to_numpy().astype(np.int64)
    order = np.lexsort((deliveries, row_moments, codes))
    # Moments are replaced by their ranks, so that key and moment fit into one number.
    every = np.unique(np.concatenate([row_moments, moments]))
    rows = codes * len(every) + np.searchsorted(every, row_moments)
    applications = wanted * len(every) + np.searchsorted(every, moments)
    last = np.searchsorted(rows[order], applications, side="right") - 1
    place = order[np.maximum(last, 0)]
    return np.where((last >= 0) & (wanted >= 0) & (codes[place] == wanted), place, -1)


def known_at_moments(contract: Contract, lookup: Lookup, known_at: pa.Array) -> np.ndarray:
    """Return when rows were known, as numbers that compare with the moments of applications.

    Both are days if one of them is only a day, and else microseconds.

    Args:
        contract: contract of the portfolio.
        lookup: look-up of the rows.
        known_at: microseconds since 1970, as table `lookup_rows` has them, int64.
    """
    moments = known_at.to_numpy()
    if lookup.known_at is None or _is_by_moment(contract, lookup):
        return np.asarray(moments)
    if lookup.known_at.type == "date":
        return np.asarray(moments // MICROSECONDS)
    return _local_days(known_at.cast(pa.timestamp("us", "UTC")), contract.schedules.timezone)


def _is_by_moment(contract: Contract, lookup: Lookup) -> bool:
    return (
        lookup.known_at is not None
        and lookup.known_at.type == "datetime"
        and lookup.as_of is not None
        and contract.by_name[lookup.as_of].type == "datetime"
    )


def _moments(
    contract: Contract, lookup: Lookup, table: pa.Table, known_by: KnownBy
) -> tuple[np.ndarray, np.ndarray]:
    """Return the moment of each application, and a mask of the applications that have one."""
    rows = table.num_rows
    if lookup.known_at is None:
        return np.zeros(rows, dtype=np.int64), np.ones(rows, dtype=bool)
    if lookup.as_of is None:
        return _business_days(lookup, table, known_by), np.ones(rows, dtype=bool)
    dates = table.column(lookup.as_of).combine_chunks()
    has_date = dates.is_valid().to_numpy(zero_copy_only=False)
    if _is_by_moment(contract, lookup):
        moments = dates.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        return moments.fill_null(ALWAYS).to_numpy(), has_date
    if pa.types.is_timestamp(dates.type):
        return _local_days(dates, contract.schedules.timezone), has_date
    return dates.cast(pa.int32()).fill_null(0).to_numpy().astype(np.int64), has_date


def _business_days(lookup: Lookup, table: pa.Table, known_by: KnownBy) -> np.ndarray:
    if known_by.day is not None:
        day = np.datetime64(known_by.day, "D").astype(np.int64)
        return np.full(table.num_rows, day, dtype=np.int64)
    if BATCH not in table.column_names:
        names = [HISTORY]
    else:
        batches = table.column(BATCH).combine_chunks().dictionary_encode()
        names = batches.dictionary.to_pylist()
    if HISTORY in names:
        raise StateError(
            f"look-up {lookup.name} has known_at, but applications of history have no business "
            f"date; name the column with their date in lookups.{lookup.name}.as_of"
        )
    days = np.array(names, dtype="datetime64[D]").astype(np.int64)
    return np.asarray(days[batches.indices.to_numpy()])


def _local_days(moments: pa.Array, timezone: str) -> np.ndarray:
    local = moments.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", timezone))
    micros = pc.local_timestamp(local).cast(pa.int64()).fill_null(ALWAYS).to_numpy()
    return np.asarray(micros // MICROSECONDS)


def _rows(
    session: Session, lookup: Lookup, wanted: list[str], keys: pa.Array, delivery_id: int | None
) -> pa.Table:
    """Return the rows of a look-up with the given keys, with the wanted columns.

    Further columns are `key`, `known_at` (microseconds since 1970) and `delivery_id`.
    """
    contract = session.contract
    chosen = keys.unique().drop_null().to_pylist()
    columns = {name: contract.by_name[name].type for name in wanted}
    query = sql.SQL(
        "SELECT key, CASE WHEN isfinite(known_at)"
        " THEN (extract(epoch FROM known_at) * 1000000)::bigint ELSE {always} END, delivery_id,"
        " {columns} FROM lookup_rows WHERE lookup = {lookup} AND key = ANY ({keys})"
        " AND delivery_id <= {delivery_id}"
    ).format(
        always=sql.Literal(ALWAYS),
        columns=sql.SQL(", ").join(
            sql.SQL("(values ->> {})::{}").format(sql.Literal(name), sql.SQL(POSTGRES_TYPES[type_]))
            for name, type_ in columns.items()
        ),
        lookup=sql.Literal(lookup.name),
        keys=sql.SQL("{}::text[]").format(sql.Literal(chosen)),
        delivery_id=sql.Literal((1 << 63) - 1 if delivery_id is None else delivery_id),
    )
    types = {"key": pa.string(), "known_at": pa.int64(), "delivery_id": pa.int64()}
    types |= {name: ARROW_TYPES[type_] for name, type_ in columns.items()}
    return database.copy_out(session.connection, query, types)
