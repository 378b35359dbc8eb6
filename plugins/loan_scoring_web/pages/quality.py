"""Read the template values of the quality pages: the expectations of a batch, one over nights."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.errors import MissingError
from loan_scoring.ingest.quality.expectations import QUARANTINED
from loan_scoring_web.pages import plots
from loan_scoring_web.pages.nights import MOST_NIGHTS, range_of
from loan_scoring_web.pages.templating import count, percent, shown_value

MOST_ROWS = 200
"""Maximum number of quarantined rows on the page. The CSV file has all of them."""

RULES = {
    "schema": "columns as in the contract",
    "row_count": "at least one row",
    "unique": "keys are distinct",
    "volume": "usual number of rows",
    "volume_critical": "number of rows that can be believed",
    "null_share": "usual share of missing values",
    "null_share_critical": "share of missing values that can be believed",
    "levels": "known levels only",
    "open_levels": "levels of the contract",
    "range": "values in their range",
}
"""What each rule of an expectation asks for."""


def read_quality_page(
    session: Session, batch_id: str, revision: int | None, state: str | None, rule: str | None
) -> dict[str, Any]:
    """Return the template values of the expectations of a batch revision, the failed ones first.

    Args:
        session: database session that reads.
        batch_id: batch of the page. It may be `history`.
        revision: revision of the batch. None means the current one, or else the last one.
        state: `failed` or `met` shows only these expectations. None shows all.
        rule: row rule whose quarantined rows are listed. None lists all.

    Raises:
        MissingError: the revision does not exist.
    """
    connection = session.connection
    revisions = database.rows(connection, "select_batch_revisions", batch_id=batch_id)
    chosen = [
        each
        for each in revisions
        if (each["is_current"] if revision is None else each["revision"] == revision)
    ]
    if not (chosen or (revisions and revision is None)):
        what = "" if revision is None else f" revision {revision}"
        raise MissingError(f"there is no batch {batch_id}{what}")
    batch = (chosen or [max(revisions, key=lambda each: each["revision"])])[0]
    key = {"batch_id": batch_id, "revision": batch["revision"]}
    found = database.rows(connection, "select_quality_of_revision", **key)
    verdicts = [_described(session.contract, each, batch) for each in found]
    wanted = {"failed": False, "met": True}.get(state or "")
    lines = database.rows(connection, "select_quarantined_lines", **key, rule=rule, rows=MOST_ROWS)
    return {
        "batch": batch,
        "batch_id": batch_id,
        "revisions": revisions,
        "state": state,
        "rule": rule,
        "verdicts": [each for each in verdicts if wanted in (None, each["is_success"])],
        "judged": len(verdicts),
        "critical": _failed(verdicts, "critical"),
        "warnings": _failed(verdicts, "warning"),
        "rules": sorted({each for line in lines for each in line["rules"]} | {rule or ""} - {""}),
        "lines": lines,
        "found": lines[0]["found"] if lines else 0,
    }


def read_trend_page(
    session: Session, expectation: str, nights: int, since: str | None, until: str | None
) -> dict[str, Any]:
    """Return the template values of one expectation over nights, the newest first.

    Args:
        session: database session that reads.
        expectation: name of the expectation, as `rule` or `rule:column`.
        nights: number of nights up to `until`, unless `since` is given.
        since: oldest night to show.
        until: newest night to show.

    Raises:
        MissingError: no night was held against the expectation.
    """
    found = database.rows(
        session.connection, "select_expectation_over_nights", expectation=expectation,
        nights=MOST_NIGHTS if since else nights, since=since, until=until,
    )  # fmt: skip
    if not found and not (since or until):
        raise MissingError(f"no night was held against an expectation {expectation[:60]!r}")
    named = {"expectation": expectation, "column_name": _column_of(session.contract, expectation)}
    found = [_described(session.contract, {**each, **named}, each) for each in found]
    return {
        "expectation": expectation,
        "title": _title(session.contract, expectation),
        "verdicts": found,
        "nights": nights,
        "since": since,
        "until": until,
        "range": range_of(nights, since, until),
        "plot": _trend(found[::-1]),
    }


def _failed(verdicts: list[dict[str, Any]], severity: str) -> int:
    return sum(not each["is_success"] and each["severity"] == severity for each in verdicts)


def _column_of(contract: Contract, expectation: str) -> str | None:
    name = expectation.rpartition(":")[2]
    return name if name in contract.by_name else None


def _title(contract: Contract, expectation: str) -> str:
    """Return what an expectation asks for, as a title.

    The rule of quarantined rows is named as the contract names it.
    """
    column = contract.by_name.get(_column_of(contract, expectation) or "")
    place = f"{column.label}: " if column else ""
    if expectation == f"{QUARANTINED}_critical":
        return "Share of rows in quarantine that the contract allows"
    if expectation == QUARANTINED:
        return "Usual share of rows in quarantine"
    if expectation.startswith(f"{QUARANTINED}:"):
        rule = expectation.split(":")[1].replace("_", " ")
        return f"{place}usual share of rows refused by the rule {rule}"
    rule = RULES.get(expectation.split(":")[0], expectation)
    return f"{place}{rule}" if column else rule.capitalize()


def _described(contract: Contract, verdict: database.Row, batch: database.Row) -> dict[str, Any]:
    """Return a verdict with its words: title, what was expected, what was found.

    `share` is the observed value if it is a share, so that a page draws the trend as percentages.
    """
    name = verdict["expectation"]
    is_count = name.split(":")[0] in ("row_count", "volume", "volume_critical")
    observed = verdict["observed"]
    shown = count(observed) if is_count else percent(observed, 2)
    if verdict["observed_text"] and not name.startswith(QUARANTINED):
        shown = f"{shown}: {verdict['observed_text']}" if observed else verdict["observed_text"]
    return {
        **verdict,
        "title": _title(contract, name),
        "severity_shown": "stable" if verdict["is_success"] else verdict["severity"],
        "expected": _expected(name, verdict["limits"]),
        "shown": shown,
        "limit": _limit(verdict["limits"]),
        "is_count": is_count,
        "rows": batch["received"] if name.startswith(QUARANTINED) else batch["accepted"],
        "rule": name.removeprefix(f"{QUARANTINED}:") if name.startswith(f"{QUARANTINED}:") else "",
    }


def _expected(name: str, limits: dict[str, Any]) -> str:
    if name.startswith(QUARANTINED):
        if "max_share" in limits:
            return f"at most {percent(limits['max_share'])} of the file"
        usual = limits.get("usual_share")
        return "no usual share known yet" if usual is None else f"usual {percent(usual, 2)}"
    if "mostly" in limits:
        return f"missing in at most {percent(1 - limits['mostly'], 2)}"
    if "value_set" in limits:
        levels = [str(each) for each in limits["value_set"]]
        more = f" and {len(levels) - 8} more" if len(levels) > 8 else ""
        return f"only {', '.join(levels[:8])}{more}"
    if "column_set" in limits:
        return f"the {len(limits['column_set'])} columns of the contract"
    low, high = limits.get("min_value"), limits.get("max_value")
    if low == high == 1:
        return "100 % distinct"
    if high is None:
        return f"at least {shown_value(low)}"
    return (
        f"at most {shown_value(high)}"
        if low is None
        else (f"{shown_value(low)} to {shown_value(high)}")
    )


def _limit(limits: dict[str, Any]) -> tuple[float | None, float | None]:
    """Return the lowest and the highest observed value that is as expected. None if it varies."""
    if "mostly" in limits:
        return None, 1 - limits["mostly"]
    if "max_share" in limits:
        return None, limits["max_share"]
    if "table_row_count" in limits.get("type", ""):
        return limits.get("min_value"), limits.get("max_value")
    return None, None


def _trend(verdicts: list[dict[str, Any]]) -> plots.Plot | None:
    """Draw the observed value by night, the oldest first, with the limits of each night."""
    if not any(each["observed"] is not None for each in verdicts):
        return None
    x = [each["batch_id"] for each in verdicts]
    is_count = verdicts[0]["is_count"]
    form = ",.0f" if is_count else ".2%"
    line = plots.night_line(
        "found", x, [each["observed"] for each in verdicts], "--blue", form=form
    )
    colours = {"stable": "--green", "warning": "--orange", "critical": "--drifted"}
    line["marker"] = {
        "size": 8,
        "color": [colours[each["severity_shown"]] for each in verdicts],
    }
    traces = [line]
    for place, name in enumerate(("at least", "at most")):
        limits = [each["limit"][place] for each in verdicts]
        if any(limit is not None for limit in limits):
            bound = plots.night_line(name, x, limits, "--grey", form=form, mode="lines")
            bound["line"] |= {"dash": "dash", "width": 1}
            traces.append(bound)
    axis: dict[str, Any] = {"rangemode": "tozero"}
    axis |= {"tickformat": ",.0f" if is_count else ".2~%"}
    return plots.make_plot(traces, xaxis=plots.nights_axis(x), yaxis=axis)
