"""The command `loan-scoring demo-drift`."""

import argparse
from collections.abc import Callable
from typing import Any

from loan_scoring import settings
from loan_scoring.errors import LoanScoringError


def add_demo_command(
    commands: Any, common: argparse.ArgumentParser, count: Callable[[str], int]
) -> None:
    """Add `demo-drift` to the parser's commands."""
    help_ = "replay data, target and model drift, and write a page that explains what was seen"
    made = commands.add_parser("demo-drift", help=help_, description=help_, parents=[common])
    made.set_defaults(handler=_demo_drift)
    made.add_argument("--source", metavar="FILE-OR-URL", help="default: LOAN_SCORING_SOURCE")
    made.add_argument(
        "--nights", type=count, default=6, help="the first two without drift; default: %(default)s"
    )
    made.add_argument("--per-night", type=count, help="default: as many as there are, 4000 at most")


def _demo_drift(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.lab.demo.judged import demo_verdict
    from loan_scoring.lab.demo.page import demo_page
    from loan_scoring.lab.demo.run import DemoPlan, demonstrate_drift
    from loan_scoring.models.card.render import render_card_html

    if options.database is not None:
        raise LoanScoringError(
            "demo-drift makes databases of its own in the embedded Postgres: leave out --database"
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
    shown = [
        {
            "drift": each.shown.kind,
            "scenario": each.name,
            "is_as_it_should_be": is_right,
            "verdict": sentence,
            "alerts": each.alerts,
            "retrain_requests": each.requests,
        }
        for each in done.seen
        for is_right, sentence in [demo_verdict(each)]
    ]
    lines = [done.source, *(f"{each['drift']} drift: {each['verdict']}" for each in shown)]
    return {
        "page": path,
        "source": done.source,
        "demonstrations": shown,
        "missing": done.missing,
        "text": "\n".join([*lines, *done.missing, "", f"the page: {path}"]),
    }
