"""Recovered amounts make the realised loss of a night, and are measured again when they change."""

from pathlib import Path
from typing import Any

import pytest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.performance.restate import restate_performance
from loan_scoring_web.pages.batch import read_batch_page
from loan_scoring_web.pages.templating import render_template

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"


def select(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


def realised(session: Session) -> dict[str, tuple[float, float, int]]:
    rows = select(
        session,
        "select metric, value, baseline, loans from performance where basis = 'realised'"
        " and segment = 'all' and metric like 'loss%'",
    )
    return {metric: (value, baseline, loans) for metric, value, baseline, loans in rows}


def by_hand(session: Session) -> tuple[float, float]:
    """Return the loss of all scored defaults, and of those whose recovery is known its share."""
    ((loss, share),) = select(
        session,
        "select sum(case when recovered is null then 0.45 * amount"
        "                else greatest(amount - recovered, 0) end),"
        "       sum(greatest(amount - recovered, 0)) filter (where recovered is not null)"
        "       / sum(amount) filter (where recovered is not null)"
        " from (select o.recovered, a.loan_amount_usd as amount from current_scores as s"
        "       join outcomes as o using (loan_id) join current_applications as a using (loan_id)"
        "       where o.is_default and s.default_probability is not null) as t",
    )
    return float(loss), float(share)


def test_recoveries_are_the_realised_loss(scored: Session, drops: Replay, tmp_path: Path) -> None:
    raw = scored.contract.model_dump()
    raw["outcomes"] = {"recovered": {"source": "back", "thousands": ","}}
    session = Session(Contract.model_validate(raw), scored.connection)
    header, *lines = drops.outcome_files[0].read_text().splitlines()
    texts = ["", '"12,345.50"', "0", "1e9", "50000"]
    rows = [f"{line},{texts[place % 5]}" for place, line in enumerate(lines)]
    path = tmp_path / "told.csv"
    path.write_text("\n".join([f"{header},back", *rows]) + "\n")
    assert take_outcomes(session, path).quarantined == 0
    assert restate_performance(session) != []
    loss, share = by_hand(session)
    found = realised(session)
    assert found["loss"][0] == pytest.approx(loss)
    assert found["loss_given_default"][:2] == (pytest.approx(share), 0.45)
    page = read_batch_page(session, NIGHT)
    assert page is not None
    shown = render_template(
        "batch.html", base="", airflow="", portfolio="loan_default", portfolios=["loan_default"],
        user=None, is_operator=False, is_admin=False, active=None, **page,
    )  # fmt: skip
    assert "Loss given default" in shown
    assert "the contract assumes 45.0 %" in shown or "the contract assumes 45.0%" in shown

    assert restate_performance(session) == []
    later = tmp_path / "later.csv"
    later.write_text(path.read_text().replace(",50000\n", ",60000\n"))
    taken = take_outcomes(session, later)
    assert taken.loans.recovered > 0
    assert taken.accepted == taken.repeated + taken.loans.recovered
    assert restate_performance(session) != []
    assert realised(session)["loss"][0] == pytest.approx(by_hand(session)[0]) != loss
