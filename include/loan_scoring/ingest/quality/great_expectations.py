"""Judge a landed revision with Great Expectations, on counts that Postgres takes in one pass.

Great Expectations would plan a graph of metrics and several queries for each expectation, 50 ms a
column. So this module counts what the expectations ask for in one query, hands the counts to
them, and they judge and render. Rows stay in Postgres, so the memory of the process does not grow
with the batch (docs/adr/0063).
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

from psycopg2 import sql

from loan_scoring.counted import described
from loan_scoring.database.session import Session
from loan_scoring.errors import DatabaseError
from loan_scoring.ingest.quality.expectations import Expectation

COUNTS_ONLY = {
    "result_format": "BASIC",
    "partial_unexpected_count": 0,
    "exclude_unexpected_values": True,
}
"""The result format with which Great Expectations shows counts, but no single values."""

ROWS, COLUMNS, NULLS = "table.row_count", "table.columns", "column_values.nonnull.unexpected_count"
UNKNOWN, OUTSIDE = "column_values.in_set.unexpected_count", "column_values.between.unexpected_count"
DISTINCT = "column.unique_proportion"
"""Names of Great Expectations' metrics that the expectations of this project ask for."""

Metrics = Mapping[tuple[str, str | None], Any]
"""Values of metrics, by the name of the metric and of its column."""


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
    """Judge a revision, and return the verdict on each expectation and an HTML page.

    The page is the validation page of Great Expectations' Data Docs.

    Raises:
        DatabaseError: an expectation asks for a metric that is not counted.
    """
    gx = _great_expectations()
    metrics = count_metrics(session, batch_id, revision, expectations)
    engine = gx.PandasExecutionEngine()
    results = [_judge(gx, engine, each, metrics) for each in expectations]
    verdicts = [
        _verdict(session, batch_id, revision, each, result)
        for each, result in zip(expectations, results, strict=True)
    ]
    statistics = gx.calc_validation_statistics(results)
    outcome = gx.ExpectationSuiteValidationResult(
        success=statistics.success,
        results=results,
        suite_name=session.contract.portfolio,
        statistics={
            "evaluated_expectations": statistics.evaluated_expectations,
            "successful_expectations": statistics.successful_expectations,
            "unsuccessful_expectations": statistics.unsuccessful_expectations,
            "success_percent": statistics.success_percent,
        },
        meta={"great_expectations_version": gx.version, "batch_id": batch_id, "revision": revision},
    )
    page = gx.DefaultJinjaPageView().render(gx.ValidationResultsPageRenderer().render(outcome))
    return verdicts, str(page)


@cache
def _great_expectations() -> Any:
    """Import what is needed of Great Expectations, quietly."""
    # The log level is set before the import, because the import logs a line for each function.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # Hide the deprecation warnings of the import, because users cannot act on them.
        warnings.simplefilter("ignore")
        import great_expectations as gx
        from great_expectations.core.expectation_validation_result import (
            ExpectationSuiteValidationResult,
        )
        from great_expectations.execution_engine.pandas_execution_engine import (
            PandasExecutionEngine,
        )
        from great_expectations.expectations.expectation_configuration import (
            ExpectationConfiguration,
        )
        from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
        from great_expectations.render.view.view import DefaultJinjaPageView
        from great_expectations.validator.validation_statistics import calc_validation_statistics

    return SimpleNamespace(
        version=gx.__version__,
        calc_validation_statistics=calc_validation_statistics,
        DefaultJinjaPageView=DefaultJinjaPageView,
        ExpectationConfiguration=ExpectationConfiguration,
        ExpectationSuiteValidationResult=ExpectationSuiteValidationResult,
        PandasExecutionEngine=PandasExecutionEngine,
        ValidationResultsPageRenderer=ValidationResultsPageRenderer,
    )


class _MetricsOfOne(dict[Any, Any]):
    """The metrics of one expectation, which Great Expectations looks up by their identity.

    An expectation of this project is about at most one column, so the name of a metric is enough.
    """

    def __init__(self, expectation: Expectation, metrics: Metrics) -> None:
        super().__init__()
        self.expectation, self.metrics = expectation, metrics

    def __contains__(self, key: Any) -> bool:
        return True

    def __getitem__(self, key: Any) -> Any:
        name = key.metric_name
        if name.endswith(".unexpected_values"):
            return []  # the result format has no single values, so they are not read
        column = None if name in (ROWS, COLUMNS) else self.expectation.column
        if (name, column) not in self.metrics:
            wanted = f"{self.expectation.name}: Great Expectations wants {name}"
            raise DatabaseError(f"{wanted}, which is not counted")
        return self.metrics[name, column]


