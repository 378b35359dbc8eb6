"""Run the command `lookup`: take files of a table that the contract declares under `lookups`."""

import argparse
from dataclasses import asdict
from typing import Any

from loan_scoring.cli.common import account_name, add_command, run_measured


def add_lookup_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command `lookup` to the command line."""
    lookup = add_command(
        commands, "lookup", _lookup_command, "take a file of a look-up of the contract", common
    )
    lookup.add_argument("action", choices=("ingest",), metavar="ingest", help="take the file")
    lookup.add_argument("--table", metavar="NAME", help="the look-up; default: every one")
    lookup.add_argument(
        "--source", metavar="FILE-OR-URL", help="default: the contract's URL, or the landing folder"
    )
    lookup.set_defaults(refuse=lookup.error)


def _lookup_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.ingest.lookup_files import lookup_sources
    from loan_scoring.ingest.lookups import take_lookup

    if options.source and not options.table:
        options.refuse("--source needs --table: which look-up is it")
    result: dict[str, Any] = {"deliveries": []}

    def work(session: Any) -> int:
        tables = [options.table] if options.table else [e.name for e in session.contract.lookups]
        for table in tables:
            given = [options.source] if options.source else lookup_sources(session.contract, table)
            for source in given:
                taken = take_lookup(
                    session, table, source, account_name(), is_landed=not options.source
                )
                result["deliveries"].append(asdict(taken))
        return sum(each["received"] for each in result["deliveries"])

    run_measured(options, "lookup.ingest", work)
    result["text"] = "\n".join(map(_line, result["deliveries"])) or (
        f"{options.portfolio} declares no lookups"
    )
    return result


def _line(taken: dict[str, Any]) -> str:
    if taken["is_unchanged"]:
        return f"{taken['lookup']}: {taken['source']} was taken before, nothing changed"
    refused = "".join(f", {rows:,} refused by {rule}" for rule, rows in taken["refused"].items())
    left_out = f", {taken['left_out']:,} left out" if taken["left_out"] else ""
    return (
        f"{taken['lookup']}: {taken['received']:,} rows, {taken['added']:,} added, "
        f"{taken['unchanged']:,} known before{left_out}{refused}"
    )
