"""Define and run `loan-scoring models shadow`."""

import argparse
from typing import Any

from loan_scoring.cli.common import account_name, session_of


def add_arguments(command: Any) -> None:
    """Add the arguments of `models shadow`."""
    command.add_argument(
        "--begin", metavar="VERSION", help="put VERSION into shadow, instead of an earlier one"
    )


def shadow_command(options: argparse.Namespace) -> dict[str, Any]:
    """Show the nights of challengers in shadow and of canaries, or put a version into shadow."""
    from loan_scoring import database
    from loan_scoring.models import registry
    from loan_scoring.models.card.shadow import standing
    from loan_scoring.models.promotion.shadows import begin_shadow

    with session_of(options) as session:
        if options.begin is not None:
            begin_shadow(session, registry.fitted_pair(session, options.begin), account_name())
        with database.transaction(session.connection):
            shadows, nights, canaries = (
                database.rows(session.connection, query, model_version=None)
                for query in ("select_shadows", "select_shadow_nights", "select_canary_nights")
            )
    lines = [f"{each['propensity_version']}: {standing(each)}" for each in shadows]
    if nights:
        lines += ["", f"{'challenger':<15} {'night':<10} {'loans':>7} {'agreed':>7} {'in':>5} "
                  f"{'out':>5} {'approved':>9} {'PSI':>7} {'AUC':>7} {'champion':>8}"]  # fmt: skip
        lines += [_night_line(each) for each in nights]
    for each in canaries:
        result = each["stopped_by"] or f"{each['decided']:,} decided"
        lines.append(
            f"canary {each['propensity_version']} {each['batch_id']}: {each['loans']:,} loans, "
            + (f"stopped: {result}" if each["stopped_by"] else result)
        )
    return {
        "shadows": shadows,
        "nights": nights,
        "canaries": canaries,
        "text": "\n".join(lines) or "no challenger was in shadow",
    }


def _night_line(each: dict[str, Any]) -> str:
    difference = each["approval_rate_difference"]
    return (
        f"{each['propensity_version']:<15} {each['batch_id']:<10} {each['loans']:>7,} "
        f"{each['agreed']:>7,} {each['comes_in']:>5,} {each['goes_out']:>5,} "
        f"{'' if difference is None else f'{100 * difference:+.2f}':>9} "
        f"{_number(each['psi']):>7} {_number(each['auc']):>7} {_number(each['champion_auc']):>8}"
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
