"""The command line: every stage without Airflow, with the functions that the DAGs call."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from loan_scoring.cli import (
    contracts,
    cutoffs,
    federated,
    lab,
    lookups,
    models,
    outcomes,
    privacy,
    quarantine,
    records,
    scans,
    stages,
    status,
    stream,
    upkeep,
)
from loan_scoring.cli.arguments import batch_id, count
from loan_scoring.cli.common import Handler, add_command
from loan_scoring.errors import LoanScoringError

MASK = 0o027
"""Permissions that no file or folder of ours has: writing by the group, anything by others."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    The exit code is 0 on success, 1 after an error and 130 after Ctrl-C. One line on stderr
    describes the error. A command that starts psql or MLflow's UI returns the exit code of that
    program. If the arguments are invalid, argparse ends the process with exit code 2.

    Args:
        arguments: command-line arguments. If None, the arguments of this process are used.
    """
    # Files with loans are for the account and its group only, also those of servers that it starts.
    os.umask(os.umask(MASK) | MASK)
    try:
        with _psycopg2_silent():
            return _run(arguments)
    except BrokenPipeError:  # The program that reads this output, such as head, has ended.
        # Send stdout to /dev/null, because otherwise Python would flush stdout to the closed pipe
        # at exit and print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


@contextmanager
def _psycopg2_silent() -> Iterator[None]:
    """Suppress a SystemError that a bug of psycopg2 would print on stderr while the block runs.

    If the server ends a COPY, psycopg2 sets an error while another error is pending. Python then
    prints a SystemError through sys.excepthook and raises the real error afterwards.
    """
    before = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        cause = type(error.__cause__).__module__
        if not (isinstance(error, SystemError) and cause.startswith("psycopg2")):
            before(kind, error, trace)

    sys.excepthook = show
    try:
        yield
    finally:
        sys.excepthook = before


def _run(arguments: Sequence[str] | None) -> int:
    # OpenMP reads this variable once, when the first library with OpenMP is loaded. So the variable
    # must be set before a command imports such a library. Airflow's tasks run with the same value.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = parser().parse_args(arguments)
    logged: set[str] = set()
    handler = logging.StreamHandler(sys.stderr)

    def remember(record: logging.LogRecord) -> bool:
        logged.add(record.getMessage())
        return True

    handler.addFilter(remember)
    level = logging.WARNING if options.json else logging.INFO
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler])
    try:
        result = options.handler(options)
    except LoanScoringError as error:
        print(f"loan-scoring: {error}", file=sys.stderr)  # noqa: T201 - commands print their result
        return 1
    except KeyboardInterrupt:
        print("loan-scoring: interrupted; nothing is half done", file=sys.stderr)  # noqa: T201
        return 130
    text = result.pop("text", None)
    if text and _is_one_place():
        # The log has said it already: one line is enough where a person reads both.
        text = "\n".join(line for line in text.split("\n") if not line or line not in logged)
    if options.json:
        text = json.dumps(result, default=str, indent=2)
    if text:
        print(text, flush=True)  # noqa: T201
    return int(result.get("exit", 0))


def _is_one_place() -> bool:
    """Return whether the log and the result go to the same terminal or file."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    The parsed options contain `handler`, the function that runs the chosen command.
    """
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--portfolio", default="loan_default", help="default: %(default)s")
    common.add_argument("--database", metavar="URL", help="default: LOAN_SCORING_DATABASE_URL")
    common.add_argument("--json", action="store_true", help="print a machine-readable result")
    batch = argparse.ArgumentParser(add_help=False)
    batch.add_argument("--batch", required=True, metavar="YYYY-MM-DD", type=batch_id)
    parser = argparse.ArgumentParser(prog="loan-scoring", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, handler: Handler, help_: str, *parents: argparse.ArgumentParser) -> Any:
        return add_command(commands, name, handler, help_, common, *parents)

    ingest = command("ingest", stages.ingest_command, "ingest a batch of applications", batch)
    ingest.set_defaults(then_scores=False)
    night = command("night", stages.night_command, "ingest, score and compare a batch", batch)
    night.set_defaults(then_scores=True, run=None)
    for each in (ingest, night):
        each.add_argument("--source", metavar="FILE-OR-URL", help="default: the landing folder")
    withdraw = command(
        "withdraw", stages.withdraw_command, "take a published batch out, with a way back", batch
    )
    withdraw.add_argument("--comment", required=True, metavar="TEXT", help="why; it is kept")
    withdraw.add_argument("--undo", action="store_true", help="take the batch back in")
    outcomes.add_outcomes_command(commands, common)
    lookups.add_lookup_command(commands, common)
    scans.add_scans_command(commands, common)
    train = command(
        "train", stages.train_command, "fit a pair of models and judge it against the champions"
    )
    train.add_argument(
        "--promote",
        choices=("auto", "hold"),
        help="auto: a pair that passes every gate becomes champion; hold: a person decides;"
        " default: LOAN_SCORING_PROMOTION, else the contract's",
    )
    command("leaks", stages.leaks_command, "show how much of the outcome each column reveals")
    models.add_models_command(commands, common)
    cutoffs.add_cutoffs_command(commands, common)
    federated.add_federated_command(commands, common)
    score = command("score", stages.score_command, "score a batch, or a file, with the champions")
    score.set_defaults(refuse=score.error)
    what = score.add_mutually_exclusive_group(required=True)
    what.add_argument("--batch", metavar="YYYY-MM-DD", type=batch_id)
    what.add_argument("--file", metavar="FILE-OR-URL", help="applications outside the database")
    score.add_argument("--out", metavar="FILE", help="with --file: the CSV file of its scores")
    score.add_argument("--run", metavar="ID", help="with --batch: publish this earlier run again")
    lake = "with --batch: Parquet files that Spark scores, and the folder of their scores"
    score.add_argument("--applications", metavar="URI", help=lake)
    score.add_argument("--scores", metavar="URI", help=lake)
    score.add_argument(
        "--publish", action="store_true", help="with --applications: publish the scores in Postgres"
    )
    command("metrics", stages.metrics_command, "compare a scored batch with its baseline", batch)
    command(
        "reconcile",
        stages.reconcile_command,
        "compare the landing folder with the batches, and raise alerts on differences",
    )
    contracts.add_contract_commands(commands)
    lab.add_replay_command(commands, common)
    quarantine.add_quarantine_command(commands, common, batch)
    stream.add_stream_command(commands, common)
    command("status", status.status_command, "show database, batches, champion and open alerts")
    loan = command("loan", records.loan_command, "show everything on record about one loan")
    loan.add_argument("loan_id", metavar="LOAN")
    loan.add_argument(
        "--letter", action="store_true", help="print the letter to the applicant of a declined loan"
    )
    audit = command(
        "audit", records.audit_command, "verify the audit log's chain and show its last entries"
    )
    audit.add_argument(
        "--last", type=count, default=20, metavar="N", help="entries; default: %(default)s"
    )
    audit.add_argument(
        "--expect", metavar="HEAD", help="fail unless this hash, a former head, is in the chain"
    )
    audit.add_argument(
        "--anchor",
        type=Path,
        metavar="FILE",
        help="check the last head in FILE, then append the head; keep FILE out of workers' reach",
    )
    sql = command(
        "sql", status.sql_command, "read the portfolio's schema: run a query, or open psql"
    )
    sql.add_argument("-c", dest="query", metavar="SELECT", help="print its rows as CSV")
    sql.add_argument(
        "--lake",
        metavar="URI",
        help="also read months that were exported there and dropped (DuckDB's SQL)",
    )
    lab.add_measuring_commands(commands, common)
    upkeep.add_upkeep_commands(commands, common)
    privacy.add_privacy_command(commands, common)
    return parser
