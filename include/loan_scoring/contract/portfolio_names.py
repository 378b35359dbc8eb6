"""Say which names a portfolio may have."""

from loan_scoring.contract.columns import NAME


def check_portfolio_name(portfolio: str) -> None:
    """Check that a name can be a portfolio's.

    Raises:
        ValueError: the name is no identifier, or Postgres or MLflow needs it.
    """
    if not NAME.fullmatch(portfolio):
        raise ValueError(
            f"'{portfolio}' is not a valid portfolio name: use lower-case letters, digits and _"
        )
    if portfolio in ("mlflow", "public", "information_schema") or portfolio.startswith("pg_"):
        raise ValueError(
            f"'{portfolio}' is a schema of Postgres or MLflow, or kept for one; choose another "
            "portfolio name that does not begin with pg_"
        )
