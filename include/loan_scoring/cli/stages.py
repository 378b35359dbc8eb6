"""Run the commands `ingest`, `train`, `leaks`, `score`, `metrics`, `night` and `reconcile`."""

import argparse
import logging
from dataclasses import asdict
from typing import Any

from loan_scoring.cli.common import (
    account_name,
    kept_revision,
    mirror_after_training,
    run_measured,
    session_of,
    unscored_hint,
)
from loan_scoring.counted import counted

REQUESTED = "; new models are requested: run `loan-scoring train`"


def ingest_command(options: argparse.Namespace) -> dict[str, Any]:
    """Ingest a batch of applications from --source, or from the landing folder without --source."""
    from loan_scoring.contract import HISTORY
    from loan_scoring.ingest.batches import ingest_batch
    from loan_scoring.ingest.landing import find_applications_file
    from loan_scoring.ingest.quarantine import broken_rules
    from loan_scoring.models.waiting import waiting_model

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        source = options.source or find_applications_file(session, options.batch)
        with kept_revision(session, options.batch):
            landed = ingest_batch(session, options.batch, source, account_name())
        result.update(asdict(landed))
        rules = broken_rules(session, landed.batch_id, landed.revision)
        unchanged = " (the same bytes: nothing changed)" if landed.is_unchanged else ""
        result["text"] = (
            f"batch {landed.batch_id} revision {landed.revision}: {landed.received} received,"
            f" {landed.accepted} accepted, {landed.quarantined} quarantined"
            f"{f' ({rules})' if rules else ''}{unchanged}"
        )
        is_last = not options.then_scores
        if is_last and landed.revision > 1 and not landed.is_unchanged and options.batch != HISTORY:
            result["text"] += unscored_hint(options.portfolio, options.batch)
        if landed.outcomes is not None:
            result["text"] += f"\n{landed.outcomes.sentence}"
        waiting = waiting_model(session) if options.batch == HISTORY else None
        if waiting is not None:
            result["text"] += f"\nno champion yet: {waiting.sentence}"
        return landed.received

    run_measured(options, "ingest.batch", work)
    return result


def withdraw_command(options: argparse.Namespace) -> dict[str, Any]:
    """Withdraw a published batch, or restore it (--undo). Alerts are then judged without it."""
    from loan_scoring.ingest.withdrawal import restore_batch, withdraw_batch
    from loan_scoring.monitoring.alerts.store import update_alerts

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        change = restore_batch if options.undo else withdraw_batch
        done = change(session, options.batch, account_name(), options.comment)
        result.update(asdict(done))
        update_alerts(session)
        return done.applications

    run_measured(options, "ingest.restore" if options.undo else "ingest.withdraw", work)
    run = result["scoring_run_id"]
    what = f"batch {result['batch_id']} revision {result['revision']}"
    loans = counted(result["applications"], "application")
    if options.undo:
        scores = f"readers see the scores of {run} again" if run else "run score for the batch"
        result["text"] = f"{what} is current again with {loans}; {scores}"
    else:
        scores = f"readers no longer see the scores of {run}" if run else "it had no current scores"
        result["text"] = (
            f"{what} is withdrawn with {loans}; {scores}; the way back: "
            f"loan-scoring withdraw --batch {result['batch_id']} --undo --comment TEXT"
        )
    return result


def train_command(options: argparse.Namespace) -> dict[str, Any]:
    """Fit a propensity model and a personas model, and judge the pair against the champions.

    Afterwards the trials and the models are copied to MLflow.
    """
    from loan_scoring.contract import load
    from loan_scoring.models.promotion.decide import judge_and_promote
    from loan_scoring.models.promotion.rights import mode_in_effect
    from loan_scoring.models.training.report import training_summary
    from loan_scoring.models.training.run import train
    from loan_scoring.models.training.runner_up import shadow_runner_up
    from loan_scoring.models.waiting import promote_command

    result: dict[str, Any] = {}
    mode = mode_in_effect(load(options.portfolio), options.promote)

    def work(session: Any) -> int:
        versions, rows = train(session, account_name())
        summary, result["text"] = training_summary(session, versions)
        verdict, evidence = judge_and_promote(session, versions, mode)
        result["runner_up"] = shadow_runner_up(session, versions, account_name())
        result.update(versions, **summary, verdict=verdict, gates=evidence.get("gates", []))
        return rows

    run_measured(options, "train.pair", work)
    result["is_mirrored"] = mirror_after_training(options)
    text = f"{result['propensity']}, {result['personas']}: {result['verdict']}"
    if result["runner_up"]:
        text += f"\n{', '.join(result['runner_up'].values())}: the runner-up, in shadow beside it"
    failed = [gate["sentence"] for gate in result["gates"] if not gate["passed"]]
    if failed:
        text += f": {' '.join(failed)}"
    if result["verdict"] in ("held", "withheld", "refused"):
        contract, version = load(options.portfolio), result["propensity"]
        command = promote_command(contract, version, has_failed=bool(failed))
        text += f"\nto put it into use{' despite this' if failed else ''}, type: {command}"
    result["text"] += f"\n\n{text}"
    return result


