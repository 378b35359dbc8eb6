"""Take files of the tables that a contract declares under `lookups`.

Rows are only added. A row has a moment at which it was known, so that a later delivery with more
rows never changes what an earlier application could have known.
"""

import hashlib
import json
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import Contract, Lookup
from loan_scoring.database.session import Session
from loan_scoring.database.types import POSTGRES_TYPES
from loan_scoring.errors import SourceError
from loan_scoring.features.lookups import lookup_keys
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.landing import source_label
from loan_scoring.ingest.lookup_files import find_lookup, landed_files
from loan_scoring.ingest.parsing.columns import Broken, parse_column
from loan_scoring.ingest.parsing.numbers import as_mask
from loan_scoring.ingest.row_rules import any_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TakenLookup:
    """A delivery of a look-up, with its row counts.

    `received` equals `added` + `unchanged` + `left_out` + the rows in `refused`, which counts rows
    by their first broken rule. If `is_unchanged`, the file was taken before and read by the same
    rules, and nothing was added now.
    """

    lookup: str
    source: str
    received: int
    added: int
    unchanged: int
    left_out: int
    refused: dict[str, int]
    is_unchanged: bool = False


def take_landed_lookups(session: Session, by: str) -> list[TakenLookup]:
    """Take each file in the landing folders of look-ups that was not taken yet, oldest name first.

    Raises:
        PassingSourceError: a file is not whole yet.
        SourceError, ContractError: as for `take_lookup`.
    """
    return [
        take_lookup(session, lookup.name, path, by, is_landed=True)
        for lookup in session.contract.lookups
        for path in landed_files(session.contract, lookup)
    ]


def take_lookup(
    session: Session, name: str, location: str | Path, by: str, *, is_landed: bool = False
) -> TakenLookup:
    """Add the rows of a file to a look-up, in one transaction, and return the counts.

    A row that breaks a rule is not taken, and is counted by the rule. A row that is known already
    is not added again.

    Args:
        session: database session of the role that ingests.
        name: name of the look-up.
        location: path or URL of the file.
        by: who, such as `cli:USER`.
        is_landed: whether nobody named the file, so that it is taken only once. A file that a
            person names is taken again if other files of the look-up were taken since.

    Raises:
        ContractError: the contract has no such look-up.
        SourceError: the file cannot be read, too many rows break a rule, or two rows have the same
            key and the same moment, but other values.
    """
    contract, connection = session.contract, session.connection
    lookup = find_lookup(contract, name)
    wanted = [
        *lookup.key.values(),
        *lookup.where,
        *(column.sources[0] for column in lookup.columns),
    ]
    wanted += [lookup.known_at.source] if lookup.known_at else []
    rules = lookup_rules_sha256(contract, lookup)
    with (
        open_table(location, list(dict.fromkeys(wanted)), file_format=lookup.source) as table,
        database.transaction(connection),
    ):
        # Deliveries are taken one at a time, because a scoring run reads all up to a number.
        database.lock(connection, "lookups")
        identity = {"lookup": name, "sha256": table.sha256, "rules_sha256": rules}
        taken = database.row(connection, "select_taken_lookup", **identity)
        if taken is not None and (is_landed or taken["is_last"]):
            counts = {each: taken[each] for each in ("received", "added", "unchanged", "left_out")}
            return TakenLookup(
                name, source_label(location), **counts, refused=taken["refused"], is_unchanged=True
            )
        database.execute(connection, "create_landed_lookup")
        _add_columns(session, lookup)
        received = left_out = 0
        refused: Counter[str] = Counter()
        for block in table:
            rows, broken, skipped = _checked(contract, lookup, block)
            database.copy_in(connection, "landed_lookup", rows.column_names, rows)
            received += block.table.num_rows + len(block.malformed)
            left_out += skipped
            refused += broken
        _refuse_too_many(contract, location, received, refused)
        landed = received - left_out - refused.total()
        _refuse_changed(session, lookup, location, rules)
        repeated = database.execute(connection, "delete_known_lookup_rows", lookup=name)
        counts = {
            "received": received,
            "added": landed - repeated,
            "unchanged": repeated,
            "left_out": left_out,
        }
        delivery = database.row(
            connection,
            "insert_lookup_delivery",
            **identity,
            **counts,
            source=source_label(location),
            refused=json.dumps(refused),
            delivered_by=by,
        )
        assert delivery is not None  # noqa: S101 - INSERT ... RETURNING returns the new row
        database.execute(connection, "insert_lookup_rows", lookup=name, **delivery)
    if refused:
        log.warning("look-up %s: refused rows by rule: %s", name, dict(refused))
    return TakenLookup(name, source_label(location), **counts, refused=dict(refused))


