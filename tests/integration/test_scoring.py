"""A batch is scored exactly once, even if tasks run twice or at the same time."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import create_engine

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.scoring.batch import plan_scoring, publish_scores, score_batch
from loan_scoring.scoring.mini_batch import score_mini_batch

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
FINGERPRINT = """
    select count(*), md5(string_agg(concat_ws('|', loan_id, default_probability, exclusion_reason,
        decision, persona, persona_default_rate, propensity_version, personas_version,
        reason_1, reason_2, reason_3, reason_4), ','
        order by loan_id))
    from current_scores
"""


def fingerprint(session: Session) -> list:
    return database.select_read_only(session.connection, FINGERPRINT)[1][0]


@pytest.fixture
def night(ready: Session, drops: Replay) -> Session:
    """A session with one ingested night, to be scored in four mini-batches."""
    policy = ready.contract.scoring.model_copy(update={"mini_batch_rows": 250})
    contract = ready.contract.model_copy(update={"scoring": policy})
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    return Session(contract, ready.connection)


def test_all_that_is_recorded_of_a_loan_is_one_query(
    night: Session, ready_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    score_batch(night, NIGHT)
    (picked,) = database.select_read_only(
        night.connection,
        "select loan_id, default_probability, reason_1 from current_scores"
        " where decision = 'decline' order by default_probability desc limit 1",
    )[1]
    (row,) = database.rows(night.connection, "select_loan_record", loan_id=picked[0])
    assert (row["default_probability"], row["reasons"][0]) == (picked[1], picked[2])
    assert row["application"].keys() == {column.name for column in night.contract.inputs}
    assert row["training_data"]["batches"][0]["batch_id"] == "history"
    assert [gate["gate"] for gate in row["evidence"]["gates"]][:2] == ["better", "calibrated"]
    assert row["artifact_sha256"]
    assert row["promoted_by"]
    night.connection.rollback()
    assert main(["loan", str(picked[0]), "--database", ready_url]) == 0
    told = capsys.readouterr().out
    assert f"decision     decline, default probability {picked[1]:.4f}" in told
    assert f"reasons      {picked[2]}" in told
    limits = night.contract.decision
    assert (
        f"policy       approve below {limits.approve_below:g}, decline from"
        f" {limits.decline_from:g}; refer on " in told
    )
    assert main(["loan", "7", "--database", ready_url]) == 1
    assert "no published score of loan 7" in capsys.readouterr().err
    assert main(["loan", "x", "--database", ready_url]) == 1


def test_every_application_is_scored_or_referred(night: Session) -> None:
    score_batch(night, NIGHT)
    _, rows = database.select_read_only(
        night.connection,
        "select count(*), count(distinct loan_id), count(default_probability),"
        " count(exclusion_reason), count(*) filter (where decision = 'refer'), count(persona)"
        " from current_scores",
    )
    total, distinct, scored, referred, refer, personas = rows[0]
    assert (total, distinct) == (1000, 1000)
    assert scored + referred == 1000
    assert referred == refer > 0
    assert personas == scored
    _, rows = database.select_read_only(
        night.connection, "select mini_batch, applications, scored + referred from mini_batches"
    )
    assert sorted(rows) == [[n, 250, 250] for n in range(4)]


@pytest.fixture
def odd_night(ready: Session, drops: Replay, tmp_path: Path) -> Session:
    """A session with a night of 1,000 loans; every column has some nulls or unseen levels."""
    dice = np.random.default_rng(7)
    loans = pd.read_csv(drops.application_files[NIGHT], dtype=str, keep_default_na=False)
    for column in ready.contract.features:
        chosen = dice.permutation(len(loans))[:12]
        if column.open_levels:
            loans.loc[chosen, column.source] = "never seen"
        elif column.max_null_share:
            loans.loc[chosen, column.source] = ""
    loans.to_csv(tmp_path / "odd.csv", index=False)
    ingest_batch(ready, NIGHT, tmp_path / "odd.csv")
    return ready


def test_scores_are_those_of_the_plain_pipelines(odd_night: Session) -> None:
    """Compare with pandas and scikit-learn alone, without our code between them and the tables."""
    score_batch(odd_night, NIGHT)
    engine = create_engine("postgresql+psycopg2://", creator=lambda: odd_night.connection)
    loans = pd.read_sql(f"select * from applications where batch_id = '{NIGHT}'", engine)
    scores = pd.read_sql("select * from current_scores", engine).set_index("loan_id")
    loans = loans.set_index("loan_id").loc[scores.index].fillna(np.nan)
    models = {kind: registry.model_row(odd_night, f"{kind}-1") for kind in registry.KINDS}
    propensity, personas = (
        registry.model_estimator(odd_night, models[kind]) for kind in ("propensity", "personas")
    )
    probability = propensity.predict_proba(loans[models["propensity"]["features"]])[:, 1]
    clusters = personas.predict(loans[models["personas"]["features"]])
    people = [models["personas"]["metrics"]["personas"][cluster] for cluster in clusters]
    policy = odd_night.contract.decision
    is_judged = scores["exclusion_reason"].isna().to_numpy()
    assert len(loans) == 1000
    assert 100 < is_judged.sum() < 1000
    assert (loans == "never seen").any(axis=1)[is_judged].sum() > 10
    assert loans[models["propensity"]["features"]].isna().any(axis=1)[is_judged].sum() > 50

    def equal(name: str, expected: np.ndarray) -> None:
        assert scores[name].to_numpy(float)[is_judged] == pytest.approx(
            expected.astype(float)[is_judged], abs=1e-9
        )

    equal("default_probability", probability)
    equal("persona_default_rate", np.array([person["default_rate"] for person in people]))
    names = np.array([person["name"] for person in people])
    assert (scores["persona"].to_numpy()[is_judged] == names[is_judged]).all()
    words = np.where(probability < policy.approve_below, "approve", "review")
    words = np.where(probability >= policy.decline_from, "decline", words)
    assert (scores["decision"] == np.where(is_judged, words, "refer")).all()
    is_excluded = loans["property_value_usd"].isna() | loans["age_band"].isna()
    is_excluded |= loans["credit_bureau"] == "EQUI"
    assert (is_excluded == ~is_judged).all()
    assert scores["default_probability"][~is_judged].isna().all()


def test_scoring_again_changes_nothing(night: Session) -> None:
    score_batch(night, NIGHT)
    before = database.select_read_only(
        night.connection, "select s::text from scores s order by loan_id"
    )
    score_batch(night, NIGHT)
    assert (
        database.select_read_only(night.connection, "select s::text from scores s order by loan_id")
        == before
    )


def test_two_tries_of_one_mini_batch_at_once_write_it_once(night: Session, ready_url: str) -> None:
    planned = plan_scoring(night, NIGHT)
    failures = []

    def work() -> None:
        try:
            with open_session("loan_default", ready_url) as session:
                for number in planned.mini_batches:
                    score_mini_batch(session, planned.scoring_run_id, number)
        except Exception as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert publish_scores(night, planned.scoring_run_id) == 1000


def test_no_score_is_visible_before_all_are(night: Session) -> None:
    planned = plan_scoring(night, NIGHT)
    for number in planned.mini_batches[:-1]:
        score_mini_batch(night, planned.scoring_run_id, number)
    assert fingerprint(night)[0] == 0
    with pytest.raises(StateError, match="750 score rows for 1000 applications, 1 mini-batches"):
        publish_scores(night, planned.scoring_run_id)
    assert fingerprint(night)[0] == 0
    score_mini_batch(night, planned.scoring_run_id, planned.mini_batches[-1])
    publish_scores(night, planned.scoring_run_id)
    assert fingerprint(night)[0] == 1000


def test_corrected_revision_adds_a_run_and_keeps_the_old(
    night: Session, drops: Replay, tmp_path: Path
) -> None:
    score_batch(night, NIGHT)
    lines = drops.application_files[NIGHT].read_text().splitlines()
    (tmp_path / "x.csv").write_text("\n".join(lines[:-1]) + "\n")
    ingest_batch(night, NIGHT, tmp_path / "x.csv")
    assert fingerprint(night)[0] == 0  # scores of an outdated revision are not shown
    score_batch(night, NIGHT)
    assert fingerprint(night)[0] == 999
    _, rows = database.select_read_only(
        night.connection, "select revision, is_current from scoring_runs order by revision"
    )
    assert rows == [[1, False], [2, True]]


def test_run_of_a_replaced_revision_is_not_published(
    night: Session, drops: Replay, tmp_path: Path
) -> None:
    planned = plan_scoring(night, NIGHT)
    for number in planned.mini_batches:
        score_mini_batch(night, planned.scoring_run_id, number)
    lines = drops.application_files[NIGHT].read_text().splitlines()
    (tmp_path / "x.csv").write_text("\n".join(lines[:-1]) + "\n")
    ingest_batch(night, NIGHT, tmp_path / "x.csv")
    with pytest.raises(StateError, match="but another revision is current"):
        publish_scores(night, planned.scoring_run_id)


def stricter(session: Session) -> Session:
    """The session under a contract without review and exclusions."""
    contract = session.contract
    decision = contract.decision.model_copy(
        update={"decline_from": contract.decision.approve_below}
    )
    return replace(
        session,
        contract=contract.model_copy(update={"decision": decision, "exclusions": []}),
    )


def test_other_thresholds_are_another_run_and_the_old_ones_give_the_old_rows_again(
    scored: Session,
) -> None:
    before = fingerprint(scored)
    (first,) = database.select_read_only(
        scored.connection, "select scoring_run_id from scoring_runs"
    )[1]
    score_batch(stricter(scored), NIGHT)
    _, rows = database.select_read_only(
        scored.connection,
        "select r.policy -> 'decision' ->> 'decline_from', count(*) filter (where s.decision ="
        " 'review'), count(*) filter (where s.decision = 'refer') from scoring_runs as r"
        " join scores as s using (scoring_run_id) group by r.scoring_run_id, 1"
        " order by r.is_current",
    )
    (old, reviewed, referred), (new, *none) = rows
    limits = scored.contract.decision
    assert (float(old), float(new)) == (limits.decline_from, limits.approve_below)
    assert (none, reviewed > 0, referred > 0) == ([0, 0], True, True)
    assert fingerprint(scored) != before
    assert score_batch(scored, NIGHT) == first[0]
    assert fingerprint(scored) == before


def test_contract_that_changes_during_a_run_leaves_one_policy_in_it(night: Session) -> None:
    planned = plan_scoring(night, NIGHT)
    for number in planned.mini_batches:
        session = night if number % 2 else stricter(night)
        score_mini_batch(session, planned.scoring_run_id, number)
    publish_scores(night, planned.scoring_run_id)
    mixed = fingerprint(night)
    score_batch(stricter(night), NIGHT)
    assert fingerprint(night) != mixed
    assert score_batch(night, NIGHT) == planned.scoring_run_id
    assert fingerprint(night) == mixed
    _, rows = database.select_read_only(
        night.connection,
        "select bool_and((decision = 'decline') = (default_probability >="
        f" {night.contract.decision.decline_from})), count(*) filter (where decision = 'review')"
        " > 0 from current_scores where default_probability is not null",
    )
    assert rows == [[True, True]]


def test_unknown_batch_history_and_missing_champion_are_errors(
    empty: Session, drops: Replay
) -> None:
    with pytest.raises(
        StateError, match="batch 2030-01-01 is not published, or is withdrawn; run ingest"
    ):
        plan_scoring(empty, "2030-01-01")
    with pytest.raises(StateError, match="the history trains models and is not scored"):
        plan_scoring(empty, "history")
    ingest_batch(empty, NIGHT, drops.application_files[NIGHT])
    with pytest.raises(StateError, match=r"has no champion, .*: no loan has an outcome yet"):
        plan_scoring(empty, NIGHT)
