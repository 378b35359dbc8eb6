"""Drop columns of table `applications` that nothing depends on and that the contract changed."""

import logging

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.types import POSTGRES_TYPES

log = logging.getLogger(__name__)


def unused_columns(connection: Connection, contract: Contract) -> list[database.Row]:
    """Return the unused columns that the contract lacks or gives another type."""
    wanted = {column.name: POSTGRES_TYPES[column.type] for column in contract.stored}
    return [
        row
        for row in database.rows(connection, "select_application_columns")
        if wanted.get(row["name"]) != row["type"]
        and (row["is_feature"] or not _is_used(connection, row["name"]))
    ]


def drop_unused_columns(connection: Connection, contract: Contract) -> None:
    """Drop columns that the contract lacks or gives another type, if the columns are unused.

    A column is unused if no published application has a value in the column, and no model uses it.
    The column of a stored feature is always unused, because its values are computed from others.
    So nothing is lost, and a wrong declaration can be mended after its first batch was refused. The
    caller adds the columns of the contract that are missing now. Other columns stay as they are.

    Revisions that are landed but not published become refused, because their rows were read by the
    wrong declaration.
    """
    if not unused_columns(connection, contract):
        return
    with connection.cursor() as cursor:  # no other process publishes until the transaction ends
        cursor.execute("LOCK TABLE batches IN SHARE ROW EXCLUSIVE MODE")
    unused = unused_columns(connection, contract)
    if not unused:
        return
    for row in database.rows(connection, "select_landed_revisions"):
        database.execute(connection, "delete_landed_rows", **row)
        database.execute(connection, "refuse_batch", **row)
    rights = database.rows(connection, "select_view_rights")
    with connection.cursor() as cursor:
        cursor.execute("DROP VIEW IF EXISTS current_applications")
        for row in unused:
            cursor.execute(
                sql.SQL("ALTER TABLE applications DROP COLUMN {}").format(
                    sql.Identifier(row["name"])
                )
            )
            log.warning(
                "%s.applications: column %s of type %s was dropped; no value of it was published",
                contract.portfolio,
                row["name"],
                row["type"],
            )
        cursor.execute(
            "CREATE VIEW current_applications AS SELECT a.* FROM applications AS a"
            " JOIN batches AS b USING (batch_id, revision) WHERE b.is_current"
        )
        cursor.execute(
            "COMMENT ON VIEW current_applications IS"
            " 'The accepted applications of each batch''s current revision'"
        )
        for row in rights:
            cursor.execute(
                sql.SQL("GRANT {} ON current_applications TO {}").format(
                    sql.SQL(row["privilege"]),
                    sql.Identifier(row["role"]) if row["role"] else sql.SQL("PUBLIC"),
                )
            )


def _is_used(connection: Connection, name: str) -> bool:
    """Return whether a published application has a value in a column, or a model uses it."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT EXISTS (SELECT FROM applications AS a JOIN batches AS b"
                " USING (batch_id, revision)"
                " WHERE b.state NOT IN ('landed', 'refused') AND a.{} IS NOT NULL)"
                " OR EXISTS (SELECT FROM models WHERE %s = ANY (features))"
            ).format(sql.Identifier(name)),
            (name,),
        )
        return cursor.fetchone() == (True,)
