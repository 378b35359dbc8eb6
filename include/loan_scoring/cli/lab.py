"""Define and run the commands of the lab, such as replay, bench, calibrate and demo-drift."""

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
    """Add the commands `bench`, `calibrate`, `ceiling`, `scale` and `demo-drift`."""
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
        choices=(
            "ingest",
            "mixed",
            "known_loans",
            "score",
            "metrics",
            "metrics_stage",
            "calls",
            "pages",
        ),
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
    calibrate.add_argument(
        "--section",
        action="append",
        metavar="NAME",
        help="drift, nights, lending, held_out or peers; may be repeated; default: all",
    )
    calibrate.add_argument(
        "--quick", action="store_true", help="a twentieth of the rounds and no peers, to try it"
    )
    calibrate.add_argument("--jobs", type=count, metavar="N", help="processes; 0: one per core")
    calibrate.add_argument(
        "--docs", metavar="FOLDER", help="where to write the page; default: docs/ of the project"
    )
    ceiling = add_command(
        commands,
        "ceiling",
        _ceiling,
        "measure how good a model can get: nested cross-validation and learning curve",
        common,
    )
    ceiling.add_argument("--source", metavar="FILE-OR-URL", help="default: LOAN_SCORING_SOURCE")
    ceiling.add_argument(
        "--docs", metavar="FOLDER", help="keep the figures there, and write them into its models.md"
    )
    scale = add_command(
        commands,
        "scale",
        _scale,
        "fill a database with millions of applications, and measure stages, tables and queries",
        common,
    )
    scale.add_argument("--source", metavar="FILE-OR-URL", help="default: LOAN_SCORING_SOURCE")
    scale.add_argument("--nights", type=count, default=30, help="default: %(default)s")
    scale.add_argument(
        "--per-night", type=count, default=333_334, help="applications; default: %(default)s"
    )
    scale.add_argument(
        "--labelled", type=count, default=0, metavar="LOANS", help="then train on so many loans"
    )
    scale.add_argument(
        "--docs", metavar="FOLDER", help="where to write scale.md; default: docs/ of the project"
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
    from dataclasses import replace

    from loan_scoring.lab.calibrate.figures import required_figures
    from loan_scoring.lab.calibrate.page import load_results, write_figures_page
    from loan_scoring.lab.calibrate.run import SECTIONS, CalibrationPlan, run_sections

    names = options.section or [*SECTIONS]
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise LoanScoringError(f"no section {unknown[0]}; there are {', '.join(SECTIONS)}")
    plan = CalibrationPlan().quick() if options.quick else CalibrationPlan()
    plan = replace(plan, jobs=options.jobs or 0)
    flags = [f"--section {name}" for name in options.section or []]
    flags += ["--quick"] * options.quick
    flags += [f"--jobs {options.jobs}"] if options.jobs is not None else []
    docs = Path(options.docs) if options.docs else settings.home() / "docs"
    command = " ".join(["loan-scoring calibrate", *flags])
    run_sections(options.portfolio, plan, names, docs, command, options.source)
    page = write_figures_page(docs)
    found = required_figures(load_results(docs))
    missed = [each for each in found if each.is_met is False]
    lines = [f"{each.what}: {each.measured}; {each.limit}" for each in missed]
    return {
        "page": page,
        "figures": [asdict(each) for each in found],
        "missed": len(missed),
        "text": "\n".join([f"{page}: {len(missed)} of {len(found)} figures missed", *lines]),
    }


def _ceiling(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import contract
    from loan_scoring.lab.ceiling import ceiling_section, measure_ceiling, write_ceiling

    found = measure_ceiling(contract.load(options.portfolio), options.source)
    if options.docs:
        write_ceiling(found, Path(options.docs))
    return found | {"text": "\n".join(ceiling_section(found))}


def _scale(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.database.files import write_whole
    from loan_scoring.lab.bench.scale import measure_scale
    from loan_scoring.lab.bench.scale_page import scale_page

    nights, per_night = options.nights, options.per_night
    with tempfile.TemporaryDirectory(prefix="loan-scoring-scale-") as folder:
        found = measure_scale(
            options.portfolio, Path(folder), nights, per_night, options.source, options.labelled
        )
    page = (Path(options.docs) if options.docs else settings.home() / "docs") / "scale.md"
    command = f"loan-scoring scale --nights {nights} --per-night {per_night}"
    if options.labelled:
        command += f" --labelled {options.labelled}"
    text = scale_page(found, command)
    write_whole(page, text.encode())
    return {**asdict(found), "page": page, "text": f"{page}: {found.applications:,} applications"}


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
