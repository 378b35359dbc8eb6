"""Define and run the subcommands of `loan-scoring models`, such as `list` and `promote`."""

import argparse
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loan_scoring.cli.common import (
    Handler,
    account_name,
    add_command,
    mirror_after_training,
    session_of,
)
from loan_scoring.errors import StateError

_NEXT = (
    "published scores stay as they are; run `loan-scoring score --batch DATE` to score a night anew"
)


def add_models_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command `models` and its subcommands to the command line."""
    help_ = "list, show, promote and roll back models, and print their cards"
    models = commands.add_parser("models", help=help_, description=help_)
    inner = models.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, handler: Handler, help_: str) -> Any:
        return add_command(inner, name, handler, help_, common)

    command("list", _list, "list every version with its last verdict")
    show = command("show", _show, "show a version, and every verdict on it with its gates")
    promote = command("promote", _promote, "make a version, and the one fitted with it, champions")
    card = command("card", _card, "print a version's model card as Markdown")
    for each in (show, promote, card):
        each.add_argument("version", metavar="VERSION", help="such as propensity-2")
    card.add_argument("--html", type=Path, metavar="FILE", help="write it as one HTML page instead")
    rollback = command("rollback", _rollback, "restore the versions that the champions replaced")
    rollback.add_argument(
        "--kind", choices=("propensity", "personas"), help="only this one; default: both"
    )
    ui = command("mlflow", _mlflow, "show trials and models in MLflow's UI until Ctrl-C")
    ui.add_argument("--host", default="127.0.0.1", help="default: %(default)s, this machine only")
    ui.add_argument("--port", type=int, default=5000, help="default: %(default)s")
    for each in (promote, rollback):
        each.add_argument(
            "--comment",
            help="the reason, recorded in promotions; required to overrule a failed gate",
        )


def _list(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import database
    from loan_scoring.models.waiting import waiting_model

    with session_of(options) as session:
        rows = database.rows(session.connection, "select_models")
        waiting = waiting_model(session)
    lines = [f"{'version':<15} {'':<6} {'AUC':>6}  {'fitted (UTC)':<17} last verdict"]
    for row in rows:
        auc = row["metrics"].get("auc")
        verdict = f"{row['verdict']} by {row['decided_by']}" if row["verdict"] else "not judged"
        if row["occasion"] == "rollback":
            verdict += " (rollback)"
        lines.append(
            f"{row['model_version']:<15} {'in use' if row['is_champion'] else '':<6} "
            f"{'' if auc is None else f'{auc:.4f}':>6}  {row['created_at']:%Y-%m-%d %H:%M}"
            f"  {verdict}"
        )
    lines = lines if rows else ["no model yet"]
    if waiting is not None:
        lines.append(waiting.sentence)
    return {
        "models": rows,
        "waiting": None if waiting is None else asdict(waiting),
        "text": "\n".join(lines),
    }


def _show(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring import database
    from loan_scoring.models import registry

    with session_of(options) as session:
        row = registry.model_row(session, options.version)
        pair = registry.fitted_pair(session, options.version)
        verdicts = database.rows(
            session.connection, "select_verdicts", model_version=options.version
        )
    lines = [
        f"{options.version} ({row['algorithm']}), fitted with "
        f"{', '.join(v for v in pair.values() if v != options.version)}",
        f"fitted     {row['created_at']:%Y-%m-%d %H:%M} UTC by loan-scoring {row['code_version']}",
        f"on         {row['training_data'].get('applications', 0):,} loans with an outcome, "
        f"outcomes as of {registry.outcomes_as_of(row)}",
        *(
            [f"left out   {text}"]
            if (text := (row["training_data"].get("cohorts") or {}).get("left_out_text"))
            else []
        ),
        f"artifact   {row['artifact']} sha256 {row['artifact_sha256']}",
    ]
    for name, value in row["metrics"].items():
        if isinstance(value, int | float):
            number = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
            lines.append(f"{name:<18} {number:>10}")
    for each in verdicts:
        comment = f": {each['comment']}" if each["comment"] else ""
        lines += [
            "",
            f"{each['decided_at']:%Y-%m-%d %H:%M} {each['verdict']} by {each['decided_by']} "
            f"({each['occasion']}), instead of {each['replaces'] or 'none'}{comment}",
            *_gate_lines(each["evidence"]),
        ]
    return {"model": row, "verdicts": verdicts, "text": "\n".join(lines)}


def _promote(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.models.promotion.decide import promote_by_hand

    with session_of(options) as session:
        verdict, evidence = promote_by_hand(
            session, options.version, account_name(), options.comment
        )
    overruled = evidence.get("overruled", [])
    summary = f"{options.version} and the model fitted with it: {verdict}"
    if overruled:
        summary += f", {', '.join(overruled)} overruled"
    return {
        "verdict": verdict,
        "overruled": overruled,
        "is_mirrored": mirror_after_training(options),
        "gates": evidence["gates"],
        "text": "\n".join([*_gate_lines(evidence), summary, _NEXT]),
    }


def _rollback(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.models.promotion.decide import rollback_champions

    with session_of(options) as session:
        in_use = rollback_champions(session, account_name(), options.kind, options.comment)
    return {
        **in_use,
        "is_mirrored": mirror_after_training(options),
        "text": f"in use again: {', '.join(in_use.values())}\n{_NEXT}",
    }


def _card(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.models.card.content import read_card
    from loan_scoring.models.card.render import render_card_html, render_card_markdown

    with session_of(options) as session:
        card = read_card(session, options.version)
    if options.html is None:
        text = render_card_markdown(card)
        return {"markdown": text, "text": text.rstrip()}
    try:
        options.html.write_text(render_card_html(card), encoding="utf-8")
    except OSError as error:
        raise StateError(f"cannot write {options.html}: {error.strerror}") from error
    return {"html": str(options.html), "text": f"written to {options.html}"}


def _mlflow(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.models.mlflow_schema import ui_environment

    with session_of(options) as session:
        environment = ui_environment(session)
    command = [sys.executable, "-W", "ignore", "-m", "mlflow", "ui", "--host", options.host]
    return {"exit": subprocess.call([*command, "--port", str(options.port)], env=environment)}


def _gate_lines(evidence: dict[str, Any]) -> list[str]:
    return [
        f"  {gate['gate']:<14} {'passed' if gate['passed'] else 'FAILED'}  {gate['sentence']}"
        for gate in evidence.get("gates", [])
    ]
