"""The gate `reasons` stands in the evidence and on the card; a declined loan has a letter."""

from collections.abc import Callable

import pytest

from databases import url_of
from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.desk.decisions import record_decision
from loan_scoring.models.card.content import read_card
from loan_scoring.models.card.render import render_card_markdown
from loan_scoring.models.promotion.decide import promote_by_gates, promote_by_hand
from loan_scoring.models.promotion.judge import judge_challenger

pytestmark = pytest.mark.integration


def telling(session: Session, says: str) -> Session:
    """Return the session with wide gates, and a reason that says something of the income."""
    raw = session.contract.model_dump()
    raw["promotion"] |= {
        "calibration_slope": [0.1, 10],
        "fairness": {"attributes": [], "min_ratio": 0.01},
    }
    reason = {
        "code": "R01", "columns": ["income_usd_per_month"], "wording": "Income", "says": says,
    }  # fmt: skip
    return Session(Contract.model_validate(raw | {"reasons": [reason]}), session.connection)


def test_model_that_contradicts_its_reasons_is_refused_and_the_card_says_so(
    ready: Session, challenge: Callable
) -> None:
    weak = challenge("weak", ["loan_amount_usd", "term_months"], max_iter=10)
    promote_by_hand(ready, weak["propensity"], "cli:ann", "a drill")
    versions = challenge(
        "strong", ["income_usd_per_month", "ltv_percent"], max_iter=40, monotonic_cst=[-1, 0]
    )
    honest = judge_challenger(telling(ready, "too_low"), versions)
    assert "reasons" in [gate.gate for gate in honest.gates]
    assert "reasons" not in honest.failed
    false = telling(ready, "too_high")
    assert "reasons" in judge_challenger(false, versions).failed
    assert promote_by_gates(false, versions) == "refused"
    text = render_card_markdown(read_card(false, versions["propensity"]))
    figures = judge_challenger(false, versions).gates[-1].figures["reasons"][0]
    row = f"| R01: Income | {figures['loans']:,} | {figures['agree']:.1%} |"
    assert row in text
    assert "exact Shapley values" in text


def test_contract_without_told_directions_has_no_gate(ready: Session) -> None:
    judged = judge_challenger(ready, {"propensity": "propensity-1", "personas": "personas-1"})
    assert "reasons" not in [gate.gate for gate in judged.gates]


def test_letter_states_the_recorded_reasons_until_a_person_decides(
    scored: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    _, [[loan, first]] = database.select_read_only(
        scored.connection,
        "select loan_id, reason_1 from current_scores where decision = 'decline' "
        "order by default_probability limit 1",
    )
    letter = ["loan", str(loan), "--letter", "--database", url_of(scored)]
    assert main(letter) == 0
    assert f"\n- {first}\n" in capsys.readouterr().out
    _, [[approved]] = database.select_read_only(
        scored.connection,
        "select loan_id from current_scores where decision = 'approve' order by 1 limit 1",
    )
    assert main(["loan", str(approved), "--letter", "--database", url_of(scored)]) == 1
    assert "is approve, so there is no letter" in capsys.readouterr().err
    _, [[reviewed]] = database.select_read_only(
        scored.connection,
        "select loan_id from current_scores where decision = 'review' order by 1 limit 1",
    )
    record_decision(scored, reviewed, "decline", "no proof of income", "airflow:ann")
    scored.connection.commit()
    assert main(["loan", str(reviewed), "--letter", "--database", url_of(scored)]) == 1
    assert "airflow:ann decided" in capsys.readouterr().err
