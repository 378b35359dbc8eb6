"""Give table `applications` the columns of the contract, with their comments."""

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.schema_state import column_comment, current_state, stale_comments
from loan_scoring.database.types import POSTGRES_TYPES
from loan_scoring.database.unused_columns import drop_unused_columns, unused_columns
from loan_scoring.errors import DatabaseError


def add_columns(connection: Connection, contract: Contract) -> bool:
    """Add the contract's columns that table `applications` lacks. Return whether one was added.

    View `current_applications` gets them too. New columns stand last in the table and in the view,
    so that the view is replaced and not dropped: views of other roles and their grants stay.

    Raises:
        DatabaseError: the contract lacks a column of the table, or has another type for it.
    """
    drop_unused_columns(connection, contract)
    with connection.cursor() as cursor:
        present, key_type = _present(connection)
        _refuse_lost_columns(contract, present, key_type)
        added = [each for each in contract.stored if each.name not in {*present, KEY}]
        cursor.execute("SELECT to_regclass('current_applications') IS NOT NULL")
        has_view = cursor.fetchone() == (True,)
        if has_view and not added:
            return False
        if has_view:
            # A query of the view locks the view first and its tables second. Another order could
            # end in a deadlock with such a query.
            cursor.execute("LOCK TABLE current_applications IN ACCESS EXCLUSIVE MODE")
        for column in added:
            cursor.execute(
                sql.SQL("ALTER TABLE applications ADD COLUMN {} {}").format(
                    sql.Identifier(column.name), sql.SQL(POSTGRES_TYPES[column.type])
                )
            )
        cursor.execute(
            "CREATE OR REPLACE VIEW current_applications AS SELECT a.* FROM applications AS a"
            " JOIN batches AS b USING (batch_id, revision) WHERE b.is_current"
        )
        cursor.execute(
            "COMMENT ON VIEW current_applications IS"
            " 'The accepted applications of each batch''s current revision'"
        )
    return True


def refusal_to_migrate(connection: Connection, contract: Contract) -> str | None:
    """Return why `migrate` would refuse the contract's columns, or None. Nothing is written."""
    with database.transaction(connection):
        gone = {row["name"] for row in unused_columns(connection, contract)}
        present, key_type = _present(connection)
    kept = {name: type_ for name, type_ in present.items() if name not in gone}
    try:
        _refuse_lost_columns(contract, kept, key_type)
    except DatabaseError as error:
        return str(error)
    return None


def _present(connection: Connection) -> tuple[dict[str, str], str]:
    """Return the type of each input column in table `applications`, and that of the key."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = 'applications'"
            " AND column_name NOT IN ('batch_id', 'revision', 'line_number', 'loan_id')"
        )
        present = dict(cursor.fetchall())
        cursor.execute(
            "SELECT typbasetype::regtype::text FROM pg_type WHERE oid = 'loan_key'::regtype"
        )
        key_type = cursor.fetchone()
    return present, key_type[0] if key_type else ""


def comment_columns(connection: Connection, contract: Contract) -> bool:
    """Set the comments that differ from the contract. Return whether one differed.

    COMMENT blocks neither readers nor writers.
    """
    stale = stale_comments(current_state(connection), contract)
    with connection.cursor() as cursor:
        for column in stale:
            cursor.execute(
                sql.SQL("COMMENT ON COLUMN applications.{} IS {}").format(
                    sql.Identifier(column.name), sql.Literal(column_comment(column))
                )
            )
    return bool(stale)


def _refuse_lost_columns(contract: Contract, present: dict[str, str], key_type: str) -> None:
    """Refuse a contract that drops a column or changes a type, because values would be lost.

    Args:
        contract: contract of the portfolio.
        present: name and Postgres type of each input column in table `applications`.
        key_type: Postgres type of domain `loan_key`.

    Raises:
        DatabaseError: the contract drops an input column, or changes the type of an input column
            or of the key.
    """
    advice = (
        "keep the column in the contract as it is, or start anew with `loan-scoring portfolio "
        f"reset {contract.portfolio}`; who develops the product and must keep the rows can write a "
        "migration in sql/migrations"
    )
    wanted = {each.name: POSTGRES_TYPES[each.type] for each in contract.stored}
    for name, type_ in present.items():
        if name not in wanted:
            raise DatabaseError(
                f"{contract.portfolio}.applications has column {name}, the contract does not; "
                f"{advice}"
            )
        if wanted[name] != type_:
            raise DatabaseError(
                f"{contract.portfolio}.applications.{name} is {type_}, "
                f"the contract says {wanted[name]}; {advice}"
            )
    if POSTGRES_TYPES[contract.key.type] != key_type:
        raise DatabaseError(
            f"{contract.portfolio}: the key is {key_type} in the database, "
            f"the contract says {POSTGRES_TYPES[contract.key.type]}; {advice}"
        )
