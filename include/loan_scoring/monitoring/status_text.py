"""Render the state of a portfolio as plain text for a terminal."""

from typing import Any


def render_status(state: dict[str, Any]) -> str:
    """Render the state that `status.read_status` returns as lines of plain text."""
    lines = [
        f"portfolio {state['portfolio']}",
        "",
        *_batches(state["batches"]),
        *_withdrawn(state["withdrawn"]),
        "",
        *_outcomes(state["outcomes"]),
        *_champions(state["champions"], state["waiting"]),
        "",
        *_performance(state["performance"]),
        *_landing(state["landing"]),
        *_alerts(state),
        "",
        _on_time(state["slo"]),
    ]
    if state["stages"]:
        lines += ["", "seconds by stage (work inside tasks, all runs)"]
        lines += [
            f"  {row['stage']:<10} {float(row['seconds']):8.1f} s  {row['tasks']:>4} tasks"
            f"  {row['rows']:>9,} rows" + (f"  {row['errors']} errors" if row["errors"] else "")
            for row in state["stages"]
        ]
    return "\n".join(lines)


def _batches(batches: list[dict[str, Any]]) -> list[str]:
    if not batches:
        return ["no batch yet: run `loan-scoring ingest`"]
    head = ("batch", "revision", "received", "accepted", "quarantined", "scored", "referred")
    lines = [f"{head[0]:<11}" + "".join(f"{name:>12}" for name in head[1:])]
    for row in batches:
        counts = [row[name] for name in head[1:]]
        if row["batch_id"] == "history":
            counts[-2:] = ["trains", ""]
        lines.append(f"{row['batch_id']:<11}" + "".join(f"{_count(each):>12}" for each in counts))
    nights = [row for row in batches if row["batch_id"] != "history"]
    totals = [sum(row[name] or 0 for row in nights) for name in head[2:]]
    lines.append(f"{'all nights':<23}" + "".join(f"{total:>12,}" for total in totals))
    sources = sorted({"synthetic" if "synthetic" in row["source"] else "real" for row in batches})
    if sources == ["real"]:
        return lines
    return [*lines, f"DATA: {' and '.join(sources)}: synthetic rows are generated, not real loans"]


def _withdrawn(batches: list[dict[str, Any]]) -> list[str]:
    return [
        f"withdrawn  {row['batch_id']} revision {row['revision']} by {row['withdrawn_by']} on "
        f"{row['withdrawn_at']:%Y-%m-%d}: {row['withdrawal_comment']}"
        for row in batches
    ]


def _outcomes(drops: list[dict[str, Any]]) -> list[str]:
    """Return a line for each file of outcomes, in the columns of the batches above."""
    lines = []
    for row in drops:
        notes = [f"{row['open']:,} open"] * bool(row["open"])
        notes += [f"{rule} {rows:,}" for rule, rows in (row["rules"] or {}).items()]
        notes += ["withdrawn"] * (row["state"] == "withdrawn")
        lines.append(
            f"{row['drop_id']:<23}{row['received']:>12,}{row['accepted']:>12,}"
            f"{row['quarantined']:>12,}{'  ' * bool(notes)}{', '.join(notes)}"
        )
    return [*lines, ""] if lines else []


def _landing(findings: list[dict[str, Any]]) -> list[str]:
    lines = [f"  {row['finding']:<9} {row['message']}" for row in findings]
    return ["landing folder and tables differ", *lines, ""] if lines else []


def _count(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:,}"


def _champions(champions: dict[str, Any], waiting: dict[str, Any] | None) -> list[str]:
    lines = [] if champions else ["no champion yet: no batch can be scored"]
    if waiting is not None:
        lines.append(waiting["text"])
    for kind, row in champions.items():
        holdout = f", hold-out AUC {row['auc']:.4f} on {row['rows']:,} loans" if row["auc"] else ""
        lines.append(
            f"champion {kind}: {row['model_version']} ({row['algorithm']}){holdout},"
            f" promoted by {row['promoted_by']}"
        )
    return lines


def _performance(nights: list[dict[str, Any]]) -> list[str]:
    measured = [row for row in nights if row["estimated_auc"] is not None]
    if not measured:
        return []
    lines = [
        f"AUC of the last nights {'estimated':>11}  95 % interval       realised  outcomes as of"
    ]
    for row in measured:
        realised = "-" if row["realised_auc"] is None else f"{row['realised_auc']:.3f}"
        unknown = f"{row['state']}{_lacking(row)}"
        lines.append(
            f"  {row['batch_id']:<20} {row['estimated_auc']:11.3f}"
            f"  [{row['estimated_auc_lower']:.3f}, {row['estimated_auc_upper']:.3f}]"
            f"      {realised if row['state'] == 'realised' else unknown}{_as_of(row)}"
        )
    return [*lines, ""]


def _lacking(row: dict[str, Any]) -> str:
    """Say how many outcomes a night has, if it has some but too few."""
    if not row.get("outcomes"):
        return ""
    return f" ({row['outcomes']:,} outcomes, {row['outcomes_needed']:,} needed)"


def _as_of(row: dict[str, Any]) -> str:
    return f"     {row['outcomes_as_of']:%Y-%m-%d %H:%M}" if row["outcomes_as_of"] else ""


def _alerts(state: dict[str, Any]) -> list[str]:
    lines = ["open alerts by night"]
    nights = [row for row in state["batches"] if row["batch_id"] != "history"]
    for night in nights:
        alerts = [each for each in state["open_alerts"] if each["batch_id"] == night["batch_id"]]
        if night["scored"] is None:
            lines.append(f"  {night['batch_id']}  not scored")
        elif not night["open_alerts"] and not alerts:
            lines.append(f"  {night['batch_id']}  none")
        lines += map(_alert, alerts)
    # The loop above shows only alerts of nights. Add the alerts of refused batches, of batches that
    # never landed, of `history`, and of stages that run without a batch. An alert of such a stage
    # has a date as batch_id.
    shown = {night["batch_id"] for night in nights}
    lines += [_alert(each) for each in state["open_alerts"] if each["batch_id"] not in shown]
    return lines if nights or state["open_alerts"] else ["open alerts: none"]


def _alert(alert: dict[str, Any]) -> str:
    return f"  {alert['batch_id']}  {alert['severity']}{_lasting(alert)}: {alert['message']}"


def _lasting(alert: dict[str, Any]) -> str:
    if alert["batches"] == 1:
        return ""
    return f", {alert['batches']} batches to {alert['last_batch_id']}"


def _on_time(slo: dict[str, Any]) -> str:
    if not slo["nights"]:
        return "nights on time: none was due in the last 30 days"
    return (
        f"nights on time: {slo['nights_on_time']} of {slo['nights']}"
        f" within {slo['scored_within_minutes']:g} minutes of landing"
        f" (objective {slo['objective']:.4g}); error budget {slo['error_budget']:g} late nights,"
        f" {slo['error_budget_left']:g} left"
    )
