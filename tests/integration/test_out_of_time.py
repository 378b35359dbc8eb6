"""A night with outcomes is kept from the fit, measured, and judged."""

from pathlib import Path

import numpy as np
import pytest

from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.models.card.content import read_card
from loan_scoring.models.card.render import render_card_markdown
from loan_scoring.models.promotion.judge import judge_challenger
from loan_scoring.models.training.fit import split_rows
from loan_scoring.models.training.rows import freeze_rows
from loan_scoring.models.training.run import train

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"


def test_last_night_is_measured_and_judged_and_not_learnt(scored: Session, drops: Replay) -> None:
    take_outcomes(scored, Path(drops.outcome_files[0]))
    before = freeze_rows(scored)
    raw = scored.contract.model_dump()
    raw["training"] |= {
        "out_of_time": {"batches": 1},
        "candidates": {"logistic_regression": [{"C": 0.1}]},
    }
    session = Session(Contract.model_validate(raw), scored.connection)
    training = freeze_rows(session)
    assert training.fingerprint != before.fingerprint
    parts = split_rows(session.contract, training)
    days = np.array(training.table.column("cohort_day").to_pylist(), dtype=object)
    assert {days[place] for place in parts.last} == {NIGHT}
    assert {days[place] for place in [*parts.learn, *parts.test]} == {None}

    versions, _ = train(session, "cli:ann")
    row = registry.model_row(session, versions["propensity"])
    found = row["evaluation"]["out_of_time"]
    assert (found["first"], found["rows"]) == (NIGHT, len(parts.last))
    assert found["default_rate"] == pytest.approx(parts.y[parts.last].mean())
    assert [each["cohort"] for each in row["evaluation"]["vintages"]] == [None, NIGHT]
    assert row["training_data"]["triggered_by"] == "cli:ann"

    judgement = judge_challenger(session, versions)
    by_name = {gate.gate: gate for gate in judgement.gates}
    over_time = by_name["out_of_time"].figures
    assert over_time["rows"] == found["rows"]
    assert over_time["auc"] == pytest.approx(found["auc"])
    # The champion was fitted before the night came, so all of its loans are new to it too.
    assert over_time["champion_rows"] == found["rows"]
    assert by_name["stable"].figures["psi"] == pytest.approx(found["psi"])
    assert judgement.holdout["rows"] == len(parts.test)
    assert judgement.holdout["looks"] == 2
    card = render_card_markdown(read_card(session, versions["propensity"]))
    assert f"No fit saw the {found['rows']:,} loans" in card
    assert "2 models, this one included, had been measured" in card


def test_card_says_why_there_is_no_out_of_time_validation(ready: Session) -> None:
    card = render_card_markdown(read_card(ready, "propensity-1"))
    assert "There is no out-of-time validation: the contract declares no" in card
    assert "1 model, this one included, had been measured" in card
