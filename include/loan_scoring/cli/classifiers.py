"""Run `train` of `scans`, and the subcommands of `models` on a classifier of scanned pages."""

import argparse
from collections.abc import Callable
from typing import Any

from loan_scoring.cli.common import account_name, session_of


def is_of_scans(version: str | None) -> bool:
    """Return whether a version is a classifier of scanned pages, which has no pair."""
    return str(version).partition("-")[0] == "scans"


def trained_on(row: Any) -> str:
    """Return on what a model was trained, as text."""
    from loan_scoring.models import registry

    data = row["training_data"]
    if row["kind"] == registry.SCANS:
        return f"{data['invented_pages']} invented pages and {data['own_forms']} own forms"
    return (
        f"{data.get('applications', 0):,} loans with an outcome, outcomes as of "
        f"{registry.outcomes_as_of(row)}"
    )


def card_reader(version: str) -> Callable[..., Any]:
    """Return the function that reads the card of a version."""
    if is_of_scans(version):
        from loan_scoring.scans.promotion import read_card as read_card_of_scans

        return read_card_of_scans
    from loan_scoring.models.card.content import read_card

    return read_card


def gate_lines(evidence: dict[str, Any]) -> list[str]:
    """Return a line for each gate of a verdict."""
    return [
        f"  {gate['gate']:<14} {'passed' if gate['passed'] else 'FAILED'}  {gate['sentence']}"
        for gate in evidence.get("gates", [])
    ]


def promote_classifier(options: argparse.Namespace) -> dict[str, Any]:
    """Put a classifier into use by command."""
    from loan_scoring.scans.promotion import promote_by_hand

    with session_of(options) as session:
        verdict, evidence = promote_by_hand(
            session, options.version, account_name(), options.comment
        )
    text = "\n".join([*gate_lines(evidence), f"{options.version}: {verdict}"])
    return {"verdict": verdict, "gates": evidence["gates"], "text": text}


def rollback_classifier(options: argparse.Namespace) -> dict[str, Any]:
    """Put the earlier classifier back by command."""
    from loan_scoring.scans.promotion import rollback_classifier as rollback

    with session_of(options) as session:
        back = rollback(session, account_name(), options.comment)
    return {**back, "text": f"in use again: {', '.join(back.values())}"}


def train_classifier(options: argparse.Namespace) -> dict[str, Any]:
    """Train a classifier, judge it and write its card by command."""
    from loan_scoring.lab.scan_rows import draw_rows
    from loan_scoring.models import registry
    from loan_scoring.scans.layout import form_layout
    from loan_scoring.scans.promotion import promote_by_gates, write_card
    from loan_scoring.scans.training import train_classifier as train

    with session_of(options) as session:
        names = [box.column.name for box in form_layout(session.contract).boxes]
        rows, _ = draw_rows(session.contract, names, options.n, options.seed)
        version = train(session, rows, options.seed, options.own, account_name())
        verdict = promote_by_gates(session, version)
        write_card(session, version)
        row = registry.model_row(session, version)
    metrics = row["metrics"]
    text = (
        f"{version}: {verdict}; accuracy {metrics['accuracy']:.1%} and AUC of a form "
        f"{metrics['auc']:.4f} on {metrics['pages']} hold-out pages; card: loan-scoring models "
        f"card --portfolio {options.portfolio} {version}"
    )
    return {"version": version, "verdict": verdict, "metrics": metrics, "text": text}
