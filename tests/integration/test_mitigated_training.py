"""A training with mitigation: what is recorded, shown, judged and scored."""

import json
from typing import Any

import pytest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.card.content import read_card
from loan_scoring.models.card.render import escape_markdown, render_card_markdown
from loan_scoring.models.promotion.judge import judge_challenger
from loan_scoring.models.report.checklist import checklist
from loan_scoring.models.report.facts import read_facts
from loan_scoring.models.training.report import training_summary
from loan_scoring.models.training.run import train

pytestmark = pytest.mark.integration


def under(session: Session, mitigation: dict[str, Any]) -> Session:
    raw = session.contract.model_dump()
    raw["training"] |= {
        "candidates": {"hist_gradient_boosting": [{"max_iter": 20}]},
        "mitigation": mitigation,
        "personas": 3,
        "resamples": 100,
    }
    return Session(Contract.model_validate(raw), session.connection)


def test_card_names_the_least_discriminatory_trial_from_recorded_counts(ready: Session) -> None:
    text = render_card_markdown(read_card(ready, "propensity-1"))
    query = """
        WITH rates AS (
            SELECT t.trial, t.auc, t.auc_standard_error, a.key AS attribute,
                   x.approved::float / x.loans AS rate
            FROM trials AS t, jsonb_each(t.fairness) AS a,
                 jsonb_to_recordset((
                     SELECT jsonb_agg(jsonb_build_object('loans', l.value, 'approved', p.value))
                     FROM jsonb_array_elements(a.value -> 'loans') WITH ORDINALITY AS l
                     JOIN jsonb_array_elements(a.value -> 'approved') WITH ORDINALITY AS p
                          USING (ordinality)
                 )) AS x (loans integer, approved integer)
        ), found AS (
            SELECT trial, auc, auc_standard_error, attribute,
                   1 - min(rate) / max(rate) AS disparity
            FROM rates GROUP BY 1, 2, 3, 4
        )
        SELECT trial, max(disparity) AS disparity FROM found
        WHERE auc >= (SELECT auc - auc_standard_error FROM found ORDER BY auc DESC LIMIT 1)
              AND attribute = ANY(%(names)s)
        GROUP BY trial ORDER BY disparity LIMIT 1
    """
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute(query, {"names": ready.contract.fairness_attributes})
        trial, disparity = cursor.fetchone() or ("", 0)
    assert f"{escape_markdown(trial)} is the least discriminatory" in text
    assert f"out of fold) is {disparity:.3f}" in text


def test_mitigated_training_is_recorded_shown_and_judged(ready: Session) -> None:
    attribute = ready.contract.fairness_attributes[0]
    kinds = ["least_discriminatory", "reweighing", "threshold_adjustment"]
    session = under(ready, {"attribute": attribute, "kinds": kinds, "may_promote": ["reweighing"]})
    versions, _ = train(session)
    row = registry.model_row(session, versions["propensity"])
    found = row["evaluation"]["mitigation"]
    assert [each["failure"] for each in found["rows"]] == [None] * 4
    label = ready.contract.by_name[attribute].label
    text = render_card_markdown(read_card(session, versions["propensity"]))
    assert "Mitigation of unfairness" in text
    assert f"Against unequal approval by {label}." in text
    assert "unlawful in many places" in text
    reweighed = found["rows"][2]
    for figure in ("auc", "log_loss"):
        assert f"{reweighed[figure]['value']:.4f} ({reweighed[figure]['lower']:.4f}" in text
    for one in reweighed["fairness"]:
        ratio = one["demographic_parity_ratio"]
        assert f"{ratio['value']:.3f} ({ratio['lower']:.3f} to {ratio['upper']:.3f})" in text
    _, summary = training_summary(session, versions)
    assert "threshold_adjustment" in summary
    items = {item.title: item.found for item in checklist(read_facts(session, "propensity-2"))}
    assert items["Mitigation of bias"] is not None
    # The gate goes by what the contract allows when the model is judged.
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        metrics = json.dumps(row["metrics"] | {"mitigation": "reweighing"})
        cursor.execute(
            "UPDATE models SET metrics = %s WHERE model_version = %s",
            (metrics, versions["propensity"]),
        )
    gates = {each.gate: each for each in judge_challenger(session, versions).gates}
    assert gates["mitigation"].passed
    forbidden = under(session, {"attribute": attribute})
    assert "mitigation" in judge_challenger(forbidden, versions).failed
    assert "mitigation" in judge_challenger(ready, versions).failed
