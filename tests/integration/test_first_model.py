"""A portfolio without a champion: what waits, why, and what to type, wherever somebody looks."""

from collections.abc import Callable
from typing import Any

import pytest

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import apply_verdict, promote_by_gates, promote_by_hand
from loan_scoring.models.training.rows import freeze_rows
from loan_scoring.models.waiting import too_few_loans, waiting_model
from loan_scoring.monitoring.status import read_status
from loan_scoring.monitoring.status_text import render_status
from loan_scoring.scoring.batch import plan_scoring
from loan_scoring_web.pages.models import read_models_page
from loan_scoring_web.pages.overview import read_portfolio_page
from loan_scoring_web.pages.templating import render_template

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
PAIR = {"propensity": "propensity-1", "personas": "personas-1"}
COMMAND = "loan-scoring models promote propensity-1 --portfolio loan_default"


@pytest.fixture
def first(ready: Session) -> Session:
    """A session on a portfolio whose only pair was never judged."""
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute("alter table promotions disable trigger user")
        cursor.execute("delete from promotions")
        cursor.execute("alter table promotions enable trigger user")
    return ready


def changed(session: Session, **parts: Any) -> Session:
    raw = session.contract.model_dump() | parts
    return Session(Contract.model_validate(raw), session.connection)


def pages(session: Session) -> list[str]:
    given = {
        "base": "", "airflow": "", "portfolio": "loan_default", "portfolios": ["loan_default"],
        "user": None, "is_operator": False, "is_admin": False, "may_promote": False, "active": None,
        "plotly_js": "",
    }  # fmt: skip
    return [
        render_template("models.html", **given, **read_models_page(session, None, None)),
        render_template("overview.html", **given, **read_portfolio_page(session)),
    ]


def test_refused_first_model_waits_and_every_place_says_why(
    first: Session, drops: Replay, ready_url: str, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    strict = changed(
        first,
        promotion=first.contract.promotion.model_dump() | {"first_model": {"min_auc": 0.99}},
    )
    assert promote_by_gates(strict, PAIR) == "refused"
    assert f"type: {COMMAND} --comment REASON" in caplog.text
    with pytest.raises(StateError, match=f"type: {COMMAND} --comment REASON$"):
        promote_by_hand(strict, "propensity-1", "cli:tests")
    ingest_batch(first, NIGHT, drops.application_files[NIGHT])
    waiting = waiting_model(first)
    assert waiting is not None
    assert waiting.reason.startswith("propensity-1 waits, refused by better: No champion")
    assert "is below the floor of 0.99" in waiting.reason
    with pytest.raises(StateError) as caught:
        plan_scoring(first, NIGHT)
    models, overview = pages(first)
    first.connection.commit()
    assert main(["models", "list", "--database", ready_url]) == 0
    for place in (
        str(caught.value), render_status(read_status(first)), capsys.readouterr().out, models,
    ):  # fmt: skip
        assert "propensity-1 waits, refused by better: No champion" in place
        assert f"{COMMAND} --comment REASON" in place
    assert "No champion: no batch can be scored; propensity-1 waits, refused by" in overview
    promote_by_hand(strict, "propensity-1", "cli:tests", "the only one")
    assert waiting_model(first) is None
    assert "waits" not in pages(first)[0]


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (None, "propensity-1 waits for a person's decision"),
        ("rejected", "propensity-1 waits, rejected by airflow:ann: too bold"),
        ("timed_out", "propensity-1 waits, as nobody answered in time"),
    ],
)
def test_reason_is_the_last_verdict(first: Session, verdict: str | None, reason: str) -> None:
    if verdict is not None:
        by = ("airflow:ann", "too bold") if verdict == "rejected" else ("nobody", None)
        apply_verdict(first, PAIR, verdict, by[0], {"gates": []}, comment=by[1])
    waiting = waiting_model(first)
    assert waiting is not None
    assert waiting.sentence == f"{reason}; type: {COMMAND}"


def test_newer_model_waits_beside_a_champion_until_somebody_decides(
    ready: Session, challenge: Callable[..., dict[str, str]]
) -> None:
    assert waiting_model(ready) is None
    pair = challenge("second")
    waiting = waiting_model(ready)
    assert waiting is not None
    assert waiting.version == "propensity-2"
    assert "propensity-2 waits for a person" in pages(ready)[1]
    apply_verdict(ready, pair, "rejected", "airflow:ann", {"gates": []})
    assert waiting_model(ready) is None


def test_too_few_loans_are_named_as_such(first: Session, ready_url: str, capsys: Any) -> None:
    needed = "fewer than the 90,000 of training.min_loans"
    large = changed(first, training=first.contract.training.model_dump() | {"min_loans": 90_000})
    with pytest.raises(StateError, match=needed) as caught:
        freeze_rows(large)
    assert str(caught.value).endswith("--batch history --source FILE")
    with database.transaction(first.connection), first.connection.cursor() as cursor:
        cursor.execute("alter table models disable trigger user")
        cursor.execute("delete from models")
    for place in (waiting_model(large), *pages(large), render_status(read_status(large))):
        assert needed in str(place)
    with pytest.raises(StateError, match=needed):
        registry.champion_pair(large)
    waiting = waiting_model(first)
    assert waiting is not None
    assert waiting.command == "loan-scoring train --portfolio loan_default"
    first.connection.commit()
    assert main(["models", "list", "--database", ready_url]) == 0
    assert "no model is fitted yet on the" in capsys.readouterr().out


def test_one_outcome_alone_is_named_as_such(loan_default: Contract) -> None:
    assert "none of the 2,000 loans" in str(too_few_loans(loan_default, 2000, 0))
    assert "all of the 2,000 loans" in str(too_few_loans(loan_default, 2000, 2000))
    assert too_few_loans(loan_default, 2000, 1) is None
