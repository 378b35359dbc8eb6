"""Define and run the commands `replay`, `bench`, `calibrate` and `demo-drift` of the lab."""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loan_scoring import settings
from loan_scoring.cli.arguments import count
from loan_scoring.cli.common import add_command
from loan_scoring.errors import LoanScoringError


def add_replay_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command `replay` to the command line."""
    replay = add_command(
        commands, "replay", _replay, "cut a labelled file into history, nights and outcomes", common
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
        help="apply a scenario to a night (counted from 1); may be repeated",
    )


def add_measuring_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands `bench`, `calibrate` and `demo-drift` to the command line."""
    bench = add_command(
        commands,
        "bench",
        _bench,
        "measure stages against the least possible work and against a naive implementation",
        common,
    )
    bench.add_argument(
        "--stage",
        action="append",
        choices=("ingest", "mixed", "known_loans", "score", "metrics", "metrics_stage", "pages"),
        help="may be repeated; default: all but pages, which takes minutes and 9 GB of disk",
    )
    bench.add_argument("--source", metavar="FILE-OR-URL", help="default: LOAN_SCORING_SOURCE")
    calibrate = add_command(
        commands,
        "calibrate",
        _calibrate,
        "measure false alarms and power of the drift decision",
        common,
    )
    calibrate.add_argument("--source", metavar="FILE-OR-URL", help="default: LOAN_SCORING_SOURCE")
    for name, help_ in (
        ("rounds", "rounds; each draws a batch of every size"),
        ("power-rounds", "how many of the rounds apply shifts"),
        ("peer-rounds", "how many of the rounds run Evidently and NannyML; 0: none"),
        ("jobs", "processes; 0: one per core"),
    ):
        calibrate.add_argument(f"--{name}", type=count, metavar="N", help=help_)
    calibrate.add_argument(
        "--swap",
        action="store_true",
        help="fit the model on two thirds of the loans and draw batches from the other third",
    )
    calibrate.add_argument(
        "--docs", metavar="FOLDER", help="where to write the page; default: docs/ of the project"
    )
    demo = add_command(
        commands,
        "demo-drift",
        _demo_drift,
        "replay data, target and model drift, and write a page that explains what was found",
        common,
    )
    demo.add_argument("--source", metavar="FILE-OR-URL", help="default: LOAN_SCORING_SOURCE")
    demo.add_argument(
        "--nights",
        type=count,
        default=6,
        help="the first two are without drift; default: %(default)s",
    )
    demo.add_argument(
        "--per-night", type=count, help="loans; default: as many as the source has, at most 4000"
    )


def _replay(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import contract
    from loan_scoring.lab.replay import replay_loans
    from loan_scoring.lab.scenarios import parse_scenarios

    landing = settings.landing_dir(options.portfolio)
    done = replay_loans(
        contract.load(options.portfolio),
        source=options.source,
        nights=options.nights,
        per_night=options.per_night,
        start=options.start,
        seed=options.seed,
        scenarios=parse_scenarios(options.scenario),
        landing=landing,
    )
    return {
        **asdict(done),
        "text": f"{done.source}: {done.history_rows} rows of history, nights "
        f"{', '.join(done.batch_ids)}; {len(done.written)} files written, "
        f"{len(done.unchanged)} unchanged in {landing}",
    }


def _bench(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.lab.bench.run import run_benches

    with tempfile.TemporaryDirectory(prefix="loan-scoring-bench-") as folder:
        results = run_benches(options.portfolio, Path(folder), options.source, options.stage)
    return {
        "benches": [result.as_json() for result in results],
        "text": "\n\n".join(result.as_text() for result in results),
    }


def _calibrate(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.lab.calibrate import figures
    from loan_scoring.lab.calibrate.page import missed_limits, write_figures_page
    from loan_scoring.lab.calibrate.run import CalibrationPlan, calibrate_drift_decision

    names = ("rounds", "power_rounds", "peer_rounds", "jobs")
    given = {name: n for name in names if (n := getattr(options, name)) is not None}
    plan = CalibrationPlan(**given, is_swapped=options.swap)
    result = calibrate_drift_decision(options.portfolio, plan, options.source)
    flags = [f"--{name.replace('_', '-')} {n}" for name, n in given.items()]
    flags += ["--swap"] * options.swap
    page = write_figures_page(
        result,
        Path(options.docs) if options.docs else settings.home() / "docs",
        " ".join(["loan-scoring calibrate", *flags]),
    )
    false_alarms = figures.false_alarms(result)
    powers = figures.required_powers(result)
    lines = [
        f"{result.source}; {page}",
        *(f"  {size:>6,} loans  {share.as_text()} false" for size, share in false_alarms.items()),
        *(f"  {power.label}: {power.found.as_text()} found" for power in powers),
    ]
    return {
        "page": page,
        "source": result.source,
        "false_alarms": {size: share.value for size, share in false_alarms.items()},
        "detection": {power.shift: power.found.value for power in powers},
        "missed": missed_limits(result),
        "text": "\n".join(lines),
    }


def _demo_drift(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.lab.demo.page import demo_page
    from loan_scoring.lab.demo.run import DemoPlan, demonstrate_drift
    from loan_scoring.lab.demo.verdicts import demo_verdict
    from loan_scoring.models.card.render import render_card_html

    if options.database is not None:
        raise LoanScoringError(
            "demo-drift makes its own databases in the embedded Postgres: leave out --database"
        )
    path = settings.demo_page_path(options.portfolio)
    done = demonstrate_drift(
        options.portfolio, DemoPlan(options.nights, options.per_night), options.source
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render_card_html(demo_page(done)), encoding="utf-8")
    except OSError as error:
        raise LoanScoringError(f"{path}: cannot be written: {error.strerror}") from error
    results = [
        {
            "drift": record.demonstration.kind,
            "scenario": record.scenario_name,
            "is_as_it_should_be": is_right,
            "verdict": sentence,
            "alerts": record.alerts,
            "retrain_requests": record.requests,
        }
        for record in done.records
        for is_right, sentence in [demo_verdict(record)]
    ]
    lines = [done.source, *(f"{each['drift']} drift: {each['verdict']}" for each in results)]
    return {
        "page": path,
        "source": done.source,
        "demonstrations": results,
        "missing": done.missing,
        "text": "\n".join([*lines, *done.missing, "", f"the page: {path}"]),
    }
