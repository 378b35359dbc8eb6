"""Make the card's section on the nights that a model scored in shadow or decided as a canary."""

from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models.card.blocks import Block, Section, Table, Text

HEAD = [
    "night", "beside", "loans", "agreement", "comes in", "goes out", "approval rate", "mean PD",
    "PSI", "outcomes", "AUC", "champion's", "difference", "log loss difference",
]  # fmt: skip


def shadow_sections(session: Session, model_version: str) -> list[Section]:
    """Return the section on a propensity version in shadow. Empty if it never was in shadow."""
    with database.transaction(session.connection):
        values = {"model_version": model_version}
        shadows = database.rows(session.connection, "select_shadows", **values)
        nights = database.rows(session.connection, "select_shadow_nights", **values)
        canaries = database.rows(session.connection, "select_canary_nights", **values)
    if not shadows:
        return []
    blocks: list[Block] = [Text(standing(each)) for each in reversed(shadows)]
    if nights:
        blocks += [
            Table(HEAD, [night_cells(each) for each in nights], frozenset(range(2, len(HEAD)))),
            Text(
                "Both models scored the same loans, and readers saw the champion's scores. "
                "Agreement is the share of equal decisions; comes in and goes out are loans that "
                "only the challenger or only the champion approves; rates are the challenger's "
                "minus the champion's. Brackets are paired intervals of the difference."
            ),
        ]
    if canaries:
        blocks += [
            Table(
                ["night", "loans of the canary", "approval rate", "mean PD", "result"],
                [
                    [
                        each["batch_id"],
                        f"{each['loans']:,}",
                        _two(each["approval_rate"], each["champion_approval_rate"]),
                        _two(each["mean_probability"], each["champion_mean_probability"]),
                        f"stopped: {each['stopped_by']}" if each["stopped_by"] else "published",
                    ]
                    for each in canaries
                ],
                frozenset(range(1, 4)),
            ),
            Text(
                "As a canary it decided a share of the loans. The rates are its own and the "
                "champion's on the same loans."
            ),
        ]
    return [Section("In shadow", blocks)]


def standing(shadow: database.Row) -> str:
    """Return a sentence on what became of a challenger in shadow."""
    since = f"{shadow['started_at']:%Y-%m-%d %H:%M} UTC"
    text = f"In shadow since {since} by {shadow['started_by']}, beside {shadow['champion']}"
    if shadow["ended_as"] is None:
        stage = "now a canary" if shadow["stage"] == "canary" else "still in shadow"
        return f"{text}; {stage}."
    reason = f": {shadow['reason']}" if shadow["reason"] else ""
    ended_as = shadow["ended_as"].replace("_", " ")
    return f"{text}; {ended_as} {shadow['ended_at']:%Y-%m-%d %H:%M} UTC{reason}."


def night_cells(night: database.Row) -> list[str]:
    """Return the texts of a night of table `shadow_nights`, in the order of HEAD."""
    return [
        night["batch_id"],
        night["champion"],
        f"{night['loans']:,}",
        _share(night["agreement"]),
        f"{night['comes_in']:,}",
        f"{night['goes_out']:,}",
        _points(night["approval_rate_difference"]),
        _points(night["mean_probability_difference"]),
        _number(night["psi"]),
        f"{night['outcomes']:,}",
        _number(night["auc"]),
        _number(night["champion_auc"]),
        _interval(night["auc_difference"], night["auc_lower"], night["auc_upper"]),
        _interval(night["log_loss_difference"], night["log_loss_lower"], night["log_loss_upper"]),
    ]


def _two(own: Any, theirs: Any) -> str:
    return "" if own is None else f"{own:.1%}, {theirs:.1%}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.2f} points"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    return "" if value is None else f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"
