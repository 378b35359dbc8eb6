"""Check a landed revision with Great Expectations, which lets Postgres count the rows.

Great Expectations queries counts over a view of the revision, most of them in one query. Rows stay
in Postgres, so the memory of the process does not grow with the batch (docs/adr/0007).
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from loan_scoring import database
from loan_scoring.counted import described
from loan_scoring.database.session import Session
from loan_scoring.errors import DatabaseError
from loan_scoring.ingest.quality.expectations import Expectation

VIEW = "landed_revision"
URL = "postgresql+psycopg2://session@localhost/session"
"""A placeholder for the URL that Great Expectations requires.

An open connection is passed to Great Expectations, so the URL is not used and needs no password.
"""

COUNTS_ONLY = {
    "result_format": "BASIC",
    "partial_unexpected_count": 0,
    "exclude_unexpected_values": True,
}
"""The result format with which Great Expectations reads and shows counts, but no single values."""


@dataclass(frozen=True)
class ExpectationVerdict:
    """Whether a batch met an expectation, and what was observed.

    - `observed`: observed value, such as a share of nulls or a row count. None for `schema`.
    - `unexpected_count`: number of rows that do not meet the expectation. None if the expectation
      does not judge single rows.
    - `observed_text`: up to 10 unknown levels, or the missing and additional columns. None for all
      other expectations.
    """

    expectation: Expectation
    is_success: bool
    observed: float | None
    unexpected_count: int | None
    observed_text: str | None = None


def validate_revision(
    session: Session, batch_id: str, revision: int, expectations: Sequence[Expectation]
) -> tuple[list[ExpectationVerdict], str]:
    """Check a revision, and return the verdict on each expectation and an HTML page.

    The page is the validation page of Great Expectations' Data Docs.

    Raises:
        DatabaseError: an expectation could not be evaluated.
    """
    # The log level is set before the import, because the import logs a line for each function. The
    # module of ProgressBarsConfig sets its own log level during the import, so this log level is
    # set after the import.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # Hide the deprecation warnings of the import, because users cannot act on them.
        warnings.simplefilter("ignore")
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig
        from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
        from great_expectations.render.view.view import DefaultJinjaPageView
    from sqlalchemy.pool import StaticPool

    logging.getLogger(ProgressBarsConfig.__module__).setLevel(logging.WARNING)
    suite = gx.ExpectationSuite(
        session.contract.portfolio, expectations=[_configuration(each) for each in expectations]
    )
    with _view(session, batch_id, revision) as connection:
        context: Any = gx.get_context(mode="ephemeral")
        context.enable_analytics(False)
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        source = context.data_sources.add_postgres(
            session.contract.portfolio,
            connection_string=URL,
            kwargs={"creator": lambda: connection, "poolclass": StaticPool},
        )
        # A query asset is not used, because Great Expectations would read all rows of the query to
        # find the names of the columns.
        asset = source.add_table_asset(f"{batch_id} revision {revision}", table_name=VIEW)
        batch = asset.add_batch_definition_whole_table(VIEW).get_batch()
        outcome: Any = batch.validate(suite, result_format=COUNTS_ONLY)
        found = {result.expectation_config.meta["name"]: result for result in outcome.results}
        verdicts = [_verdict(connection, each, found[each.name]) for each in expectations]
        page = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(outcome))
    return verdicts, str(page)


@contextlib.contextmanager
def _view(session: Session, batch_id: str, revision: int) -> Iterator[Connection]:
    """Open a second connection with a temporary view of one revision, and yield this connection.

    The session's connection cannot be used, because SQLAlchemy rolls back the connection that it is
    given, and the transaction of the session would be lost.
    """
    connection = database.connect_beside(session.connection)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "CREATE TEMPORARY VIEW {view} AS SELECT * FROM applications"
                    " WHERE batch_id = {batch_id} AND revision = {revision}"
                ).format(
                    view=sql.Identifier(VIEW),
                    batch_id=sql.Literal(batch_id),
                    revision=sql.Literal(revision),
                )
            )
        connection.commit()
        yield connection
    finally:
        connection.close()


def _configuration(expectation: Expectation) -> dict[str, Any]:
    terms = dict(expectation.limits)
    if expectation.column:
        terms["column"] = expectation.column
    return {
        "type": expectation.kind,
        "kwargs": terms,
        "severity": expectation.severity,
        "meta": {"name": expectation.name},
    }


def _verdict(connection: Connection, expectation: Expectation, found: Any) -> ExpectationVerdict:
    if found.exception_info.get("raised_exception", True):
        reason = " ".join(str(found.exception_info.get("exception_message")).split())
        raise DatabaseError(f"Great Expectations could not evaluate {expectation.name}: {reason}")
    result, is_success = found.result, bool(found.success)
    if expectation.rule == "schema":
        expected, found_names = set(expectation.limits["column_set"]), set(result["observed_value"])
        signs = [f"-{name}" for name in sorted(expected - found_names)]
        signs += [f"+{name}" for name in sorted(found_names - expected)]
        return ExpectationVerdict(
            expectation, is_success, None, None, ", ".join(signs) or "as expected"
        )
    if "observed_value" in result:
        return ExpectationVerdict(
            expectation, is_success, float(result["observed_value"] or 0), None
        )
    rows, unexpected = result["element_count"], result["unexpected_count"]
    text = None
    if unexpected and "value_set" in expectation.limits:
        text = _unknown_levels(connection, expectation)
    return ExpectationVerdict(
        expectation, is_success, unexpected / rows if rows else 0.0, unexpected, text
    )


def _unknown_levels(connection: Connection, expectation: Expectation) -> str:
    query = sql.SQL(
        "SELECT {column} FROM {view} WHERE {column} <> ALL ({levels})"
        " GROUP BY {column} ORDER BY count(*) DESC, {column} LIMIT 10"
    ).format(
        column=sql.Identifier(str(expectation.column)),
        view=sql.Identifier(VIEW),
        levels=sql.Literal(expectation.limits["value_set"]),
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return ", ".join(f"a text of {described(row[0])}" for row in cursor.fetchall())
