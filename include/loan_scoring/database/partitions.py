"""Create the monthly partitions of the partitioned tables, such as `applications` and `scores`."""

from psycopg2.extensions import connection as Connection

from loan_scoring import database
from loan_scoring.contract import HISTORY as HISTORY
from loan_scoring.errors import GoneError


def ensure_partition(connection: Connection, table: str, batch_id: str) -> None:
    """Create the partition of `table` for the month of `batch_id` if it is missing, and commit.

    The SQL function `create_partition` creates an empty table and attaches this table as a
    partition. Attaching blocks neither readers nor writers of `table`, whereas CREATE TABLE ...
    PARTITION OF would wait until all readers and writers have finished. `create_partition` runs
    with the rights of the schema's owner, because the application's role may not create tables.

    Raises:
        GoneError: retention has dropped rows of the batch's month.
    """
    with database.transaction(connection), connection.cursor() as cursor:
        refuse_dropped(connection, batch_id)
        if not _exists(connection, partition_name(table, batch_id)):
            cursor.execute("SELECT create_partition(%s, %s)", (table, batch_id))


def refuse_dropped(connection: Connection, batch_id: str) -> None:
    """Refuse work on a batch if retention has dropped the batch's applications or scores.

    Raises:
        GoneError: retention has dropped a partition that held rows of the batch.
    """
    gone = database.rows(connection, "select_dropped", batch_id=batch_id)
    if gone:
        what = " and ".join(row["table_name"] for row in gone)
        raise GoneError(
            f"the rows of batch {batch_id} are gone: {gone[0]['dropped_by']} dropped the {what} of "
            f"{batch_id[:7]} on {gone[0]['dropped_at']:%Y-%m-%d}, by retention; its counts, drift "
            "and performance are kept, and it can be neither ingested, scored nor measured again"
        )


def partition_name(table: str, batch_id: str) -> str:
    """Return the name of the partition of `table` that holds the rows of `batch_id`.

    Callers COPY directly into the partition. This takes 25 % to 50 % less time than COPY into the
    table, because Postgres need not look up the partition of each row. Postgres refuses rows that
    belong to another partition.
    """
    return partition_bounds(table, batch_id)[0]


def partition_bounds(table: str, batch_id: str) -> tuple[str, str, str]:
    """Return the name, lower bound (inclusive) and upper bound (exclusive) of a batch's partition.

    Both bounds are values of `batch_id`.

    >>> partition_bounds("scores", "2026-12-05")
    ('scores_2026_12', '2026-12-01', '2027-01-01')
    >>> partition_bounds("scores", "history")
    ('scores_history', 'history', 'history~')
    """
    if batch_id == HISTORY:
        return f"{table}_{HISTORY}", HISTORY, f"{HISTORY}~"
    year, month = int(batch_id[:4]), int(batch_id[5:7])
    after = f"{year + month // 12:04d}-{month % 12 + 1:02d}-01"
    return f"{table}_{year:04d}_{month:02d}", f"{year:04d}-{month:02d}-01", after


def _exists(connection: Connection, name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_class"
            " WHERE relname = %s AND relnamespace = current_schema()::regnamespace)",
            (name,),
        )
        found = cursor.fetchone()
        return bool(found and found[0])
