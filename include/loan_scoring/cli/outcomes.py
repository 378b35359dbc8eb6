"""Run the command `outcomes`: ingest a file of outcomes, or withdraw a wrong one."""

import argparse
from dataclasses import asdict
from typing import Any

from loan_scoring.cli.arguments import count
from loan_scoring.cli.common import account_name, add_command, run_measured
from loan_scoring.cli.stages import REQUESTED

WITHDRAW = "withdraw"


def add_outcomes_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command `outcomes` to the command line."""
    outcomes = add_command(
        commands,
        "outcomes",
        _outcomes_command,
        "ingest a file of outcomes, or withdraw a wrong one",
        common,
    )
    outcomes.add_argument(
        "action",
        nargs="?",
        choices=(WITHDRAW,),
        metavar=WITHDRAW,
        help="take out all that a file said, instead of ingesting a file",
    )
    outcomes.add_argument(
        "--source",
        required=True,
        metavar="FILE-OR-URL",
        help=f"the file; for {WITHDRAW} its name is enough, as `status` shows it",
    )
    outcomes.add_argument(
        "--correction",
        action="store_true",
        help="the file overrules what is known of its loans, as a file NAME.correction.csv does",
    )
    outcomes.add_argument("--comment", metavar="TEXT", help="the reason; it goes on record")
    outcomes.add_argument(
        "--undo", action="store_true", help=f"with {WITHDRAW}: take the withdrawal back"
    )
    outcomes.add_argument(
        "--revision", type=count, metavar="N", help=f"with {WITHDRAW}: default: the newest"
    )
    outcomes.set_defaults(refuse=outcomes.error)


def _outcomes_command(options: argparse.Namespace) -> dict[str, Any]:
    """Ingest or withdraw a file of outcomes, and measure performance again where this changes it.

    If concept drift lasts, request new models.
    """
    is_withdrawal = options.action == WITHDRAW
    if is_withdrawal and options.correction:
        options.refuse("--correction belongs to a file to ingest, not to withdraw")
    if not is_withdrawal and (options.undo or options.revision is not None):
        options.refuse(f"--undo and --revision belong to `outcomes {WITHDRAW}`")
    if (is_withdrawal or options.correction) and not (options.comment or "").strip():
        options.refuse("--comment is missing: give the reason, it goes on record")
    if not is_withdrawal and options.comment and not options.correction:
        options.refuse("--comment belongs to --correction or to `outcomes withdraw`")
    return _withdraw(options) if is_withdrawal else _take(options)


def _take(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.ingest.outcomes import Declaration, take_outcomes

    result: dict[str, Any] = {}
    declared = Declaration(account_name(), options.comment, options.correction)

    def work(session: Any) -> int:
        taken = take_outcomes(session, options.source, declared)
        result.update(asdict(taken))
        result["text"] = taken.sentence
        if taken.loans.changed or taken.loans.recovered or taken.loans.removed:
            result["text"] += f"\n{taken.drop_id} revision {taken.revision}: {taken.loans.sentence}"
        _measure_again(session, result)
        return taken.received

    run_measured(options, "outcomes.take", work)
    return result


def _withdraw(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.ingest.outcome_withdrawal import withdraw_outcomes

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        done = withdraw_outcomes(
            session,
            options.source,
            options.comment,
            account_name(),
            revision=options.revision,
            undo=options.undo,
        )
        result.update(asdict(done))
        result["text"] = _withdrawal_text(result, done.loans.sentence)
        _measure_again(session, result)
        return done.statements

    run_measured(options, f"outcomes.{'restore' if options.undo else WITHDRAW}", work)
    return result


def _withdrawal_text(result: dict[str, Any], changed: str) -> str:
    states = {
        "withdrawn": "withdrawn",
        "current": "current",
        "replaced": "replaced by a later revision, not withdrawn",
    }
    text = f"{result['drop_id']} revision {result['revision']}: {states[result['state']]}"
    if result["is_unchanged"]:
        by = f" by {result['changed_by']}" if result["changed_by"] else ""
        return f"{text} since {result['changed_at']:%Y-%m-%d %H:%M} UTC{by}: nothing changed"
    return f"{text}; {result['statements']:,} statements, {changed or 'no outcome changed'}"


def _measure_again(session: Any, result: dict[str, Any]) -> None:
    """Measure performance where outcomes changed, request models if drift lasts, and say so."""
    from loan_scoring.monitoring.performance.restate import restate_performance
    from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts
    from loan_scoring.monitoring.status import last_performance

    result["restated"] = restate_performance(session)
    result["asks_for_model"] = ask_where_drift_lasts(session, "concept") is not None
    if result["restated"]:
        result["text"] += f"\nmeasured again: {', '.join(result['restated'])}"
    nights = last_performance(session)
    result["waiting"] = {
        row["batch_id"]: [row["outcomes"], row["outcomes_needed"]]
        for row in nights
        if row.get("outcomes")
    }
    for batch_id, (known, needed) in result["waiting"].items():
        result["text"] += f"\n{batch_id}: {known:,} outcomes, {needed:,} needed"
    result["text"] += REQUESTED * result["asks_for_model"]