def leaks_command(options: argparse.Namespace) -> dict[str, Any]:
    """Show the leak report: how much each column reveals about the outcome."""
    from loan_scoring.contract.column_rules import STORED_ONLY
    from loan_scoring.models.training.report import render_leaks
    from loan_scoring.models.training.rows import read_leak_report

    with session_of(options) as session:
        report = read_leak_report(session)
        unread = [each.name for each in session.contract.columns if each.type in STORED_ONLY]
    return {**report.as_json(), "not_read": unread, "text": render_leaks(report, unread)}


def score_command(options: argparse.Namespace) -> dict[str, Any]:
    """Score a batch in the database (--batch) or the applications in a file (--file)."""
    if (options.file is None) != (options.out is None):
        options.refuse("--file and --out belong together: the file and where its scores go")
    if options.run is not None and options.batch is None:
        options.refuse("--run belongs to --batch: it publishes an earlier run of that batch")
    if (options.applications is None) != (options.scores is None):
        options.refuse("--applications and --scores belong together: folders of a lake")
    if options.publish and options.applications is None:
        options.refuse("--publish belongs to --applications: other scores are always published")
    if options.applications is not None:
        if options.batch is None or options.run is not None:
            options.refuse("--applications needs --batch, the business date, and no --run")
        return _score_lake(options)
    return _score_file(options) if options.file is not None else _score_batch(options)


def _score_file(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.scoring.file import score_file

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        scores = score_file(session, options.file, options.out)
        result.update(asdict(scores))
        return scores.received

    run_measured(options, "score.file", work)
    refused_file = f" ({result['refused_out']})" if result["refused_out"] else ""
    result["text"] = (
        f"{result['out']}: {result['received']} received = {result['scored']} scored"
        f" + {result['referred']} referred + {result['refused']} refused{refused_file},"
        f" by {result['propensity_version']} and {result['personas_version']}"
        f" from {result['source']}"
    )
    return result


def _score_lake(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.scoring.engine import score_lake_on_spark
    from loan_scoring.scoring.lake_publish import plan_publication, publish_from_lake

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        if options.publish:
            plan_publication(session, options.batch)  # Spark is not started in vain
        result.update(
            score_lake_on_spark(session, options.batch, options.applications, options.scores)
        )
        if options.publish:
            folder = result["scores_folder"]
            result["published"] = publish_from_lake(session, options.batch, folder, account_name())
        return int(result["received"])

    run_measured(options, "score.lake", work)
    result["text"] = (
        f"{result['scoring_run_id']}: {result['received']} received = {result['scored']} scored"
        f" + {result['referred']} referred + {result['refused']} refused,"
        f" in {result['scores_folder']}"
    )
    if options.publish:
        result["text"] += f"\npublished as {result['published']}"
    return result


def _score_batch(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.scoring.batch import publish_earlier_run, score_batch
    from loan_scoring.scoring.mini_batch import scoring_run

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        if options.run is None:
            result["scoring_run_id"] = score_batch(session, options.batch, account_name())
        else:
            publish_earlier_run(session, options.batch, options.run, account_name())
            result["scoring_run_id"] = options.run
        run = scoring_run(session, result["scoring_run_id"])
        result.update({name: run[name] for name in ("applications", "scored", "referred")})
        return int(run["applications"])

    run_measured(options, "score.batch", work)
    result["text"] = (
        f"{result['scoring_run_id']}: {result['scored']} scored, {result['referred']} referred"
    )
    return result


def metrics_command(options: argparse.Namespace) -> dict[str, Any]:
    """Compare a scored batch with the baseline. Request new models if population drift lasts."""
    from loan_scoring.monitoring.metrics import compare_batch
    from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        result.update(compare_batch(session, options.batch))
        request = ask_where_drift_lasts(session, "population", options.batch)
        result["asks_for_model"] = request is not None
        return int(result["applications"])

    run_measured(options, "metrics.batch", work)
    result["text"] = (
        f"batch {options.batch}: {counted(result['tests'], 'test')}, "
        f"{counted(result['alerts'], 'cause of alert', 'causes of alert')}"
        + REQUESTED
        * result["asks_for_model"]
    )
    return result


def night_command(options: argparse.Namespace) -> dict[str, Any]:
    """Ingest, score and compare a batch in one process, which imports the libraries once.

    The first stage that fails ends the night. Each stage may run again, so a night may too.
    """
    result: dict[str, Any] = {}
    stages = {"ingest": ingest_command, "score": _score_batch, "metrics": metrics_command}
    for name, stage in stages.items():
        result[name] = stage(options)
        logging.getLogger(__name__).info("%s", result[name]["text"])
    result["text"] = "\n".join(result[name].pop("text") for name in stages)
    return result


def reconcile_command(options: argparse.Namespace) -> dict[str, Any]:
    """Compare the landing folder with the tables, and open or resolve the alerts on differences."""
    from loan_scoring.monitoring.alerts.landing import reconcile_landing

    with session_of(options) as session:
        found = reconcile_landing(session)
    lines = [f"{each.finding:<9} {each.message}" for each in found]
    return {
        "findings": [asdict(each) for each in found],
        "text": "\n".join(lines) or "files and batches agree",
    }
