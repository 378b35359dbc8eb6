"""Bands of a protected number are groups at the gates, on the card, of a night, and on its page."""

import pytest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.applications import labelled_applications
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.promotion.judge import judge_challenger
from loan_scoring.models.training.evaluation import evaluate_holdout
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring_web.pages.batch import read_batch_page

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
GROUPS = ["under 600", "600 to under 700", "700 to under 800", "800 and more"]


@pytest.fixture
def banded(scored: Session) -> Session:
    raw = scored.contract.model_dump()
    raw["protected"] = [*raw["protected"], {"column": "credit_score", "bands": [600, 700, 800]}]
    raw["promotion"]["fairness"]["attributes"] = None
    return Session(Contract.model_validate(raw), scored.connection)


def test_gates_compare_bands(banded: Session) -> None:
    fair = judge_challenger(banded, {"propensity": "propensity-1"}).gates[2]
    parity = fair.figures["attributes"]["credit_score"]
    assert [each["group"] for each in parity["groups"]] == GROUPS
    ((lowest, rows),) = database.select_read_only(
        banded.connection,
        "select count(*) filter (where credit_score < 600), count(*) from current_applications"
        " where batch_id = 'history'",
    )[1]
    share = parity["groups"][0]["rows"] / sum(each["rows"] for each in parity["groups"])
    assert share == pytest.approx(lowest / rows, abs=0.05)


def test_card_shows_bands(banded: Session) -> None:
    contract = banded.contract
    columns = [column.name for column in contract.inputs]
    holdout = labelled_applications(banded, columns).slice(0, 2000)
    scorer = registry.load_scorer(banded, "propensity-1", "personas-1")
    scores = scorer.score(holdout)
    kept = scores.column("default_probability").is_valid()
    found = evaluate_holdout(scorer, holdout.filter(kept), scores.filter(kept))
    attributes = {each["attribute"]: each["groups"] for each in found["fairness"]}
    assert list(attributes) == contract.protected_groups
    assert [each["group"] for each in attributes["credit_score"]] == GROUPS


def test_night_and_page_compare_bands(banded: Session) -> None:
    compare_batch(banded, NIGHT)
    ((groups,),) = database.select_read_only(
        banded.connection,
        "select groups from fairness where attribute = 'credit_score'"
        " and metric = 'demographic_parity_ratio'",
    )[1]
    assert [each["group"] for each in groups] == GROUPS
    page = read_batch_page(banded, NIGHT)
    assert page is not None
    shown = {each["label"]: each["groups"] for each in page["fairness"]}
    assert shown[banded.contract.by_name["credit_score"].label] == groups
