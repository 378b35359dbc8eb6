"""Promotion, refusal, hold and rollback: each decision is right, and on record."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from loan_scoring import database, settings
from loan_scoring.contract import KEY, Contract
from loan_scoring.database import audit
from loan_scoring.database.applications import labelled_applications
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.models.artifacts import _load
from loan_scoring.models.encoding import Columns, Encoder
from loan_scoring.models.holdout import holdout_policy, split_holdout
from loan_scoring.models.promotion.comparison import render_comparison
from loan_scoring.models.promotion.decide import (
    apply_verdict,
    judge_and_promote,
    promote_by_gates,
    promote_by_hand,
    rollback_champions,
)
from loan_scoring.models.promotion.judge import GateJudgement, judge_challenger
from loan_scoring.models.promotion.known_pair import known_pair_sentence
from loan_scoring.models.promotion.rights import refuse_own_training
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
FIRST = {"propensity": "propensity-1", "personas": "personas-1"}
SECOND = {"propensity": "propensity-2", "personas": "personas-2"}
VERDICTS = """
    select model_version, verdict, occasion, replaces, decided_by, comment
    from promotions where promotion_id > %s order by promotion_id
"""


def with_promotion(session: Session, **changes: Any) -> Session:
    """Return the session with other gates in its contract."""
    raw = session.contract.model_dump()
    raw["promotion"] |= changes
    return Session(Contract.model_validate(raw), session.connection)


@pytest.fixture
def lenient(ready: Session) -> Session:
    """A session whose calibration and fairness gates always pass, to test the gate `better`."""
    return with_promotion(
        ready, calibration_slope=[0.1, 10], fairness={"attributes": [], "min_ratio": 0.01}
    )


@pytest.fixture
def verdicts(ready: Session) -> Callable[[], list]:
    """Return a function that reads the promotions that the test itself has made."""
    _, [[last]] = database.select_read_only(
        ready.connection, "select max(promotion_id) from promotions"
    )

    def go() -> list:
        return database.select_read_only(ready.connection, VERDICTS.replace("%s", str(last)))[1]

    return go


def test_champion_stays_when_the_challenger_is_noise(
    lenient: Session, challenge: Callable, verdicts: Callable
) -> None:
    # Other bins, the same algorithm and data: better or worse only by chance.
    versions = challenge("noise", max_bins=200)
    assert versions == SECOND
    assert promote_by_gates(lenient, versions) == "refused"
    assert registry.champion_pair(lenient) == ("propensity-1", "personas-1")
    assert verdicts() == [
        [SECOND[kind], "refused", "training", FIRST[kind], "policy:auto", None]
        for kind in registry.KINDS
    ]
    _, [[evidence]] = database.select_read_only(
        lenient.connection,
        "select evidence from promotions where model_version = 'propensity-2'",
    )
    better = evidence["gates"][0]
    assert (better["gate"], better["passed"]) == ("better", False)
    assert better["figures"]["interval"][0] < better["figures"]["difference"]
    assert better["figures"]["interval"][0] <= 0
    assert evidence["champion"] == "propensity-1"
    assert evidence["holdout"]["rows"] > 1000


def test_same_verdict_again_is_recorded_once(
    lenient: Session, challenge: Callable, verdicts: Callable
) -> None:
    versions = challenge("again", max_bins=200)
    promote_by_gates(lenient, versions)
    before, entries = verdicts(), audit.recent_entries(lenient)
    promote_by_gates(lenient, versions)
    assert verdicts() == before
    assert audit.recent_entries(lenient) == entries


def test_better_challenger_is_promoted(
    lenient: Session, challenge: Callable, verdicts: Callable
) -> None:
    weak = challenge("weak", ["income_usd_per_month", "term_months"], max_iter=10)
    promote_by_hand(lenient, weak["personas"], "cli:ann", "a drill")
    assert registry.champion_pair(lenient) == ("propensity-2", "personas-2")
    strong = challenge("strong", max_bins=200)
    assert promote_by_gates(lenient, strong) == "promoted"
    assert verdicts()[-2:] == [
        [strong[kind], "promoted", "training", weak[kind], "policy:auto", None]
        for kind in registry.KINDS
    ]


def test_worse_calibration_is_refused_whatever_the_auc(
    lenient: Session, challenge: Callable
) -> None:
    weak = challenge("weak", ["income_usd_per_month", "term_months"], max_iter=10)
    promote_by_hand(lenient, weak["propensity"], "cli:ann", "a drill")
    timid = challenge("timid", max_iter=30, learning_rate=0.02)
    strict = with_promotion(lenient, calibration_slope=[0.9, 1.1])
    judgement = judge_challenger(strict, timid)
    # Predictions that are too close to the mean are wrong in the outer segments too.
    assert judgement.failed == ["calibrated", "segments"]
    assert judgement.gates[1].figures["slope"] > 1.5
    assert promote_by_gates(strict, timid) == "refused"


def test_fairness_is_judged_on_the_models_own_approvals(
    lenient: Session, challenge: Callable
) -> None:
    weak = challenge("weak", ["income_usd_per_month", "term_months"], max_iter=10)
    promote_by_hand(lenient, weak["propensity"], "cli:ann", "a drill")
    fairness = {"attributes": ["age_band"], "min_group": 30}

    def judge(floor: float) -> GateJudgement:
        policy = fairness | {"min_ratio": floor}
        return judge_challenger(with_promotion(lenient, fairness=policy), FIRST)

    judged = judge(0.05)
    parity = judged.gates[2].figures["attributes"]["age_band"]
    assert 0.05 < parity["ratio"] < 1
    assert sum(each["rows"] for each in parity["groups"]) == judged.holdout["rows"]
    high = parity["interval"][1]
    assert parity["ratio"] < high
    cases: list[tuple[float, list[str]]] = [(0.05, []), ((parity["ratio"] + high) / 2, [])]
    if high < 1:  # of the real loans; the interval of the generated ones reaches 1
        cases.append(((high + 1) / 2, ["fair"]))
    for floor, failed in cases:
        judged = judge(floor)
        assert judged.failed == failed
        is_unclear = parity["ratio"] < floor <= high
        assert ("so this is unclear" in judged.gates[2].sentence) is is_unclear


def test_gate_judges_what_scoring_would_decide(ready: Session) -> None:
    groups = judge_challenger(ready, FIRST).gates[2].figures["attributes"]["gender"]["groups"]
    table = labelled_applications(ready, [c.name for c in ready.contract.monitored])
    _, kept = split_holdout(ready.contract, table.column(KEY))
    held = table.take(kept)
    decisions = (
        registry.load_scorer(ready, *FIRST.values()).score(held).column("decision").to_pylist()
    )
    gender = held.column("gender").to_pylist()
    for group in groups:
        own = [d for d, g in zip(decisions, gender, strict=True) if g == group["group"]]
        judged = [d for d in own if d != "refer"]
        assert group["rows"] == len(judged)
        assert group["approval_rate"] == pytest.approx(np.mean([d == "approve" for d in judged]))


def test_gates_refuse_a_scorer_that_is_wrong_although_the_model_is_right(
    ready: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = judge_challenger(ready, FIRST).gates[0].figures["auc"]
    encode = Encoder.encode

    def other_rows(self: Encoder, columns: Columns) -> np.ndarray:
        return np.roll(encode(self, columns), 1, axis=0)

    monkeypatch.setattr(Encoder, "encode", other_rows)
    judgement = judge_challenger(ready, FIRST)
    assert judgement.gates[0].figures["auc"] == pytest.approx(0.5, abs=0.06) != right
    assert "calibrated" in judgement.failed


def test_leak_report_of_the_model_decides_the_leak_gate(ready: Session, monkeypatch) -> None:
    real = registry.model_row
    for report, failed in (
        ({"findings": [{"column": "loan_type", "is_decisive": False}]}, False),
        ({"findings": [{"column": "loan_type", "is_decisive": True}]}, True),
        (None, True),
    ):
        monkeypatch.setattr(
            registry, "model_row", lambda s, v, r=report: {**real(s, v), "leaks": r}
        )
        assert ("free_of_leaks" in judge_challenger(ready, FIRST).failed) == failed


def test_models_with_other_holdouts_are_compared_on_loans_that_both_kept_out(
    ready: Session, challenge: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = challenge("other-seed", max_iter=20)
    ours = holdout_policy(ready.contract)
    theirs = ours | {"seed": 1, "share": 0.5}
    real = registry.model_row
    kept = {"propensity-2": {"holdout": theirs}, "propensity-1": {"holdout": ours}}
    before = judge_challenger(ready, versions).holdout
    monkeypatch.setattr(
        registry, "model_row", lambda s, v: {**real(s, v), "evaluation": kept.get(v)}
    )
    after = judge_challenger(ready, versions).holdout
    assert before["policies"] == [ours]
    assert after["policies"] == [theirs, ours]
    assert after["rows"] / before["rows"] == pytest.approx(0.5, abs=0.05)


def test_a_persons_promotion_is_on_record_and_overruling_needs_a_reason(
    ready: Session, challenge: Callable, verdicts: Callable
) -> None:
    challenge("by-hand", max_iter=20)
    with pytest.raises(StateError, match=r"propensity-2 fails better.*--comment") as caught:
        promote_by_hand(ready, "propensity-2", "cli:ann")
    assert "\n" not in str(caught.value)
    assert verdicts() == []
    verdict, evidence = promote_by_hand(ready, "personas-2", "cli:ann", "a drill")
    assert verdict == "promoted"
    assert "better" in evidence["overruled"]
    assert verdicts() == [
        [SECOND[kind], "promoted", "command", FIRST[kind], "cli:ann", "a drill"]
        for kind in registry.KINDS
    ]
    with pytest.raises(StateError, match="propensity-2 and personas-2 are in use already"):
        promote_by_hand(ready, "propensity-2", "cli:ann", "again")
    with pytest.raises(StateError, match="no model propensity-9"):
        promote_by_hand(ready, "propensity-9", "cli:ann")


def test_rollback_restores_the_older_versions_scores_exactly(
    ready: Session, challenge: Callable, verdicts: Callable, drops: Replay
) -> None:
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])

    def scored() -> list:
        score_batch(ready, NIGHT)
        query = "select s::text from current_scores s order by loan_id"
        return database.select_read_only(ready.connection, query)[1]

    first = scored()
    challenge("another", max_iter=20)
    promote_by_hand(ready, "propensity-2", "cli:ann", "a drill")
    assert scored() != first
    assert rollback_champions(ready, "cli:bob", comment="approves too few") == FIRST
    assert scored() == first
    assert verdicts()[2:] == [
        [FIRST[kind], "promoted", "rollback", SECOND[kind], "cli:bob", "approves too few"]
        for kind in registry.KINDS
    ]
    _, runs = database.select_read_only(
        ready.connection, "select propensity_version, is_current from scoring_runs order by 1"
    )
    assert runs == [["propensity-1", True], ["propensity-2", False]]
    with pytest.raises(StateError, match="replaced no other model"):
        rollback_champions(ready, "cli:bob")
    entries = [
        (each["done_by"], each["action"])
        for each in audit.recent_entries(ready)
        if each["action"].startswith("promotion.")
    ]
    assert entries[:2] == [("cli:bob", "promotion.rollback"), ("cli:ann", "promotion.promoted")]


def test_a_rolled_back_pair_is_promoted_again_by_the_same_verdict(
    ready: Session, challenge: Callable
) -> None:
    versions = challenge("another", max_iter=20)
    evidence = {"champion": "propensity-1", "challenger": "propensity-2", "gates": []}
    for _ in range(3):
        apply_verdict(ready, versions, "promoted", "cli:ann", evidence, comment="again")
        assert registry.champion_pair(ready) == ("propensity-2", "personas-2")
        rollback_champions(ready, "cli:bob", comment="no")
        assert registry.champion_pair(ready) == ("propensity-1", "personas-1")


def test_rollback_goes_back_step_by_step_and_by_kind(ready: Session, challenge: Callable) -> None:
    for name in ("second", "third"):
        versions = challenge(name, max_iter=20 + len(name))
        promote_by_hand(ready, versions["propensity"], "cli:ann", "a drill")
    assert registry.champion_pair(ready) == ("propensity-3", "personas-3")
    rollback_champions(ready, "cli:bob", kind="personas")
    assert registry.champion_pair(ready) == ("propensity-3", "personas-2")
    promote_by_hand(ready, "propensity-3", "cli:bob", "its own personas again")
    assert registry.champion_pair(ready) == ("propensity-3", "personas-3")
    rollback_champions(ready, "cli:bob", kind="personas")
    rollback_champions(ready, "cli:bob")
    assert registry.champion_pair(ready) == ("propensity-2", "personas-1")
    rollback_champions(ready, "cli:bob", kind="propensity")
    assert registry.champion_pair(ready) == ("propensity-1", "personas-1")


def test_a_promotion_meanwhile_gives_no_pair_of_both(
    ready: Session, ready_url: str, challenge: Callable, monkeypatch
) -> None:
    versions = challenge("meanwhile", max_iter=20)
    ready.connection.commit()
    read = database.rows

    def then_promote(*given: Any, **values: Any) -> list[database.Row]:
        found = read(*given, **values)
        monkeypatch.undo()
        with open_session("loan_default", ready_url) as other:
            promote_by_hand(other, versions["propensity"], "cli:ann", "a drill")
        return found

    monkeypatch.setattr(database, "rows", then_promote)
    assert registry.champion_pair(ready) == ("propensity-1", "personas-1")
    assert registry.champion_pair(ready) == ("propensity-2", "personas-2")


def test_a_rolled_back_pair_is_not_promoted_by_the_next_training(
    lenient: Session, challenge: Callable, verdicts: Callable
) -> None:
    weak = challenge("weak", ["income_usd_per_month", "term_months"], max_iter=10)
    promote_by_hand(lenient, weak["propensity"], "cli:ann", "a drill")
    strong = challenge("strong", max_bins=200)
    assert promote_by_gates(lenient, strong) == "promoted"
    rollback_champions(lenient, "cli:ann")
    before = verdicts()
    assert promote_by_gates(lenient, strong) == "withheld"
    assert verdicts() == before
    promote_by_hand(lenient, strong["propensity"], "cli:ann", "it was not the cause")
    assert registry.champion_version(lenient, "propensity") == strong["propensity"]


def test_hold_records_nothing_until_a_person_decides(
    lenient: Session, challenge: Callable, verdicts: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = challenge("weak", ["income_usd_per_month", "term_months"], max_iter=10)
    promote_by_hand(lenient, weak["propensity"], "cli:ann", "a drill")
    before = verdicts()
    strong = challenge("strong", max_bins=200)
    verdict, evidence = judge_and_promote(lenient, strong, "hold")
    assert verdict == "held"
    assert verdicts() == before
    assert lenient.contract.promotion.mode == "auto"
    monkeypatch.setenv("LOAN_SCORING_PROMOTION", "hold")  # as in prod
    assert judge_and_promote(lenient, strong)[0] == "held"
    assert verdicts() == before
    with pytest.raises(StateError, match="no run may promote by itself"):
        judge_and_promote(lenient, strong, "auto")
    shown = render_comparison(lenient, evidence)
    assert f"| | {weak['propensity']} | {strong['propensity']} |" in shown
    assert "- better: passed. AUC 0." in shown
    apply_verdict(
        lenient, strong, "rejected", "airflow:ann", evidence, comment="not before the audit"
    )
    assert registry.champion_version(lenient, "propensity") == weak["propensity"]
    assert verdicts()[-2:] == [
        [strong[kind], "rejected", "training", weak[kind], "airflow:ann", "not before the audit"]
        for kind in registry.KINDS
    ]
    assert promote_by_gates(lenient, strong) == "withheld"  # the rejection stays
    # A run that itself asks to hold puts the pair to a person again.
    assert judge_and_promote(lenient, strong, "hold")[0] == "held"


def test_training_of_known_rows_says_before_it_starts_what_it_will_do(
    lenient: Session, challenge: Callable
) -> None:
    weak = challenge("weak", ["income_usd_per_month", "term_months"], max_iter=10)
    strong = challenge("strong", max_bins=200)
    of = {
        version: registry.model_row(lenient, version)["fingerprint"]
        for version in (weak["propensity"], strong["propensity"])
    }
    told = lambda version, mode=None: known_pair_sentence(lenient, of[version], mode)  # noqa: E731
    assert known_pair_sentence(lenient, "never", "hold") is None
    assert "it is promoted if it passes" in told(strong["propensity"])
    assert "a person is asked if it passes" in told(strong["propensity"], "hold")
    promote_by_hand(lenient, weak["propensity"], "cli:ann", "a drill")
    assert "in use already, so there is nothing to ask" in told(weak["propensity"], "hold")
    evidence = judge_and_promote(lenient, strong, "hold")[1]
    apply_verdict(lenient, strong, "rejected", "airflow:ann", evidence)
    assert "airflow:ann rejected it, so it stays out of use" in told(strong["propensity"])
    assert "a person is asked again" in told(strong["propensity"], "hold")


def test_whoever_started_a_training_cannot_approve_it(
    lenient: Session, challenge: Callable, verdicts: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    strong = challenge("strong", triggered_by="cli:ann", max_bins=200)
    monkeypatch.setenv("LOAN_SCORING_PROMOTION", "hold")
    with pytest.raises(StateError, match="so another person must approve it"):
        promote_by_hand(lenient, strong["personas"], "cli:ann", "I know it is good")
    with pytest.raises(StateError, match="airflow:bob started"):
        refuse_own_training(lenient, strong, "airflow:bob", triggered_by="airflow:bob")
    assert verdicts() == []
    denied = [each for each in audit.recent_entries(lenient) if "denied" in each["action"]]
    assert [each["done_by"] for each in denied] == ["airflow:bob", "cli:ann"]
    verdict, _ = promote_by_hand(lenient, strong["personas"], "cli:bob", "a drill")
    assert verdict == "promoted"


def test_approval_of_an_outdated_comparison_is_recorded_as_refused(
    lenient: Session, challenge: Callable
) -> None:
    weak = challenge("weak", ["income_usd_per_month", "term_months"], max_iter=10)
    promote_by_hand(lenient, weak["propensity"], "cli:ann", "a drill")
    strong = challenge("strong", max_bins=200)
    _, evidence = judge_and_promote(lenient, strong, "hold")
    promote_by_hand(lenient, "propensity-1", "cli:ann", "meanwhile")
    assert apply_verdict(lenient, strong, "promoted", "airflow:bob", evidence) == "refused"
    _, [[outdated]] = database.select_read_only(
        lenient.connection,
        "select evidence ->> 'outdated' from promotions order by promotion_id desc limit 1",
    )
    assert outdated == "propensity-1 was promoted meanwhile"
    assert registry.champion_version(lenient, "propensity") == "propensity-1"


@pytest.mark.attack
def test_tampered_artifact_is_refused_at_promotion_and_at_scoring(
    ready: Session, challenge: Callable, verdicts: Callable, drops: Replay
) -> None:
    challenge("tampered", max_iter=20)
    row = registry.model_row(ready, "propensity-2")
    path = settings.artifacts_dir("loan_default") / row["artifact"]
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"x")
    with pytest.raises(StateError, match="was changed: its sha256 is") as caught:
        promote_by_hand(ready, "propensity-2", "cli:ann", "a drill")
    assert "\n" not in str(caught.value)
    assert verdicts() == []
    path.write_bytes(good)
    promote_by_hand(ready, "propensity-2", "cli:ann", "a drill")
    _load.cache_clear()  # an estimator in memory would not be read again
    path.write_bytes(good[:-1] + b"x")
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    with pytest.raises(StateError, match="was changed: its sha256 is"):
        score_batch(ready, NIGHT)
    assert database.select_read_only(ready.connection, "select count(*) from current_scores")[
        1
    ] == [[0]]
