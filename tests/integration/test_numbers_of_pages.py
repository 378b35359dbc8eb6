"""The numbers of all pages against SQL: the same value, with the same label of its denominator.

A page is one line in READERS: how to read and render it. A number is one line in `expected`: the
text that SQL gives, and the pages on which it must stand so.
"""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.store import update_alerts
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring_web.pages.alerts import read_alerts_page
from loan_scoring_web.pages.batch import read_batch_page
from loan_scoring_web.pages.batches import read_batches_page
from loan_scoring_web.pages.drift import read_drift_page
from loan_scoring_web.pages.drift_two import read_two_page
from loan_scoring_web.pages.operations import read_operations_page
from loan_scoring_web.pages.overview import read_portfolio_page
from loan_scoring_web.pages.templating import count, percent, render_template
from loan_scoring_web.pages.timeline import read_timeline_page
from loan_scoring_web.story_forms import TimelineQuery

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
KNOWN = {
    "base": "", "airflow": "", "portfolio": "loan_default", "portfolios": ["loan_default"],
    "user": "ann", "me": "airflow:ann", "is_operator": True, "is_admin": True, "may_promote": True,
    "active": None, "failed_tries": 0,
}  # fmt: skip

READERS: dict[str, tuple[str, Callable[[Session], dict[str, Any] | None]]] = {
    "portfolio": ("overview.html", read_portfolio_page),
    "batches": ("batches.html", read_batches_page),
    "batch": ("batch.html", lambda s: read_batch_page(s, NIGHT)),
    "two": ("drift_two.html", lambda s: read_two_page(s, NIGHT, NIGHT)),
    "drift": ("drift.html", lambda s: read_drift_page(s, 30, shows_stable=True)),
    "alerts": ("alerts.html", read_alerts_page),
    "timeline": ("timeline.html", lambda s: read_timeline_page(s, TimelineQuery())),
    "operations": ("operations.html", read_operations_page),
}


@pytest.fixture
def measured(scored: Session) -> Session:
    """A scored night that is compared with the baseline."""
    compare_batch(scored, NIGHT)
    update_alerts(scored)
    return scored


def one(session: Session, query: str) -> Any:
    return database.select_read_only(session.connection, query)[1][0][0]


def shown(session: Session) -> dict[str, str]:
    """Return the text of each page, without tags and with single blanks."""
    found = {}
    for name, (template, read) in READERS.items():
        values = read(session)
        assert values is not None
        page = render_template(template, **KNOWN, **values)
        page = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
        found[name] = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    return found


def expected(session: Session) -> list[tuple[str, list[str]]]:
    """Return texts with their denominators, straight from the scores, and their pages."""
    scores = (
        "FROM scores JOIN scoring_runs USING (scoring_run_id)"
        f" WHERE is_current AND scoring_runs.batch_id = '{NIGHT}'"
    )
    loans = one(session, f"SELECT count(*) {scores}")
    probable = one(session, f"SELECT count(default_probability) {scores}")
    by = {
        name: one(session, f"SELECT count(*) {scores} AND decision = '{name}'")
        for name in ("approve", "review", "decline", "refer")
    }
    assert sum(by.values()) == loans
    assert by["refer"] == loans - probable > 0, "all and scored must differ to be told apart"
    # The stage corrects probabilities by the hold-out's calibration curve, so their plain mean is
    # another number. Personas together are all scored loans.
    rate = one(
        session,
        "SELECT sum(loans * expected_default_rate) / sum(loans) FROM segments"
        " JOIN scoring_runs USING (scoring_run_id)"
        f" WHERE is_current AND batch_id = '{NIGHT}' AND segmented_by = 'persona'",
    )
    alerts = one(session, "SELECT count(*) FROM alerts WHERE state <> 'resolved'")
    both = f"{percent(by['approve'] / loans)} of all, {percent(by['approve'] / probable)} of scored"
    waiting = by["review"] + by["refer"]
    return [
        (both, ["batches", "two"]),
        (f"{percent(by['approve'] / loans)} of all", ["portfolio", "batches", "batch", "two"]),
        (f"{percent(by['approve'] / probable)} of scored", ["portfolio", "batch", "two"]),
        (f"{percent(by['refer'] / loans)} of all", ["portfolio", "batch", "two"]),
        (f"{count(by['refer'])} loans", ["portfolio", "batch"]),
        (count(probable), ["portfolio", "batches", "batch", "two", "timeline"]),
        (f"Expected default rate, of scored {percent(rate)}", ["portfolio", "two"]),
        (f"Default rate, of scored {percent(rate)}", ["batch"]),
        (f"Open alerts {alerts}", ["portfolio"]),
        (f"{alerts} open", ["alerts"]),
        (f"{count(waiting)} of {count(waiting)} left to a person", ["portfolio"]),
    ]


def test_numbers_of_all_pages_are_those_of_sql(measured: Session) -> None:
    pages = shown(measured)
    wrong = [
        f"{name}: no '{text}'"
        for text, names in expected(measured)
        for name in names
        if text not in pages[name]
    ]
    assert wrong == []


def test_no_share_of_approvals_stands_without_its_denominator(measured: Session) -> None:
    pages = shown(measured)
    for name in ("portfolio", "batches", "two"):
        found = re.findall(r"Approved by the policy [0-9.]+ %(?! of (?:all|scored))", pages[name])
        assert found == [], name
    assert not any(re.search(r"Approval rate\b", pages[name]) for name in pages)
