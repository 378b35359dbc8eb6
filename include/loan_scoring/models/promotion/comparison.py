"""Compare a challenger with the champion, in Markdown for the person who decides."""

from typing import Any

from loan_scoring.database.session import Session


def render_comparison(session: Session, evidence: dict[str, Any]) -> str:
    """Return a Markdown text that compares the challenger with the champion.

    The text has a table with the metrics of both models, and the result of each gate.

    Args:
        session: database session.
        evidence: evidence of the judgement, as `GateJudgement.evidence` returns it.
    """
    by_name = {gate["gate"]: gate for gate in evidence["gates"]}
    better, calibrated = by_name["better"]["figures"], by_name["calibrated"]["figures"]
    challenger, champion = evidence["challenger"], evidence["champion"]
    rows = f"{evidence['holdout']['rows']:,}"
    lines = [
        f"Should **{challenger}** replace **{champion}**? Both were measured on the same {rows} "
        "loans; neither was fitted on them."
        if champion
        else f"Should **{challenger}** come into use? No model is in use. It was measured on "
        f"{rows} loans that it was not fitted on.",
        *(
            [f"{looks} models so far were measured on loans of this hold-out."]
            if (looks := evidence["holdout"].get("looks"))
            else []
        ),
        "",
        f"| | {champion or 'no champion'} | {challenger} |",
        "| --- | --- | --- |",
        f"| AUC | {_number(better.get('champion_auc'))} | {_number(better['auc'])} |",
        f"| difference, {better.get('confidence', 0.95):.0%} interval | | {_difference(better)} |",
        f"| calibration slope | {_number(calibrated.get('champion_slope'))} "
        f"| {_number(calibrated['slope'])} |",
    ]
    over_time = by_name.get("out_of_time", {}).get("figures", {})
    if "auc" in over_time:
        lines.append(f"| AUC since {over_time['first']} | | {_number(over_time['auc'])} |")
    for name, parity in by_name["fair"]["figures"]["attributes"].items():
        label = session.contract.by_name[name].label
        lines.append(f"| lowest over highest approval, {label} | | {_number(parity['ratio'])} |")
    lines += ["", "Gates:", ""]
    lines += [
        f"- {gate['gate']}: {'passed' if gate['passed'] else 'FAILED'}. {gate['sentence']}"
        for gate in evidence["gates"]
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _difference(better: dict[str, Any]) -> str:
    if "interval" not in better:
        return ""
    low, high = better["interval"]
    return f"{better['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
