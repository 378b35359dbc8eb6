"""Write the queue of a scoring run, which the page Desk lists, sorts and filters.

The queue is a copy. If it is missing or has other columns than the contract, it is written again.
"""

import logging
from typing import Any

from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.contract.desk import desk_columns
from loan_scoring.database.session import Session

log = logging.getLogger(__name__)

ANALYZED_ROWS = 5000
"""Rows from which on new statistics are gathered. Shorter queues are quick with any plan."""
NO_NESTED_LOOP = "SET LOCAL enable_nestloop = off"
"""Keeps the planner from a nested loop over the whole batch.

It has no statistics of rows that were just written, takes them for one row, and then compares each
row of the batch with each: minutes for 333,334 loans. Both tables have an index in the order of
loan_id, so it merges them.
"""


def is_filled(session: Session, run: database.Row) -> bool:
    """Return whether the queue of a scoring run has the columns of the contract."""
    found = database.row(
        session.connection, "select_queue_state", scoring_run_id=run["scoring_run_id"]
    )
    return found == queue_columns(session.contract)


def fill_queue(session: Session, run: database.Row) -> None:
    """Write the queue of a scoring run, in a transaction of its own, unless it is there.

    The rows of an earlier run of the batch are deleted.

    Args:
        session: session of the application role.
        run: row of the current scoring run of a batch, with `revision`.
    """
    values: dict[str, Any] = {name: run[name] for name in ("scoring_run_id", "batch_id")}
    columns = queue_columns(session.contract)
    with database.transaction(session.connection):
        database.lock(session.connection, f"queue:{run['batch_id']}")
        if is_filled(session, run):
            return
        database.execute(session.connection, "delete_queue", **values)
        with session.connection.cursor() as cursor:
            cursor.execute(NO_NESTED_LOOP)
            cursor.execute(insert_queue(columns), values | {"revision": run["revision"]})
            applications = cursor.rowcount
            database.execute(
                session.connection, "insert_queue_state",
                applications=applications, **values, **columns,
            )  # fmt: skip
            if applications >= ANALYZED_ROWS:
                database.execute(session.connection, "analyze_queue")
    log.info("%s: %s applications for a person", run["scoring_run_id"], applications)


def queue_columns(contract: Contract) -> dict[str, Any]:
    """Return the columns of the queue, as in table `desk_queues`."""
    return {
        "columns": [column.name for column in desk_columns(contract)],
        "amount_column": contract.desk_rules["amount_column"],
    }


def insert_queue(columns: dict[str, Any]) -> sql.Composable:
    """Return the statement that writes the queue of a scoring run.

    Args:
        columns: columns of the queue, as `queue_columns` returns them.
    """

    def number(name: str | None) -> sql.Composable:
        if name is None:
            return sql.SQL("NULL::double precision")
        return sql.SQL("a.{}::double precision").format(sql.Identifier(name))

    return sql.SQL(
        "INSERT INTO desk_queue (batch_id, scoring_run_id, loan_id, decision, default_probability,"
        " grade, persona, persona_default_rate, exclusion_reason, reasons, amount, numbers)"
        " SELECT s.batch_id, s.scoring_run_id, s.loan_id, s.decision, s.default_probability,"
        " s.grade, s.persona, s.persona_default_rate, s.exclusion_reason,"
        " array_remove(ARRAY[s.reason_1, s.reason_2, s.reason_3, s.reason_4], NULL),"
        " {amount}, ARRAY[{numbers}]::double precision[]"
        " FROM scores AS s JOIN applications AS a ON a.batch_id = %(batch_id)s"
        " AND a.revision = %(revision)s AND a.loan_id = s.loan_id"
        " WHERE s.batch_id = %(batch_id)s AND s.scoring_run_id = %(scoring_run_id)s"
        " AND s.decision IN ('review', 'refer') ORDER BY s.loan_id"
    ).format(
        amount=number(columns["amount_column"]),
        numbers=sql.SQL(", ").join(map(number, columns["columns"])),
    )
