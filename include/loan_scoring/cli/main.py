"""The command line: every stage without Airflow, on the functions that the DAGs call."""

import argparse
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from types import TracebackType
from typing import Any

from loan_scoring.cli import demo, keeping, models, quarantine, stages, views
from loan_scoring.cli.common import Handler
from loan_scoring.errors import LoanScoringError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 after one line on stderr that says what is wrong."""
    try:
        with _psycopg2_silent():
            return _run(arguments)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


@contextmanager
def _psycopg2_silent() -> Iterator[None]:
    """Keep off stderr what psycopg2 prints of a COPY that its server ends, before it raises.

    It makes a second error while the first is set, and has the interpreter print the clash.
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
    # Read when the first library with threads is loaded; see the environment of Airflow's tasks.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.WARNING if options.json else logging.INFO,
        format="%(message)s",
        stream=sys.stderr,
    )
    try:
        result = options.handler(options)
    except LoanScoringError as error:
        print(f"loan-scoring: {error}", file=sys.stderr)  # noqa: T201 - this is the interface
        return 1
    except KeyboardInterrupt:
        print("loan-scoring: interrupted; nothing is half done", file=sys.stderr)  # noqa: T201
        return 130
    text = result.pop("text", None)
    if options.json:
        text = json.dumps(result, default=str, indent=2)
    if text:
        print(text, flush=True)  # noqa: T201
    return int(result.get("exit", 0))


def parser() -> argparse.ArgumentParser:
    """Return the parser of every command; what it returns has the command's `handler`."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--portfolio", default="loan_default", help="default: %(default)s")
    common.add_argument("--database", metavar="URL", help="default: LOAN_SCORING_DATABASE_URL")
    common.add_argument("--json", action="store_true", help="print a machine-readable result")
    batch = argparse.ArgumentParser(add_help=False)
    batch.add_argument("--batch", required=True, metavar="YYYY-MM-DD", type=_batch_id)
    parser = argparse.ArgumentParser(prog="loan-scoring", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, handler: Handler, help_: str, *parents: argparse.ArgumentParser) -> Any:
        made = commands.add_parser(name, help=help_, description=help_, parents=[common, *parents])
        made.set_defaults(handler=handler)
        return made

    ingest = command("ingest", stages.ingest_command, "take in a batch of applications", batch)
    ingest.add_argument("--source", metavar="FILE-OR-URL", help="default: the landing folder")
    outcomes = command("outcomes", stages.outcomes_command, "take in a file of outcomes")
    outcomes.add_argument("--source", required=True, metavar="FILE-OR-URL")
    train = command(
        "train", stages.train_command, "fit a pair of models and judge it against the champions"
    )
    train.add_argument(
        "--promote",
        choices=("auto", "hold"),
        help="auto: a pair that passes every gate becomes champion; hold: a person decides;"
        " default: LOAN_SCORING_PROMOTION, else the contract's",
    )
    command("leaks", stages.leaks_command, "show what each column alone gives away of the outcome")
    models.add_models_command(commands, common)
    score = command("score", stages.score_command, "score a batch, or a file, with the champions")
    score.set_defaults(refuse=score.error)
    what = score.add_mutually_exclusive_group(required=True)
    what.add_argument("--batch", metavar="YYYY-MM-DD", type=_batch_id)
    what.add_argument("--file", metavar="FILE-OR-URL", help="applications outside the database")
    score.add_argument("--out", metavar="FILE", help="with --file: the CSV file of its scores")
    command("metrics", stages.metrics_command, "compare a scored batch with its baseline", batch)
    replay = command(
        "replay", stages.replay_command, "cut a labelled file into history, nights and outcomes"
    )
    replay.add_argument("--source", metavar="FILE-OR-URL", help="default: LOAN_SCORING_SOURCE")
    replay.add_argument("--nights", type=int, default=5, help="default: %(default)s")
    replay.add_argument("--per-night", type=int, default=5000, help="default: %(default)s")
    replay.add_argument(
        "--start", metavar="YYYY-MM-DD", help="first night; default: the contract's"
    )
    replay.add_argument("--seed", type=int, help="default: the contract's")
    replay.add_argument(
        "--scenario",
        action="append",
        default=[],
        metavar="NAME@NIGHT",
        help="drift a night (counted from 1); may be repeated",
    )
    quarantine.add_quarantine_command(commands, common, batch)
    command("status", views.status_command, "show database, batches, champion and open alerts")
    loan = command("loan", views.loan_command, "show all that is on record of one loan")
    loan.add_argument("loan_id", metavar="LOAN")
    audit = command(
        "audit", views.audit_command, "work the audit log's chain out anew, and show its end"
    )
    audit.add_argument(
        "--last", type=_count, default=20, metavar="N", help="entries; default: %(default)s"
    )
    sql = command(
        "sql", views.sql_command, "read the portfolio's schema: run a query, or open psql"
    )
    sql.add_argument("-c", dest="query", metavar="SELECT", help="print its rows as CSV")
    bench = command(
        "bench", views.bench_command, "measure stages against their floors and the naive way"
    )
    bench.add_argument(
        "--stage",
        action="append",
        choices=("ingest", "score", "metrics", "pages"),
        help="may be repeated; default: all but pages, which take minutes and 9 GB of disk",
    )
    bench.add_argument("--source", metavar="FILE-OR-URL", help="default: LOAN_SCORING_SOURCE")
    calibrate = command(
        "calibrate", views.calibrate_command, "measure false alarms and power of the drift decision"
    )
    calibrate.add_argument("--source", metavar="FILE-OR-URL", help="default: LOAN_SCORING_SOURCE")
    for name, what in (
        ("rounds", "rounds, each a batch of every size"),
        ("power-rounds", "of them, rounds with shifts"),
        ("peer-rounds", "of them, rounds for Evidently and NannyML; 0: no peers"),
        ("jobs", "processes; 0: one a core"),
    ):
        calibrate.add_argument(f"--{name}", type=_count, metavar="N", help=what)
    calibrate.add_argument(
        "--swap", action="store_true", help="deal the third of the loans that has no part otherwise"
    )
    calibrate.add_argument(
        "--docs", metavar="FOLDER", help="where the page is written; default: docs/ of the project"
    )
    demo.add_demo_command(commands, common, _count)
    keeping.add_upkeep_commands(commands, common)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no number of 0 or more")
    return int(text)


def _batch_id(text: str) -> str:
    if text != "history":
        try:
            # The parsers of dates alone take 2026-1-5, 20260105 or digits of other scripts, too.
            if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
                raise ValueError
            date.fromisoformat(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"'{text}' is neither YYYY-MM-DD nor history"
            ) from None
    return text
