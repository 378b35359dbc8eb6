"""Define and run `contract init`, `check`, `diff` and `schema`, and `portfolio reset`."""

import argparse
from dataclasses import asdict
from typing import Any

from loan_scoring import settings
from loan_scoring.cli.common import Handler, account_name, add_command
from loan_scoring.errors import ContractError


def add_contract_commands(commands: Any) -> None:
    """Add the commands `contract` and `portfolio` and their subcommands to the command line."""

    def group(name: str, help_: str) -> Any:
        return commands.add_parser(name, help=help_, description=help_).add_subparsers(
            required=True, metavar="COMMAND"
        )

    def command(
        inner: Any, name: str, handler: Handler, help_: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        return add_command(inner, name, handler, help_, *parents)

    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print a machine-readable result")
    url = argparse.ArgumentParser(add_help=False)
    url.add_argument("--database", metavar="URL", help="default: LOAN_SCORING_DATABASE_URL")
    contract = group("contract", "draft, check and compare contracts")
    init = command(
        contract, "init", _init, "draft the contract of a new portfolio from a file", as_json
    )
    init.add_argument("source", metavar="FILE-OR-URL", help="labelled loans")
    init.add_argument("--portfolio", required=True, metavar="NAME")
    init.add_argument(
        "--key",
        metavar="COLUMN[,COLUMN]",
        help="the column with the number of the loan, several that form it together, or row or "
        "line to make it; default: looked for",
    )
    init.add_argument(
        "--target", metavar="COLUMN", help="the column with the outcome; default: looked for"
    )
    check = command(
        contract, "check", _check, "show all mistakes of a contract, and read a file by it", as_json
    )
    check.add_argument("portfolio", metavar="NAME")
    check.add_argument(
        "--source", metavar="FILE-OR-URL", help="default: only the contract is checked"
    )
    diff = command(
        contract,
        "diff",
        _diff,
        "show what changed in a contract, and what that will do",
        as_json,
        url,
    )
    diff.add_argument("portfolio", metavar="NAME")
    command(contract, "schema", _schema, "print the JSON Schema of contracts, for editors", as_json)
    portfolio = group("portfolio", "start a portfolio anew")
    reset = command(
        portfolio,
        "reset",
        _reset,
        "delete all that the database holds of a portfolio",
        as_json,
        url,
    )
    reset.add_argument("portfolio", metavar="NAME")
    reset.add_argument(
        "--confirm", metavar="NAME", help="the name again: needed once a batch was published"
    )


def _init(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.drafting.start import start_contract

    done = start_contract(options.source, options.portfolio, options.key, options.target)
    return {
        **asdict(done),
        "text": f"{done.path}: drafted from {done.rows:,} rows and {done.columns} columns, "
        f"contract.schema.json beside it; {done.todos} places marked TODO ask you something.\n"
        "Answer them, then run\n"
        f"  loan-scoring contract check {options.portfolio} --source {options.source}",
    }


def _check(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.drafting.report import check_contract

    path = settings.portfolios_dir() / f"{options.portfolio}.yaml"
    if not path.is_file():
        raise ContractError(
            f"no contract {path}; `loan-scoring contract init FILE --portfolio "
            f"{options.portfolio}` drafts one"
        )
    return check_contract(path, options.source)


def _diff(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.drafting.difference import compare_contract
    from loan_scoring.local.postgres import portfolio_database_url

    url = portfolio_database_url(options.database or settings.database_url())
    return compare_contract(options.portfolio, url)


def _schema(_: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.drafting.schema import contract_schema, schema_text

    return {**contract_schema(), "text": schema_text().rstrip("\n")}


def _reset(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.reset import reset_portfolio
    from loan_scoring.local.postgres import portfolio_database_url

    url = portfolio_database_url(options.database or settings.owner_url())
    deleted = reset_portfolio(options.portfolio, url, options.confirm, account_name())
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in deleted.items())
    return {
        "deleted": deleted,
        "text": f"{options.portfolio} is set up anew; deleted: {counts}. Kept: the audit log and "
        "the files in the landing folder",
    }
