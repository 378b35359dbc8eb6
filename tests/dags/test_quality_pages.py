"""The quality pages show verdicts as the database has them, the failed ones first."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

Token = Callable[[str], dict[str, str]]
P = "/loan-scoring/p/loan_default/quality"
NIGHT = "2026-01-05"


@pytest.fixture
def failed(night: Session) -> Session:
    """The scored night with one expectation that failed, and rows in quarantine."""
    with database.transaction(night.connection), night.connection.cursor() as cursor:
        cursor.execute(
            "update quality set is_success = false, observed = 0.25, unexpected_count = 250"
            " where batch_id = %s and expectation = 'null_share:income_usd_per_month'",
            [NIGHT],
        )
        assert cursor.rowcount == 1
        cursor.execute(
            "insert into quarantine (batch_id, revision, line_number, raw_text, rules)"
            " select %s, 1, n, '<b>7</b>', case when n < 303 then"
            " '{range:loan_amount_usd}' else '{duplicate_key,range:loan_amount_usd}' end::text[]"
            " from generate_series(2, 304) n",
            [NIGHT],
        )
        cursor.execute(
            "insert into quality (batch_id, revision, expectation, severity, column_name,"
            " is_success, observed, unexpected_count, limits)"
            " values (%s, 1, 'quarantined:duplicate_key', 'warning', null, true, 0.002, 2, %s)",
            [NIGHT, '{"usual_share": 0}'],
        )
    return night


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    plain = unescape(re.sub(r"<[^>]*>", " ", answer.text.partition("<main")[2]))
    return re.sub(r"\s+", " ", plain)


def names(answer: Any) -> list[str]:
    return re.findall(r'data-expectation="(.*?)"', answer.text)


def test_failed_come_first_and_a_filter_leaves_the_others_out(
    client: Any, token: Token, failed: Session
) -> None:
    seen = token("viewer")
    every = names(client.get(f"{P}/{NIGHT}", headers=seen))
    known = database.select_read_only(
        failed.connection, f"select expectation from quality where batch_id = '{NIGHT}'"
    )[1]
    assert sorted(every) == sorted(name for (name,) in known)
    assert every[0] == "null_share:income_usd_per_month"
    shown = text(client.get(f"{P}/{NIGHT}?state=failed", headers=seen))
    assert f"{len(every) - 1} of {len(every)} expectations are met, 1 warned" in shown
    assert "Monthly income: usual share of missing values warning missing in at most" in shown
    assert "25.00 % 250" in shown
    assert names(client.get(f"{P}/{NIGHT}?state=met", headers=seen)) == every[1:]


def test_rows_in_quarantine_are_listed_by_rule_without_their_text(
    client: Any, token: Token, failed: Session
) -> None:
    seen = token("viewer")
    page = client.get(f"{P}/{NIGHT}", headers=seen)
    assert "303 rows, the first 200 shown" in text(page)
    assert "<b>7</b>" not in page.text
    of_rule = text(client.get(f"{P}/{NIGHT}?rule=duplicate_key", headers=seen))
    assert "2 rows by the rule duplicate_key" in of_rule
    assert "303 duplicate_key , range:loan_amount_usd" in of_rule
    assert "0 rows by the rule none" in text(client.get(f"{P}/{NIGHT}?rule=none", headers=seen))


def test_expectation_over_nights(client: Any, token: Token, failed: Session) -> None:
    seen = token("viewer")
    shown = text(client.get(f"{P}?expectation=null_share:income_usd_per_month", headers=seen))
    assert "Monthly income: usual share of missing values" in shown
    assert f"{NIGHT} warning missing in at most" in shown
    nobody = client.get(f"{P}?expectation=other", headers=seen)
    assert nobody.status_code == 404
    assert "no night was held against" in nobody.text
    none = client.get(f"{P}?expectation=row_count&until=2025-01-01", headers=seen)
    assert "None of these nights" in text(none)


@pytest.mark.parametrize("path", ["2026-01-06", "2026-1-6", f"{NIGHT}?revision=9", "outcomes-x"])
def test_unknown_batch_or_revision_is_not_found(
    client: Any, token: Token, night: Session, path: str
) -> None:
    assert client.get(f"{P}/{path}", headers=token("viewer")).status_code == 404


def test_history_and_every_revision_has_a_page(client: Any, token: Token, night: Session) -> None:
    for path in ("history", f"{NIGHT}?revision=1"):
        assert "expectations are met" in text(client.get(f"{P}/{path}", headers=token("viewer")))
