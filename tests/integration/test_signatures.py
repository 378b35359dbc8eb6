"""Two different people sign a model, and a gate may ask for it."""

from collections.abc import Callable
from typing import Any

import psycopg2
import pytest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import MissingError, StateError
from loan_scoring.models.promotion.decide import promote_by_gates, promote_by_hand
from loan_scoring.models.promotion.signatures import sign_model, signatures_of

pytestmark = pytest.mark.integration


def asking(session: Session, signatures: str) -> Session:
    """Return the session with a contract that asks for signatures, and whose gates are lenient."""
    raw: dict[str, Any] = session.contract.model_dump()
    raw["promotion"] |= {
        "signatures": signatures,
        "calibration_slope": [0.1, 10],
        "fairness": {"attributes": [], "min_ratio": 0.01},
    }
    return Session(Contract.model_validate(raw), session.connection)


def test_two_people_sign_and_the_audit_log_has_it(ready: Session) -> None:
    sign_model(ready, "personas-1", "review", "airflow:ann", "figures recomputed")
    signed = sign_model(ready, "propensity-1", "acceptance", "cli:bob", "fit for use")
    assert [(each["model_version"], each["signed_as"], each["signed_by"]) for each in signed] == [
        ("propensity-1", "review", "airflow:ann"),
        ("propensity-1", "acceptance", "cli:bob"),
    ]
    entries = audit.recent_entries(ready)[:2]
    assert [(each["action"], each["done_by"]) for each in entries] == [
        ("model.acceptance", "cli:bob"),
        ("model.review", "airflow:ann"),
    ]
    assert entries[1]["details"]["artifact_sha256"] == signed[0]["artifact_sha256"]
    assert audit.verify_chain(ready).faults == []


def test_one_person_never_signs_twice(ready: Session) -> None:
    sign_model(ready, "propensity-1", "review", "airflow:Ann", "read")
    for user in ("airflow:Ann", "cli:ann"):
        with pytest.raises(StateError, match="another person must sign the acceptance"):
            sign_model(ready, "propensity-1", "acceptance", user, "fine")
    with pytest.raises(StateError, match="has signed the review already"):
        sign_model(ready, "propensity-1", "review", "airflow:bob", "read too")
    assert len(signatures_of(ready)) == 1
    # The table refuses it too, whoever inserts.
    with (
        pytest.raises(psycopg2.errors.UniqueViolation),
        database.transaction(ready.connection),
        ready.connection.cursor() as cursor,
    ):
        cursor.execute(
            "insert into model_signatures (model_version, signed_as, signed_by, comment,"
            " artifact_sha256, personas_sha256)"
            " values ('propensity-1', 'acceptance', 'cli:ann', 'x', '', '')"
        )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"signed_by": "airflow:trainer"}, "cli:trainer started the training, so another person"),
        ({"signed_as": "acceptance"}, "the review is signed before the acceptance"),
        ({"signed_as": "promotion"}, "sign as review or acceptance, not promotion"),
        ({"comment": "  "}, "a signature needs a comment"),
        ({"seen": "other"}, "not the artifact that you saw"),
    ],
)
def test_what_nobody_may_sign(ready: Session, values: dict, message: str) -> None:
    given = {"signed_as": "review", "signed_by": "airflow:ann", "comment": "read"} | values
    with pytest.raises(StateError, match=message):
        sign_model(ready, "propensity-1", **given)
    assert signatures_of(ready) == []


def test_who_trained_may_accept_what_another_person_has_reviewed(ready: Session) -> None:
    sign_model(ready, "propensity-1", "review", "airflow:ann", "figures recomputed")
    signed = sign_model(ready, "propensity-1", "acceptance", "cli:trainer", "we use it")
    assert [each["signed_as"] for each in signed] == ["review", "acceptance"]


def test_unknown_version_is_refused(ready: Session) -> None:
    with pytest.raises(MissingError, match="no model propensity-9"):
        sign_model(ready, "propensity-9", "review", "airflow:ann", "read")


def test_gate_holds_a_pair_back_until_it_is_signed(ready: Session, challenge: Callable) -> None:
    session = asking(ready, "review_and_acceptance")
    weak = challenge("weak", ["income_usd_per_month", "term_months"], max_iter=10)
    promote_by_hand(ready, weak["propensity"], "cli:tests", "a drill")
    strong = challenge("strong", max_bins=200)
    version = strong["propensity"]
    assert promote_by_gates(session, strong) == "refused"
    with pytest.raises(StateError, match=r"fails signed: Not signed: review, acceptance; type"):
        promote_by_hand(session, version, "airflow:admin")
    sign_model(session, version, "review", "airflow:ann", "figures recomputed")
    assert promote_by_gates(session, strong) == "refused"
    sign_model(session, version, "acceptance", "airflow:bob", "fit for use")
    assert promote_by_gates(session, strong) == "promoted"
    _, [[evidence]] = database.select_read_only(
        session.connection,
        "select evidence from promotions where verdict = 'promoted' and model_version ="
        f" '{version}'",
    )
    assert {gate["gate"]: gate["passed"] for gate in evidence["gates"]}["signed"]
    assert [(each["signed_as"], each["signed_by"]) for each in evidence["signatures"]] == [
        ("review", "airflow:ann"),
        ("acceptance", "airflow:bob"),
    ]


def test_contract_that_asks_for_nothing_has_no_such_gate(
    ready: Session, challenge: Callable
) -> None:
    with pytest.raises(StateError) as caught:
        promote_by_hand(ready, challenge("noise", max_bins=200)["propensity"], "cli:ann")
    assert "signed" not in str(caught.value)
