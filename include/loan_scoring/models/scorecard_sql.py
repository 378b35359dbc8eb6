"""Write a scorecard as one SQL statement that scores the applications in Postgres."""

from typing import Any

from psycopg2 import sql

from loan_scoring.contract import Contract
from loan_scoring.errors import StateError


def scorecard_sql(contract: Contract, card: dict[str, Any]) -> sql.Composable:
    """Return a SELECT that gives exclusion, probability of default and points of each application.

    The probability and the points are null where an exclusion applies, as in a scoring run.

    Args:
        contract: contract with the types of the columns and the exclusions.
        card: scorecard, as `describe_scorecard` returns it.

    Raises:
        StateError: the scorecard reads a feature that is no column of table `applications`.
    """
    used = [each for each in card["columns"] if each["left_out"] is None]
    stored = {column.name for column in contract.stored}
    unknown = [
        each["column"] for each in used if each["column"] not in stored
    ] + [each.column for each in contract.exclusions if each.column not in stored]  # fmt: skip
    if unknown:
        raise StateError(
            f"SQL of the scorecard reads table applications, which has no column {unknown[0]}; "
            "declare stored: true for the feature, or score with loan-scoring"
        )
    log_odds = sql.SQL("\n        + ").join(
        [_number(card["intercept"]), *(_case(contract, each) for each in used)]
    )
    return sql.SQL(
        "SELECT batch_id, revision, loan_id, exclusion_reason,\n"
        "    CASE WHEN exclusion_reason IS NULL THEN 1 / (1 + exp(-log_odds)) END"
        " AS default_probability,\n"
        "    CASE WHEN exclusion_reason IS NULL THEN {offset} - {factor} * log_odds END AS points\n"
        "FROM {applications}\n"
        "CROSS JOIN LATERAL (SELECT {exclusion} AS exclusion_reason,\n    {log_odds} AS log_odds)"
        " AS scorecard;"
    ).format(
        offset=_number(card["offset"]),
        factor=_number(card["factor"]),
        applications=sql.Identifier(contract.portfolio, "applications"),
        exclusion=_exclusion(contract),
        log_odds=log_odds,
    )


def _case(contract: Contract, column: dict[str, Any]) -> sql.Composable:
    """Return the expression that gives what a column adds to the log-odds."""
    name: sql.Composable = sql.Identifier(column["column"])
    kind = contract.by_name[column["column"]].type
    if kind == "boolean":
        name = sql.SQL("{}::integer").format(name)
    if kind != "category":
        name = sql.SQL("{}::double precision").format(name)
    null = next(each for each in column["bins"] if each.get("is_null"))
    parts = [sql.SQL("WHEN {} IS NULL THEN {}").format(name, _number(null["log_odds"]))]
    other = 0.0
    # Codes come before ranges, because a code lies in a range too.
    for each in sorted(column["bins"], key=lambda one: "equals" not in one):
        value = _number(each["log_odds"])
        if "equals" in each:
            test = sql.SQL("{} = {}").format(name, _number(each["equals"]))
        elif each.get("levels"):
            test = sql.SQL("{} IN ({})").format(
                name, sql.SQL(", ").join(map(sql.Literal, each["levels"]))
            )
        elif each.get("below") is not None:
            test = sql.SQL("{} < {}").format(name, _number(each["below"]))
        else:
            other = other if each.get("is_null") else each["log_odds"]
            continue
        parts.append(sql.SQL("WHEN {} THEN {}").format(test, value))
    return sql.SQL("CASE {} ELSE {} END").format(sql.SQL(" ").join(parts), _number(other))


def _exclusion(contract: Contract) -> sql.Composable:
    if not contract.exclusions:
        return sql.SQL("NULL::text")
    tests = [
        sql.SQL("WHEN {} THEN {}").format(
            sql.SQL("{} IS NULL").format(sql.Identifier(each.column))
            if each.is_null
            else sql.SQL("{}::text = {}").format(
                sql.Identifier(each.column), sql.Literal(each.equals)
            ),
            sql.Literal(each.reason),
        )
        for each in contract.exclusions
    ]
    return sql.SQL("CASE {} END").format(sql.SQL(" ").join(tests))


def _number(value: float) -> sql.Composable:
    """Return a number as a literal that Postgres reads as the same double."""
    return sql.SQL("{}::double precision").format(sql.Literal(repr(float(value))))
