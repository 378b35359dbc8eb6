"""Define and run the subcommands of `loan-scoring models`, such as `list` and `promote`."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loan_scoring.cli.classifiers import (
    card_reader,
    gate_lines,
    is_of_scans,
    promote_classifier,
    rollback_classifier,
    trained_on,
)
from loan_scoring.cli.common import (
    Handler,
    account_name,
    add_command,
    mirror_after_training,
    session_of,
)
from loan_scoring.cli.mlflow_pages import add_mlflow_arguments, mlflow_command
from loan_scoring.cli.shadow import add_arguments, shadow_command
from loan_scoring.errors import StateError

_NEXT = (
    "published scores stay as they are; run `loan-scoring score --batch DATE` to score a night anew"
)


def add_models_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command `models` and its subcommands to the command line."""
    help_ = "list, show, sign, promote and roll back models, and write cards and reports"
    models = commands.add_parser("models", help=help_, description=help_)
    inner = models.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, handler: Handler, help_: str) -> Any:
        return add_command(inner, name, handler, help_, common)

    command("list", _list, "list every version with its last verdict")
    show = command("show", _show, "show a version, and every verdict on it with its gates")
    promote = command("promote", _promote, "make a version, and the one fitted with it, champions")
    card = command("card", _card, "print a version's model card as Markdown")
    report = command("report", _report, "write the whole file of a model, for a validator")
    sign = command("sign", _sign, "sign a version as its reviewer, or accept it for use")
    scorecard = command(
        "scorecard", _scorecard, "print the bins and points of a scorecard, or its SQL"
    )
    scorecard.add_argument(
        "--sql", action="store_true", help="a SELECT that scores table applications in Postgres"
    )
    for each in (show, promote, card, report, sign, scorecard):
        each.add_argument("version", metavar="VERSION", help="such as propensity-2")
    what = report.add_mutually_exclusive_group()
    what.add_argument("--html", action="store_true", help="as one HTML page; default")
    what.add_argument("--markdown", action="store_true", help="as Markdown")
    report.add_argument(
        "--annex-iv", action="store_true", help="add what Annex IV of the EU AI Act asks for"
    )
    report.add_argument("--out", type=Path, metavar="FILE", help="write to FILE; default: print")
    report.add_argument(
        "--sbom", type=Path, metavar="FILE", help="write the software bill of materials, CycloneDX"
    )
    sign.add_argument("--as", dest="signed_as", choices=("review", "acceptance"), required=True)
    sign.add_argument(
        "--comment", required=True, metavar="TEXT", help="what was checked and found; it is kept"
    )
    card.add_argument("--html", type=Path, metavar="FILE", help="write it as one HTML page instead")
    add_arguments(
        command("shadow", shadow_command, "show or put a challenger in shadow beside the champion")
    )
    rollback = command("rollback", _rollback, "restore the versions that the champions replaced")
    rollback.add_argument(
        "--kind",
        choices=("propensity", "personas", "scans"),
        help="only this one; default: propensity and personas",
    )
    add_mlflow_arguments(
        command("mlflow", mlflow_command, "show trials and models in MLflow's UI until Ctrl-C")
    )
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
        pair = registry.versions_by_fingerprint(session, row["fingerprint"])
        verdicts = database.rows(
            session.connection, "select_verdicts", model_version=options.version
        )
    lines = [
        f"{options.version} ({row['algorithm']})"
        + "".join(f", fitted with {each}" for each in pair.values() if each != options.version),
        f"fitted     {row['created_at']:%Y-%m-%d %H:%M} UTC by loan-scoring {row['code_version']}",
        "on         " + trained_on(row),
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
            *gate_lines(each["evidence"]),
        ]
    return {"model": row, "verdicts": verdicts, "text": "\n".join(lines)}


def _promote(options: argparse.Namespace) -> dict[str, Any]:
    if is_of_scans(options.version):
        return promote_classifier(options)
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
        "text": "\n".join([*gate_lines(evidence), summary, _NEXT]),
    }


def _rollback(options: argparse.Namespace) -> dict[str, Any]:
    if options.kind == "scans":
        return rollback_classifier(options)
    from loan_scoring.models.promotion.decide import rollback_champions

    with session_of(options) as session:
        in_use = rollback_champions(session, account_name(), options.kind, options.comment)
    return {
        **in_use,
        "is_mirrored": mirror_after_training(options),
        "text": f"in use again: {', '.join(in_use.values())}\n{_NEXT}",
    }


def _card(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.models.card.render import render_card_html, render_card_markdown

    with session_of(options) as session:
        card = card_reader(options.version)(session, options.version)
    if options.html is None:
        text = render_card_markdown(card)
        return {"markdown": text, "text": text.rstrip()}
    _write(options.html, render_card_html(card))
    return {"html": str(options.html), "text": f"written to {options.html}"}


def _sign(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.models.promotion.signatures import sign_model

    with session_of(options) as session:
        signed = sign_model(
            session, options.version, options.signed_as, account_name(), options.comment
        )
    lines = [
        f"{each['signed_at']:%Y-%m-%d %H:%M} {each['signed_as']:<10} of {each['model_version']} "
        f"signed by {each['signed_by']}: {each['comment']}"
        for each in signed
    ]
    return {"signatures": signed, "text": "\n".join(lines)}


def _report(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.models.card.render import render_card_html, render_card_markdown
    from loan_scoring.models.report.content import read_report
    from loan_scoring.models.report.sbom import bill_of_materials

    with session_of(options) as session:
        report = read_report(session, options.version, annex_iv=options.annex_iv)
    render = render_card_markdown if options.markdown else render_card_html
    text, form = render(report), "markdown" if options.markdown else "html"
    written = []
    if options.sbom is not None:
        _write(options.sbom, json.dumps(bill_of_materials(), indent=1))
        written.append(str(options.sbom))
    if options.out is None:
        return {form: text, "sbom": written, "text": text.rstrip()}
    _write(options.out, text)
    written.insert(0, str(options.out))
    return {"written": written, "text": f"written to {', '.join(written)}"}


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}") from error


def _scorecard(options: argparse.Namespace) -> dict[str, Any]:
    from loan_scoring.contract import under_model
    from loan_scoring.models import registry
    from loan_scoring.models.card.judgement import bin_text
    from loan_scoring.models.scorecard_sql import scorecard_sql

    with session_of(options) as session:
        row = registry.model_row(session, options.version)
        contract = under_model(session.contract, row["training_data"])
        card = (row["evaluation"] or {}).get("scorecard")
        if card is None:
            raise StateError(f"{options.version} is no scorecard; it is a {row['algorithm']}")
        if options.sql:
            text = scorecard_sql(contract, card).as_string(session.connection)
            return {"sql": text, "text": text}
    lines = [
        f"{options.version}: {card['base_score']:g} points at odds of {card['base_odds']:g}, "
        f"{card['pdo']:g} points double the odds"
    ]
    for each in card["columns"]:
        if each["left_out"]:
            lines += ["", f"{each['label']}: left out, {each['left_out']}"]
            continue
        lines += [
            "",
            f"{each['label']} (information value {each['information_value']:.3f})",
            *(
                f"  {bin_text(contract, each['column'], one):<40}{one['loans']:>9,}"
                f"{'' if one['default_rate'] is None else format(one['default_rate'], '.1%'):>8}"
                f"{one['points']:>8.1f}"
                for one in each["bins"]
            ),
        ]
    return {"scorecard": card, "text": "\n".join(lines)}