def _judge(gx: Any, engine: Any, expectation: Expectation, metrics: Metrics) -> Any:
    """Let Great Expectations judge an expectation by the counts, and return its result."""
    judged = gx.ExpectationConfiguration(**configuration(expectation)).to_domain_obj()
    return judged.metrics_validate(
        _MetricsOfOne(expectation, metrics),
        runtime_configuration={"result_format": COUNTS_ONLY},
        execution_engine=engine,
    )


def count_metrics(
    session: Session, batch_id: str, revision: int, expectations: Sequence[Expectation]
) -> Metrics:
    """Return the metrics that the expectations ask for, counted in one pass over a revision."""
    columns = list(dict.fromkeys(each.column for each in expectations if each.column))
    counted: dict[tuple[str, str | None], sql.Composable] = {(ROWS, None): sql.SQL("count(*)")}
    for name in columns:
        counted[NULLS, name] = sql.SQL("count(*) - count({})").format(sql.Identifier(name))
    for each in expectations:
        if each.kind == "expect_column_proportion_of_unique_values_to_be_between":
            counted[DISTINCT, each.column] = sql.SQL("count(DISTINCT {})").format(
                sql.Identifier(str(each.column))
            )
        elif (condition := _unexpected(each)) is not None:
            metric = UNKNOWN if "value_set" in each.limits else OUTSIDE
            counted[metric, each.column] = sql.SQL("count(*) FILTER (WHERE {})").format(condition)
    # An array, because a query returns at most 1,664 columns.
    query = sql.SQL("SELECT ARRAY[{}] {}").format(
        sql.SQL(", ").join(counted.values()), _revision(batch_id, revision)
    )
    with session.connection.cursor() as cursor:
        cursor.execute(query)
        metrics: dict[tuple[str, str | None], Any] = dict(
            zip(counted, cursor.fetchall()[0][0], strict=True)
        )
        cursor.execute("SELECT * FROM applications LIMIT 0")
        metrics[COLUMNS, None] = [each.name for each in cursor.description or ()]
    for key, value in list(metrics.items()):
        if key[0] == DISTINCT:
            known = metrics[ROWS, None] - metrics[NULLS, key[1]]
            metrics[key] = value / known if known else 0
    return metrics


def _unexpected(expectation: Expectation) -> sql.Composable | None:
    """Return the SQL condition of the rows that do not meet an expectation on values."""
    column, limits = sql.Identifier(str(expectation.column)), expectation.limits
    if "value_set" in limits:
        return sql.SQL("{} <> ALL ({})").format(column, sql.Literal(limits["value_set"]))
    if expectation.kind != "expect_column_values_to_be_between":
        return None
    bounds = [
        sql.SQL(f"{{}} {sign} {{}}").format(column, sql.Literal(limits[name]))
        for name, sign in (("min_value", "<"), ("max_value", ">"))
        if limits[name] is not None
    ]
    return sql.SQL(" OR ").join(bounds)


def _revision(batch_id: str, revision: int) -> sql.Composable:
    return sql.SQL("FROM applications WHERE batch_id = {} AND revision = {}").format(
        sql.Literal(batch_id), sql.Literal(revision)
    )


def configuration(expectation: Expectation) -> dict[str, Any]:
    """Return an expectation as the arguments of Great Expectations' configuration."""
    terms = dict(expectation.limits)
    if expectation.column:
        terms["column"] = expectation.column
    return {
        "type": expectation.kind,
        "kwargs": terms,
        "severity": expectation.severity,
        "meta": {"name": expectation.name},
    }


def _verdict(
    session: Session, batch_id: str, revision: int, expectation: Expectation, found: Any
) -> ExpectationVerdict:
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
        text = _unknown_levels(session, batch_id, revision, expectation)
    return ExpectationVerdict(
        expectation, is_success, unexpected / rows if rows else 0.0, unexpected, text
    )


def _unknown_levels(
    session: Session, batch_id: str, revision: int, expectation: Expectation
) -> str:
    query = sql.SQL(
        "SELECT {column} {revision} AND {column} <> ALL ({levels}) GROUP BY {column}"
        " ORDER BY count(*) DESC, {column} LIMIT 10"
    ).format(
        column=sql.Identifier(str(expectation.column)),
        revision=_revision(batch_id, revision),
        levels=sql.Literal(expectation.limits["value_set"]),
    )
    with session.connection.cursor() as cursor:
        cursor.execute(query)
        return ", ".join(f"a text of {described(row[0])}" for row in cursor.fetchall())
