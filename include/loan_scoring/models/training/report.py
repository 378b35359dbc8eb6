"""Format the results of a training as text: the summary, the trials and the leak report."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from loan_scoring import database
from loan_scoring.counted import counted
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.registry import PERSONAS, PROPENSITY
from loan_scoring.models.training.cross_validation import F1_THRESHOLD, TrialResult
from loan_scoring.models.training.leak_figures import PureLevel
from loan_scoring.models.training.leaks import LeakFinding, LeakReport
from loan_scoring.models.training.trials import recorded_failures, recorded_trials
from loan_scoring.statistics.intervals import HOLDOUT_METRICS


def training_summary(session: Session, versions: dict[str, str]) -> tuple[dict[str, Any], str]:
    """Return the summary of a training, first as a dictionary for JSON and then as text.

    The summary has the trials, the metrics on the hold-out with their intervals, and the personas.

    Args:
        session: database session.
        versions: versions of the fitted pair, by kind.
    """
    with database.transaction(session.connection):
        model = registry.model_row(session, versions[PROPENSITY])
        people = registry.model_row(session, versions[PERSONAS])["metrics"]
    metrics = model["metrics"]
    results = recorded_trials(session, registry.trials_of(model))
    failures = recorded_failures(session, registry.trials_of(model))
    lines = [
        render_trials(results, metrics["trial"]),
        *(f"  {trial} failed: {reason}" for trial, reason in failures.items()),
        *_mitigation_lines(model),
        "",
        f"{model['algorithm']} on the hold-out: {metrics['rows']:,} loans, "
        f"{metrics['default_rate']:.1%} defaulted; in [] {metrics['confidence']:.0%} intervals",
    ]
    for name in (name for name in HOLDOUT_METRICS if name in metrics["intervals"]):
        low, high = metrics["intervals"][name]
        lines.append(f"  {name:<22}{metrics[name]:8.4f}  [{low:.4f}, {high:.4f}]")
    # No name is cut, because two names may differ at their ends only.
    width = max(len(person["name"]) for person in people["personas"]) + 1
    lines += ["", f"  {'persona':<{width}}{'loans':>8}{'share':>8}  default rate"]
    for person in people["personas"]:
        low, high = person["default_rate_interval"]
        lines.append(
            f"  {person['name']:<{width}}{person['loans']:>8,}{person['share']:>8.1%}"
            f"  {person['default_rate']:.1%} [{low:.1%}, {high:.1%}]"
        )
    found = {
        "trials": [asdict(result) | {"auc": result.mean("auc")} for result in results],
        "failed_trials": failures,
        "metrics": metrics,
        "personas_metrics": people,
    }
    return found, "\n".join(lines)


def _mitigation_lines(model: database.Row) -> list[str]:
    """Return the kinds of mitigation as lines. A star marks the fitted one. Empty if none ran."""
    found = (model["evaluation"] or {}).get("mitigation")
    if found is None:
        return []
    width = max(len(each["kind"] or "none") for each in found["rows"]) + 1
    lines = [
        "",
        f"  {'mitigation':<{width}}{'AUC':>8}{'approved':>10}  parity ratio on the hold-out",
    ]
    for each in found["rows"]:
        name = each["kind"] or "none"
        if each["failure"]:
            lines.append(f"  {name:<{width}}failed: {each['failure']}")
            continue
        ratios = ", ".join(
            f"{one['attribute']} {one['demographic_parity_ratio']['value']:.3f}"
            for one in each["fairness"]
        )
        rate = each["below"]["approve"]["loans"] / found["loans"]
        lines.append(
            f"{'*' if each['is_chosen'] else ' '} {name:<{width}}{each['auc']['value']:>8.4f}"
            f"{rate:>10.1%}  {ratios}"
        )
    return lines


def render_trials(results: Sequence[TrialResult], chosen: str) -> str:
    """Return a text table of the trials, the simplest first. A star marks the chosen trial."""
    lines = [
        f"  {'trial':<26}{'AUC':>8}{'+-SE':>8}{'F1 paid':>9}{'F1 def.':>9}{'Brier':>8}"
        f"{'log loss':>10}{'slope':>7}{'seconds':>9}  parameters"
    ]
    for each in sorted(results, key=lambda result: result.trial.place):
        star = "*" if each.trial.name == chosen else " "
        declared = ", ".join(f"{name} {value:g}" for name, value in each.trial.parameters.items())
        lines.append(
            f"{star} {each.trial.name:<26}{each.mean('auc'):>8.4f}{each.auc_standard_error:>8.4f}"
            f"{each.mean('f1_paid'):>9.4f}{each.mean('f1_default'):>9.4f}"
            f"{each.mean('brier'):>8.4f}{each.mean('log_loss'):>10.4f}"
            f"{each.calibration_slope:>7.3f}{each.seconds:>9.1f}  {declared}"
        )
    folds = len(results[0].folds) if results else 0
    return "\n".join([*lines, f"  means of {folds} folds; F1 at a probability of {F1_THRESHOLD:g}"])


def render_leaks(report: LeakReport, unread: Sequence[str] = ()) -> str:
    """Return the leak report as a text table.

    If a model judges fewer loans than all, each figure is printed as "a -> b". `a` is the figure
    over all loans, and `b` the figure over the loans that a model judges.

    Args:
        report: the report.
        unread: columns that the report leaves out, because no model reads their type.
    """
    width = max([28, *(len(each.column) for each in report.findings)])
    is_pair = any(each.everyone.loans != each.judged.loans for each in report.findings)
    size = 16 if is_pair else 12
    lines = [
        f"leak report over {counted(report.loans, 'labelled loan')}, {report.judged_loans:,} of "
        f"them judged by a model{'; figures: all -> judged' * is_pair}",
        "",
        f"{'column':<{width}} {'role':<11} {'AUC':<{size}} {'AUC of nulls':<{size}} "
        f"{'verdict':<27} near-pure levels (loans, default rate)",
    ]
    for each in report.findings:
        everyone, judged = each.everyone, each.judged
        auc, null_auc = _figure(everyone.auc), _figure(everyone.null_auc)
        if is_pair:
            auc = f"{auc} -> {_figure(judged.auc)}"
            null_auc = f"{null_auc} -> {_figure(judged.null_auc)}"
        lines.append(
            f"{each.column:<{width}} {each.role:<11} {auc:<{size}} {null_auc:<{size}} "
            f"{_verdict(each):<27} {_near_pure_levels(each, is_pair)}".rstrip()
        )
    for leaf in report.leaves or []:
        verdict = "leak" if leaf["is_decisive"] else "acknowledged" if leaf["reason"] else "suspect"
        lines += [
            *[""] * (leaf is (report.leaves or [])[0]),
            f"pure leaf of the benchmark tree, {verdict}: {leaf['rule']} ({leaf['loans']:,} "
            f"loans, {leaf['default_rate']:.1%} defaulted; {leaf['coverage']:.1%} of all)",
        ]
    if unread:
        lines += ["", f"left out, because no model reads dates, times, texts and uuids: "
                  f"{', '.join(unread)}"]  # fmt: skip
    return "\n".join(lines)


def _verdict(finding: LeakFinding) -> str:
    """Return the verdict; a weak column that is known later is no reason to call it harmless."""
    is_later = finding.role in ("pricing", "outcome")
    return "not judged: known later" if is_later and finding.verdict == "clean" else finding.verdict


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _near_pure_levels(finding: LeakFinding, is_pair: bool) -> str:
    def text(levels: list[PureLevel]) -> str:
        shown = [f"{each.level} ({each.loans}, {each.default_rate:.1%})" for each in levels[:2]]
        more = [f"{len(levels) - 2} more"] if len(levels) > 2 else []
        return ", ".join(shown + more) or "none"

    if not finding.everyone.near_pure and not finding.judged.near_pure:
        return ""
    everyone = text(finding.everyone.near_pure)
    return f"{everyone} -> {text(finding.judged.near_pure)}" if is_pair else everyone
