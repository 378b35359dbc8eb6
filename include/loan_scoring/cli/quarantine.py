"""Define and run `list`, `export` and `replay`, the subcommands of `loan-scoring quarantine`."""

import argparse
import io
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loan_scoring.cli.common import Handler, add_command, run_measured, session_of, unscored_hint
from loan_scoring.counted import counted
from loan_scoring.errors import LoanScoringError


def add_quarantine_command(
    commands: Any, common: argparse.ArgumentParser, batch: argparse.ArgumentParser
) -> None:
    """Add the command `quarantine` and its subcommands to the command line."""
    help_ = "list refused rows, export them, and ingest their corrections"
    inner = commands.add_parser("quarantine", help=help_, description=help_).add_subparsers(
        required=True, metavar="COMMAND"
    )

    def command(name: str, handler: Handler, help_: str, *parents: argparse.ArgumentParser) -> Any:
        return add_command(inner, name, handler, help_, common, *parents)

    list_ = command("list", _list, "count the refused rows by revision and rule")
    list_.add_argument("--batch", metavar="BATCH", help="a batch, or outcomes-NAME; default: all")
    export = command("export", _export, "write a batch's refused rows as CSV", batch)
    export.add_argument("--out", metavar="FILE", help="default: standard output")
    replay = command("replay", _replay, "ingest corrected rows as a new revision", batch)
    replay.add_argument("--source", required=True, metavar="FILE-OR-URL")


def _list(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.ingest.quarantine import count_broken_rules

    with session_of(options) as session:
        rows = count_broken_rules(session, options.batch)
    lines = [f"{'batch':<24}{'revision':>8}  {'':<7}  {'rows':>7}  rule"]
    lines += [
        f"{row['batch_id']:<24}{row['revision']:>8}  {'current' if row['is_current'] else 'old':<7}"
        f"  {row['rows']:>7,}  {row['rule']}"
        for row in rows
    ]
    return {"quarantine": rows, "text": "\n".join(lines) if rows else "no row is in quarantine"}


def _export(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.ingest.spreadsheet import export_quarantine

    text = io.StringIO()
    with session_of(options) as session:
        rows = export_quarantine(session, options.batch, text)
    if options.out is None:
        if not options.json:
            sys.stdout.write(text.getvalue())
        return {"rows": rows, "csv": text.getvalue()}
    try:
        Path(options.out).write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise LoanScoringError(f"{options.out}: cannot be written: {error.strerror}") from error
    return {
        "rows": rows,
        "out": options.out,
        "text": f"{options.out}: {counted(rows, 'row')} to correct",
    }


def _replay(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.contract import HISTORY
    from loan_scoring.ingest.corrections import replay_corrections

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        replayed = replay_corrections(session, options.batch, options.source)
        result.update(asdict(replayed))
        return replayed.mended

    run_measured(options, "quarantine.replay", work)
    unchanged = " (the same corrections: nothing changed)" if result["is_unchanged"] else ""
    result["text"] = (
        f"batch {result['batch_id']} revision {result['revision']}: "
        f"{counted(result['mended'], 'row')} mended,"
        f" {result['accepted']} accepted, {result['quarantined']} quarantined{unchanged}"
    )
    if not result["is_unchanged"] and options.batch != HISTORY:
        result["text"] += unscored_hint(options.portfolio, options.batch)
    return result
