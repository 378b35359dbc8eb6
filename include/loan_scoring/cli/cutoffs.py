"""Run the command `cutoffs`: what thresholds would approve, and which loans two models swap."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from loan_scoring.cli.common import add_command, session_of
from loan_scoring.errors import StateError

if TYPE_CHECKING:
    from loan_scoring.models.cutoffs import Cutoff
    from loan_scoring.statistics.cutoffs import SwapSet

SHOWN = 20
"""Number of thresholds that the text shows. JSON has all."""


def add_cutoffs_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command `cutoffs` to the command line."""
    command = add_command(
        commands,
        "cutoffs",
        _cutoffs,
        "show what thresholds would approve on the hold-out, and swap sets against the champion",
        common,
    )
    command.add_argument("--version", metavar="VERSION", help="default: the champion")
    command.add_argument(
        "--against", metavar="VERSION", help="compare with this model; default: the last compared"
    )


def _cutoffs(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.models import registry
    from loan_scoring.models.cutoffs import (
        cutoffs,
        nearest,
        read_comparison,
        swapped,
        swaps_as_json,
    )
    from loan_scoring.models.registry import PROPENSITY

    with session_of(options) as session:
        version = options.version
        if version is None:
            version, _ = registry.champion_pair(session)
        version = registry.fitted_pair(session, version)[PROPENSITY]
        row = registry.model_row(session, version)
        comparison = read_comparison(session, version, options.against)
        contract = session.contract
    rows = cutoffs(contract, row["evaluation"])
    if not rows:
        raise StateError(f"{version} was registered without cut-offs; train a new model")
    if options.against and comparison is None:
        raise StateError(f"the gates have not compared {version} with {options.against}")
    policy = list(dict.fromkeys(contract.decision.model_dump().values()))
    result: dict[str, Any] = {
        "version": version,
        "loans": row["evaluation"]["cutoffs"]["loans"],
        "cutoffs": [asdict(each) for each in rows],
    }
    step = max(len(rows) // SHOWN, 1)
    of_policy = {nearest(rows, each) for each in policy}
    lines = [_HEAD, *(
        _line(each, "policy" if each in of_policy else "")
        for place, each in enumerate(rows, 1)
        if place % step == 0 or each in of_policy
    )]  # fmt: skip
    if comparison is not None:
        grid = comparison["cells"]["thresholds"]
        sets = {each: swapped(comparison, each, each) for each in policy if each in grid}
        result["comparison"] = {
            "champion": comparison["champion"],
            "challenger": comparison["challenger"],
            "loans": comparison["loans"],
            "swap_sets": [
                {"threshold": each, **swaps_as_json(found)} for each, found in sets.items()
            ],
        }
        for each, found in sets.items():
            lines += ["", *_swap_lines(comparison, each, found)]
    return {**result, "text": "\n".join(lines)}


_HEAD = (
    f"{'below':>7} {'approved':>9} {'rate':>7} {'defaulted':>10} {'95 % interval':>16} "
    f"{'expected loss':>15} {'loss':>15} {'profit':>15}"
)


def _line(row: "Cutoff", note: str) -> str:
    rate = "" if row.default_rate is None else f"{row.default_rate:.2%}"
    interval = "" if row.lower is None else f"{row.lower:.2%} to {row.upper:.2%}"
    money = " ".join(
        f"{'' if each is None else f'{each:,.0f}':>15}"
        for each in (row.expected_loss, row.loss, row.profit)
    )
    line = f"{row.threshold:>7g} {row.approved:>9,} {row.approval_rate:>7.1%} {rate:>10} "
    return f"{line}{interval:>16} {money} {note}".rstrip()


def _swap_lines(
    comparison: Mapping[str, Any], threshold: float, sets: Mapping[str, "SwapSet"]
) -> list[str]:
    champion, challenger = comparison["champion"], comparison["challenger"]
    lines = [
        f"{challenger} instead of {champion}, both at {threshold:g}, on the same "
        f"{comparison['loans']:,} loans of the hold-out:"
    ]
    for name, each in sets.items():
        rate = "" if each.default_rate is None else f", {each.default_rate:.2%} defaulted"
        lines.append(f"  {name.replace('_', ' '):<9} {each.loans:>8,}{rate}")
    return lines
