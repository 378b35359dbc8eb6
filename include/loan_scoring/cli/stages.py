"""The commands that do a stage: ingest, outcomes, train, score, metrics; and what feeds them."""

import argparse
from dataclasses import asdict
from typing import Any

from loan_scoring import settings
from loan_scoring.cli.common import mirror_after_training, run_measured

ASKS = "; new models are asked for: run `loan-scoring train`"


def ingest_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.ingest.batches import ingest_batch
    from loan_scoring.ingest.landing import landed_file

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        source = options.source or landed_file(session, options.batch)
        landed = ingest_batch(session, options.batch, source)
        result.update(asdict(landed))
        return landed.received

    run_measured(options, "ingest.batch", work)
    already = " (the same bytes: nothing changed)" if result["is_unchanged"] else ""
    result["text"] = (
        f"batch {result['batch_id']} revision {result['revision']}: {result['received']} received,"
        f" {result['accepted']} accepted, {result['quarantined']} quarantined{already}"
    )
    return result


def outcomes_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.ingest.outcomes import take_outcomes
    from loan_scoring.monitoring.performance.measure import restate_performance
    from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        taken = take_outcomes(session, options.source)
        result.update(asdict(taken), restated=restate_performance(session))
        asked_for = ask_where_drift_lasts(session, "concept")
        result["asks_for_model"] = asked_for is not None
        return taken.received

    run_measured(options, "outcomes.take", work)
    already = " (the same bytes: nothing changed)" if result["is_unchanged"] else ""
    result["text"] = (
        f"{result['drop_id']} revision {result['revision']}: {result['received']} received,"
        f" {result['accepted']} accepted, {result['quarantined']} quarantined{already}"
    )
    if result["restated"]:
        result["text"] += f"\nperformance restated: {', '.join(result['restated'])}"
    result["text"] += ASKS * result["asks_for_model"]
    return result


def train_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.models.promotion.decide import judge_and_promote
    from loan_scoring.models.training.run import train, training_summary

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        versions, rows = train(session)
        found, result["text"] = training_summary(session, versions)
        verdict, evidence = judge_and_promote(session, versions, options.promote)
        result.update(versions, **found, verdict=verdict, gates=evidence.get("gates", []))
        return rows

    run_measured(options, "train.pair", work)
    result["is_mirrored"] = mirror_after_training(options)
    result["text"] += f"\n\n{result['propensity']}, {result['personas']}: {result['verdict']}"
    failed = [gate["sentence"] for gate in result["gates"] if not gate["passed"]]
    if failed:
        result["text"] += f": {' '.join(failed)}"
    if result["verdict"] in ("held", "withheld"):
        result["text"] += f"; `loan-scoring models promote {result['propensity']}` puts it into use"
    return result


def leaks_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.session import open_session
    from loan_scoring.local.postgres import portfolio_database_url
    from loan_scoring.models.training.leaks import render_leaks
    from loan_scoring.models.training.run import read_leak_report

    with open_session(options.portfolio, portfolio_database_url(options.database)) as session:
        report = read_leak_report(session)
    return {**report.as_json(), "text": render_leaks(report)}


def score_command(options: argparse.Namespace) -> dict[str, Any]:
    if (options.file is None) != (options.out is None):
        options.refuse("--file and --out belong together: the file and where its scores go")
    return _score_file(options) if options.file is not None else _score_batch(options)


def _score_file(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.scoring.file import score_file

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        done = score_file(session, options.file, options.out)
        result.update(asdict(done))
        return done.received

    run_measured(options, "score.file", work)
    beside = f" ({result['refused_out']})" if result["refused_out"] else ""
    result["text"] = (
        f"{result['out']}: {result['received']} received = {result['scored']} scored"
        f" + {result['referred']} referred + {result['refused']} refused{beside},"
        f" by {result['propensity_version']} and {result['personas_version']}"
        f" from {result['source']}"
    )
    return result


def _score_batch(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.scoring.batch import score_batch, scoring_run

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        result["scoring_run_id"] = score_batch(session, options.batch)
        run = scoring_run(session, result["scoring_run_id"])
        result.update({name: run[name] for name in ("applications", "scored", "referred")})
        return int(run["applications"])

    run_measured(options, "score.batch", work)
    result["text"] = (
        f"{result['scoring_run_id']}: {result['scored']} scored, {result['referred']} referred"
    )
    return result


def metrics_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.monitoring.measure import compare_batch
    from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts

    result: dict[str, Any] = {}

    def work(session: Any) -> int:
        result.update(compare_batch(session, options.batch))
        asked_for = ask_where_drift_lasts(session, "population", options.batch)
        result["asks_for_model"] = asked_for is not None
        return int(result["applications"])

    run_measured(options, "metrics.batch", work)
    result["text"] = (
        f"batch {options.batch}: {result['tests']} tests, {result['alerts']} causes of alert"
        + ASKS * result["asks_for_model"]
    )
    return result


def replay_command(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import contract
    from loan_scoring.lab.replay import replay_loans
    from loan_scoring.lab.scenarios import parse_scenarios

    cut = replay_loans(
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