def lookup_rules_sha256(contract: Contract, lookup: Lookup) -> str:
    """Return the SHA-256 of all fields of a contract that affect how a look-up's file is read."""
    parts = [
        lookup.model_dump_json(
            exclude={
                "name": True,
                "as_of": True,
                "columns": {"__all__": {"label", "unit", "known", "level_labels"}},
            }
        ),
        contract.schedules.timezone,
        *(contract.by_name[name].type for name in lookup.key),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _add_columns(session: Session, lookup: Lookup) -> None:
    with session.connection.cursor() as cursor:
        for column in lookup.columns:
            cursor.execute(
                sql.SQL("ALTER TABLE landed_lookup ADD COLUMN {} {}").format(
                    sql.Identifier(column.name), sql.SQL(POSTGRES_TYPES[column.type])
                )
            )


def _checked(
    contract: Contract, lookup: Lookup, block: Block
) -> tuple[pa.Table, Counter[str], int]:
    """Return the accepted rows of a block, the refused rows by rule, and the number left out."""
    broken: Broken = []
    parts = []
    for name, source in lookup.key.items():
        # The key is read as the application's column is, so that 007 and 7 are one integer.
        column = contract.by_name[name].model_copy(
            update={"source": source, "levels": None, "range": None}
            | ({"open_levels": True} if contract.by_name[name].type == "category" else {})
        )
        part, faults = parse_column(column, block)
        parts.append(part)
        broken += faults
        unreadable = any_of([mask for _, mask in faults], len(part))
        broken.append((f"null_key:{name}", as_mask(part.is_null()) & ~unreadable))
    known_at, faults = _known_at(contract, lookup, block)
    broken += faults
    columns: dict[str, pa.Array] = {}
    for column in lookup.columns:
        columns[column.name], faults = parse_column(column, block, contract.schedules.timezone)
        broken += faults
    rows = block.table.num_rows
    is_meant = np.ones(rows, dtype=bool)
    for source, texts in lookup.where.items():
        given = pc.utf8_trim_whitespace(block.table.column(source).combine_chunks())
        is_meant &= as_mask(pc.is_in(given, value_set=pa.array(texts, pa.string())))
    counts: Counter[str] = Counter(each.reason for each in block.malformed)
    is_good = is_meant.copy()
    for rule, mask in broken:  # a row counts once, under its first broken rule
        counts[rule] += int((mask & is_good).sum())
        is_good &= ~mask
    table = pa.table(
        {
            "_key": lookup_keys(parts),
            "_known_at": known_at,
            "_line": pa.array(block.line_numbers),
            **columns,
        }
    )
    return table.filter(pa.array(is_good)), +counts, int((~is_meant).sum())


def _known_at(contract: Contract, lookup: Lookup, block: Block) -> tuple[pa.Array, Broken]:
    """Return when each row was known, as Postgres reads it, and the rules that the dates break."""
    if lookup.known_at is None:
        return pa.repeat("-infinity", block.table.num_rows), []
    column = lookup.known_at.column
    moments, faults = parse_column(column, block, contract.schedules.timezone)
    unreadable = any_of([mask for _, mask in faults], len(moments))
    faults.append((f"null_date:{column.name}", as_mask(moments.is_null()) & ~unreadable))
    # A date is the midnight that begins it in UTC.
    return moments.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")), faults


def _refuse_too_many(
    contract: Contract, location: str | Path, received: int, refused: Counter[str]
) -> None:
    limit = contract.ingest.max_quarantined_share
    if refused.total() > limit * received:
        rules = ", ".join(f"{rule} {rows}" for rule, rows in refused.most_common(3))
        raise SourceError(
            f"{location_label(location)}: {refused.total()} of {received} rows break a rule "
            f"({rules}), more than ingest.max_quarantined_share {limit:g}; correct the file or "
            "the contract; nothing was taken"
        )


def _refuse_changed(session: Session, lookup: Lookup, location: str | Path, rules: str) -> None:
    """Refuse a file in which a key has two rows of one moment with different values.

    Rows of a static table may change from delivery to delivery, because they have no moment.
    """
    found = database.row(
        session.connection,
        "select_changed_lookup_rows",
        lookup=lookup.name,
        rules_sha256=rules,
        is_dated=lookup.known_at is not None,
    )
    if found is None:
        return
    other = "an earlier line" if found["differs_in_file"] else "an earlier delivery"
    if lookup.known_at is None:
        mend = "declare known_at, or choose rows by where"
        when = ""
    else:
        mend = "give a corrected row the date on which the correction was known"
        when = f" and {lookup.known_at.source}"
    raise SourceError(
        f"{location_label(location)}, line {found['line_number']}: its key{when} has other "
        f"values in {other} ({found['rows']} such rows); {mend}; nothing was taken"
    )
