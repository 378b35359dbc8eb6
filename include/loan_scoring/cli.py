"""The command line: every stage without Airflow, on the functions that the DAGs call."""

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from loan_scoring import cli_models, settings
from loan_scoring.errors import LoanScoringError, TrackingError

Handler = Callable[[argparse.Namespace], dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 after one line on stderr that says what is wrong."""
    try:
        return _run(arguments)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: Sequence[str] | None) -> int:
    # Read when the first library with threads is loaded; see the environment of Airflow's tasks.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
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

    ingest = command("ingest", _ingest, "take in a batch of applications", batch)
    ingest.add_argument("--source", metavar="FILE-OR-URL", help="default: the landing folder")
    outcomes = command("outcomes", _outcomes, "take in a file of outcomes")
    outcomes.add_argument("--source", required=True, metavar="FILE-OR-URL")
    train = command("train", _train, "fit a pair of models and judge it against the champions")
    train.add_argument(
        "--promote",
        choices=("auto", "hold"),
        help="auto: a pair that passes every gate becomes champion; hold: a person decides;"
        " default: the contract's",
    )
    command("leaks", _leaks, "show what each column alone gives away of the outcome")
    cli_models.add(commands, common)
    command("score", _score, "score a batch with the champions", batch)
    command("metrics", _metrics, "compare a scored batch with its baseline", batch)
    replay = command("replay", _replay, "cut a labelled file into history, nights and outcomes")
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
    quarantine = commands.add_parser(
        "quarantine", help="list refused rows, export them, take them in corrected"
    ).add_subparsers(required=True, metavar="COMMAND")

    def back(name: str, handler: Handler, help_: str, *parents: argparse.ArgumentParser) -> Any:
        made = quarantine.add_parser(
            name, help=help_, description=help_, parents=[common, *parents]
        )
        made.set_defaults(handler=handler)
        return made

    listed = back("list", _quarantine_list, "count the refused rows by revision and rule")
    listed.add_argument("--batch", metavar="BATCH", help="a batch, or outcomes-NAME; default: all")
    export = back("export", _quarantine_export, "write a batch's refused rows as CSV", batch)
    export.add_argument("--out", metavar="FILE", help="default: standard output")
    mended = back("replay", _quarantine_replay, "take corrected rows in as a new revision", batch)
    mended.add_argument("--source", required=True, metavar="FILE-OR-URL")
    command("status", _status, "show database, batches, champion and open alerts")
    sql = command("sql", _sql, "run a query, or open psql, in the portfolio's schema")
    sql.add_argument("-c", dest="query", metavar="SELECT", help="print its rows as CSV")
    bench = command("bench", _bench, "measure stages against their floors and the naive way")
    bench.add_argument("--source", metavar="FILE-OR-URL", help="default: LOAN_SCORING_SOURCE")
    return parser


def _batch_id(text: str) -> str:
    if text != "history":
        try:
            datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"'{text}' is neither YYYY-MM-DD nor history"
            ) from None
    return text


def _measured(options: argparse.Namespace, task: str, work: Callable[..., int]) -> None:
    """Run a stage in a session and note what it cost; `work` returns the rows that it handled."""
    from loan_scoring.session import open_session
    from loan_scoring.telemetry import measured

    run = f"cli-{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}-{os.getpid()}"
    with (
        open_session(options.portfolio, options.database) as session,
        measured(session, run, task, getattr(options, "batch", None)) as done,
    ):
        done.rows = work(session)


def _ingest(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import ingest

    source = options.source or ingest.landing_file(options.portfolio, "applications", options.batch)
    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        landed = ingest.ingest(session, options.batch, source)
        result.update(asdict(landed))
        return landed.received

    _measured(options, "ingest.batch", work)
    already = " (the same bytes: nothing changed)" if result["is_unchanged"] else ""
    result["text"] = (
        f"batch {result['batch_id']} revision {result['revision']}: {result['received']} received,"
        f" {result['accepted']} accepted, {result['quarantined']} quarantined{already}"
    )
    return result


def _outcomes(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import outcomes

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        taken = outcomes.take(session, options.source)
        result.update(asdict(taken))
        return taken.received

    _measured(options, "outcomes.take", work)
    already = " (the same bytes: nothing changed)" if result["is_unchanged"] else ""
    result["text"] = (
        f"{result['drop_id']} revision {result['revision']}: {result['received']} received,"
        f" {result['accepted']} accepted, {result['quarantined']} quarantined{already}"
    )
    return result


def _train(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import promotion, training

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        versions, rows = training.fit(session)
        found, result["text"] = training.summary(session, versions)
        verdict, evidence = promotion.consider(session, versions, options.promote)
        result.update(versions, **found, verdict=verdict, gates=evidence.get("gates", []))
        return rows

    _measured(options, "train.pair", work)
    result["is_mirrored"] = _mirror(options)
    result["text"] += f"\n\n{result['propensity']}, {result['personas']}: {result['verdict']}"
    failed = [gate["sentence"] for gate in result["gates"] if not gate["passed"]]
    if failed:
        result["text"] += f": {' '.join(failed)}"
    if result["verdict"] in ("held", "withheld"):
        result["text"] += f"; `loan-scoring models promote {result['propensity']}` puts it into use"
    return result


def _mirror(options: argparse.Namespace) -> bool:
    """Show in MLflow what was trained; that it cannot be written is no fault of the training."""
    from loan_scoring import mirror

    def work(session: Any) -> int:
        mirrored = mirror.mirror(session)
        return mirrored.trials + mirrored.models

    try:
        _measured(options, "train.mirror", work)
    except TrackingError as error:
        logging.getLogger(__name__).warning("%s", error)
        return False
    return True


def _leaks(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import leaks, training
    from loan_scoring.session import open_session

    with open_session(options.portfolio, options.database) as session:
        report = training.leak_report(session)
    return {**report.as_json(), "text": leaks.render(report)}


def _score(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import scoring

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        result["scoring_run_id"] = scoring.score(session, options.batch)
        run = scoring.run(session, result["scoring_run_id"])
        result.update({name: run[name] for name in ("applications", "scored", "referred")})
        return int(run["applications"])

    _measured(options, "score.batch", work)
    result["text"] = (
        f"{result['scoring_run_id']}: {result['scored']} scored, {result['referred']} referred"
    )
    return result


def _metrics(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import metrics

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        result.update(metrics.measure(session, options.batch))
        return int(result["applications"])

    _measured(options, "metrics.batch", work)
    result["text"] = f"batch {options.batch}: {result['tests']} tests, {result['alerts']} alerts"
    return result


def _replay(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import contract
    from loan_scoring.replay import parse_scenarios, replay

    cut = replay(
        contract.load(options.portfolio),
        source=options.source,
        nights=options.nights,
        per_night=options.per_night,
        start=options.start,
        seed=options.seed,
        scenarios=parse_scenarios(options.scenario),
        landing=settings.landing_dir(options.portfolio),
    )
    return {
        **asdict(cut),
        "text": f"{cut.source}: {cut.history_rows} rows of history, nights "
        f"{', '.join(cut.batch_ids)}; {len(cut.written)} files written, "
        f"{len(cut.unchanged)} unchanged in {settings.landing_dir(options.portfolio)}",
    }


def _quarantine_list(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import quarantine
    from loan_scoring.session import open_session

    with open_session(options.portfolio, options.database) as session:
        rows = quarantine.counts(session, options.batch)
    lines = [f"{'batch':<24}{'revision':>8}  {'':<7}  {'rows':>7}  rule"]
    lines += [
        f"{row['batch_id']:<24}{row['revision']:>8}  {'current' if row['is_current'] else 'old':<7}"
        f"  {row['rows']:>7,}  {row['rule']}"
        for row in rows
    ]
    return {"quarantine": rows, "text": "\n".join(lines) if rows else "no row is in quarantine"}


def _quarantine_export(options: argparse.Namespace) -> dict[str, Any]:
    import io
    from pathlib import Path

    from loan_scoring import quarantine
    from loan_scoring.session import open_session

    text = io.StringIO()
    with open_session(options.portfolio, options.database) as session:
        rows = quarantine.export(session, options.batch, text)
    if options.out is None:
        if not options.json:
            sys.stdout.write(text.getvalue())
        return {"rows": rows, "csv": text.getvalue()}
    try:
        Path(options.out).write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise LoanScoringError(f"{options.out}: cannot be written: {error.strerror}") from error
    return {"rows": rows, "out": options.out, "text": f"{options.out}: {rows} rows to correct"}


def _quarantine_replay(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import corrections

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        replayed = corrections.replay(session, options.batch, options.source)
        result.update(asdict(replayed))
        return replayed.mended

    _measured(options, "quarantine.replay", work)
    already = " (the same corrections: nothing changed)" if result["is_unchanged"] else ""
    result["text"] = (
        f"batch {result['batch_id']} revision {result['revision']}: {result['mended']} rows mended,"
        f" {result['accepted']} accepted, {result['quarantined']} quarantined{already}"
    )
    return result


def _status(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import status
    from loan_scoring.session import open_session

    with open_session(options.portfolio, options.database) as session:
        state = status.read(session)
    state["database_url"] = _analyst_url(options)
    state["airflow"] = _airflow()
    where = f"database  {state['database_url']}"
    airflow = state["airflow"]
    ui = f"Airflow   {airflow['url']}" if airflow else "Airflow   not running; `make up` starts it"
    return {**state, "text": f"{where}\n{ui}\n\n{status.render(state)}"}


def _airflow() -> dict[str, Any] | None:
    from loan_scoring.local import airflow_status

    found = airflow_status.status(settings.state_dir())
    return None if found is None else {"url": found.url, "passwords": found.password_file}


def _analyst_url(options: argparse.Namespace) -> str:
    """Return the URL for psql: the reader's of the embedded server, else the given one.

    The password of a database that is not ours to make stays out of the output: psql takes it
    from PGPASSWORD or ~/.pgpass.
    """
    from loan_scoring import database

    given = options.database or settings.database_url()
    if given:
        url = database.without_password(database.libpq_url(given))
    else:
        from loan_scoring.local.postgres import embedded

        url = embedded().url(database.READER)
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{options.portfolio}"


def _sql(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import database
    from loan_scoring.session import open_session

    if options.query is None:
        return {"exit": _psql(options)}
    with open_session(options.portfolio, options.database) as session:
        header, rows = database.select(session.connection, options.query)
    if options.json:
        return {"columns": header, "rows": rows}
    import csv

    csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
    return {}


def _bench(options: argparse.Namespace) -> dict[str, Any]:
    import tempfile
    from pathlib import Path

    from loan_scoring import bench

    with tempfile.TemporaryDirectory(prefix="loan-scoring-bench-") as folder:
        results = bench.run(options.portfolio, Path(folder), options.source)
    return {
        "benches": [result.as_json() for result in results],
        "text": "\n\n".join(result.as_text() for result in results),
    }


def _psql(options: argparse.Namespace) -> int:
    from loan_scoring import database
    from loan_scoring.local.postgres import embedded
    from loan_scoring.local.postgres_account import binary

    given = options.database or settings.database_url()
    if given is None:
        embedded().start()
    url = database.libpq_url(given) if given else embedded().url("loan_scoring")
    environment = {**os.environ, "PGOPTIONS": f"-c search_path={options.portfolio}"}
    # The URL goes through the environment, so that the password is not in the process list.
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    environment |= {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": parts.username or "",
        "PGPASSWORD": parts.password or "",
        "PGDATABASE": parts.path.lstrip("/"),
    }
    return subprocess.call([str(binary("psql"))], env=environment)


if __name__ == "__main__":
    sys.exit(main())
