"""Register fitted models, load them, find the champions and record verdicts on promotions."""

import json
from typing import TYPE_CHECKING, Any

from loan_scoring import __version__, database
from loan_scoring.contract import under_model
from loan_scoring.database.files import store_by_content
from loan_scoring.database.session import Session
from loan_scoring.errors import MissingError, StateError
from loan_scoring.models.artifacts import dump_estimator, load_estimator
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.waiting import waiting_model

if TYPE_CHECKING:
    from loan_scoring.models.scorer import Scorer

PROPENSITY, PERSONAS = "propensity", "personas"
KINDS = (PROPENSITY, PERSONAS)
"""The kinds of a pair, by which loans are scored."""
SCANS = "scans"
"""The kind of a classifier of scanned pages. It has no pair."""


def versions_by_fingerprint(session: Session, fingerprint: str) -> dict[str, str]:
    """Return the model versions with the given fingerprint, by kind.

    These models were fitted on the same rows, with the same contract and the same training code.
    Return an empty dictionary if there are none.
    """
    found = database.rows(
        session.connection, "select_models_by_fingerprint", fingerprint=fingerprint
    )
    return {row["kind"]: row["model_version"] for row in found}


def register_models(
    session: Session, models: list[FittedModel], fingerprint: str, training_data: dict[str, Any]
) -> dict[str, str]:
    """Register fitted models and return their versions by kind.

    The artifacts are written first, then all rows of the table `models` in one transaction. If
    models with this fingerprint are registered already, the versions of the registered models are
    returned instead. So two concurrent trainings on the same data register only one pair.
    """
    portfolio = session.contract.portfolio
    written = []
    for model in models:
        name, sha256 = store_by_content(
            portfolio,
            f"{model.kind}-{fingerprint[:16]}",
            "skops",
            dump_estimator(model.estimator),
        )
        values: dict[str, str | None] = {
            "artifact": name,
            "artifact_sha256": sha256,
            "baseline_artifact": None,
            "baseline_sha256": None,
        }
        if model.baseline_sample is not None:
            values["baseline_artifact"], values["baseline_sha256"] = store_by_content(
                portfolio, f"baseline-{fingerprint[:16]}", "parquet", model.baseline_sample
            )
        written.append((model, values))
    with database.transaction(session.connection):
        database.lock(session.connection, "models")
        known = versions_by_fingerprint(session, fingerprint)
        if known:
            return known
        for model, values in written:
            row = database.row(
                session.connection,
                "insert_model",
                kind=model.kind,
                algorithm=model.algorithm,
                parameters=json.dumps(model.parameters),
                features=model.features,
                metrics=json.dumps(model.metrics),
                training_data=json.dumps(training_data, default=str),
                fingerprint=fingerprint,
                code_version=__version__,
                baseline=json.dumps(model.baseline) if model.baseline else None,
                leaks=json.dumps(model.leaks) if model.leaks else None,
                evaluation=json.dumps(model.evaluation) if model.evaluation else None,
                **values,
            )
            assert row is not None  # noqa: S101 - INSERT ... RETURNING always returns a row
            known[model.kind] = row["model_version"]
    return known


def model_row(session: Session, model_version: str) -> database.Row:
    """Return the row of a model version in the table `models`.

    Raises:
        MissingError: there is no such version.
    """
    row = database.row(session.connection, "select_model", model_version=model_version)
    if row is None:
        raise MissingError(f"no model {model_version} in {session.contract.portfolio}")
    return row


def count_looks(session: Session, policy: dict[str, Any], until: str | None = None) -> int:
    """Return how many propensity models were measured on the loans of a hold-out.

    Each training measures its model on the hold-out once, and the gates then decide by it. Models
    whose hold-out ended before this one begins have no loan in common with it.

    Args:
        session: database session.
        policy: stored policy of the hold-out.
        until: version of the last model that counts. If None, all count.
    """
    row = database.row(
        session.connection,
        "count_looks",
        policy=json.dumps({name: policy[name] for name in ("rule", "seed", "share")}),
        begin=policy.get("begin"),
        until=until,
    )
    assert row is not None  # noqa: S101 - count(*) always returns a row
    return int(row["looks"])


def outcomes_as_of(row: database.Row) -> str:
    """Return when outcomes had last changed before a model's training read them, as UTC text.

    Args:
        row: row of the model, with its `training_data`.
    """
    as_of = row["training_data"].get("outcomes_as_of")
    return "not recorded" if as_of is None else f"{as_of['changed_at'][:16].replace('T', ' ')} UTC"


def champion_version(session: Session, kind: str) -> str | None:
    """Return the version of the champion of a kind.

    Return None if no model of this kind has been promoted yet.
    """
    return _in_use(session).get(kind)


def replaced_any(session: Session, kind: str) -> bool:
    """Return whether the champion of a kind came into use instead of another model."""
    version = champion_version(session, kind)
    row = database.row(session.connection, "select_replaced", model_version=version)
    return row is not None and row["replaces"] is not None


def trials_of(row: database.Row) -> str:
    """Return the fingerprint under which the trials of a model's training are recorded."""
    found: str = row["training_data"].get("trials_of", row["fingerprint"])
    return found


def champion_pair(session: Session) -> tuple[str, str]:
    """Return the champion versions of propensity model and personas.

    Both versions are read in one statement, so they were in use at the same time.

    Raises:
        StateError: no model has been promoted yet.
    """
    pair = _in_use(session)
    if not pair.keys() >= set(KINDS):
        waiting = waiting_model(session)
        raise StateError(
            f"{session.contract.portfolio} has no champion, so nothing can be scored: "
            f"{waiting.sentence if waiting else 'no personas are in use'}"
        )
    return pair[PROPENSITY], pair[PERSONAS]


def _in_use(session: Session) -> dict[str, str]:
    """Return the versions of all champions, by kind."""
    rows = database.rows(session.connection, "select_versions_in_use")
    return {row["kind"]: row["model_version"] for row in rows}


def fitted_pair(session: Session, model_version: str) -> dict[str, str]:
    """Return the pair of versions, by kind, that was registered together with the given version.

    Raises:
        StateError: there is no such version, or it is a classifier of scans.
    """
    row = model_row(session, model_version)
    if row["kind"] == SCANS:
        raise StateError(f"{model_version} tells what a scanned page is: it scores no loan")
    return versions_by_fingerprint(session, row["fingerprint"])


def record_verdicts(
    session: Session,
    judged: dict[str, dict[str, Any]],
    verdict: str,
    decided_by: str,
    *,
    occasion: str = "training",
    comment: str | None = None,
    subject: str | None = None,
    details: dict[str, Any] | None = None,
) -> bool:
    """Add a verdict on model versions to table `promotions`, with one entry in the audit log.

    Return True if a row was added. The verdict `promoted` makes a version the champion. No row is
    added for a version whose latest row has the same content and is still in effect.

    Args:
        session: session with an open transaction.
        judged: evidence of each model version.
        verdict: `promoted`, `refused` or `rejected`.
        decided_by: the person who decided, or `policy:auto`.
        occasion: `training`, `command` or `rollback`.
        comment: reason for the verdict.
        subject: subject of the entry. If None, the versions.
        details: further facts for the entry.
    """
    new = [
        {"model_version": version, "evidence": evidence}
        for version, evidence in json.loads(json.dumps(judged)).items()
        if _is_new_verdict(session, version, verdict, evidence, decided_by, occasion, comment)
    ]
    if new:
        database.execute(
            session.connection,
            "record_verdicts",
            judged=json.dumps(new),
            verdict=verdict,
            decided_by=decided_by,
            occasion=occasion,
            comment=comment,
            subject=subject or ", ".join(judged),
            details=json.dumps(details or {}, default=str),
        )
    return bool(new)


def _is_new_verdict(
    session: Session,
    version: str,
    verdict: str,
    evidence: dict[str, Any],
    decided_by: str,
    occasion: str,
    comment: str | None,
) -> bool:
    champion = champion_version(session, model_row(session, version)["kind"])
    row = {
        "verdict": verdict,
        "replaces": champion,
        "decided_by": decided_by,
        "occasion": occasion,
        "comment": comment,
        "evidence": evidence,
    }
    last = database.row(session.connection, "select_last_verdict", model_version=version)
    # After a rollback, `promoted` may be the latest verdict on a version that is not in use.
    is_in_effect = verdict != "promoted" or champion == version
    return not (is_in_effect and last == row)


def model_estimator(session: Session, row: database.Row) -> Any:
    """Return the estimator of a model, given its row. The estimator is cached in the process."""
    return load_estimator(session.contract.portfolio, row["artifact"], row["artifact_sha256"])


def load_scorer(session: Session, propensity_version: str, personas_version: str) -> "Scorer":
    """Load a pair of model versions and return a scorer for applications.

    The scorer computes features by the expressions with which its models were trained.
    """
    # Scorer is imported here, because its import loads scikit-learn, which most callers of the
    # registry do not need.
    from loan_scoring.models.grading import scale_of
    from loan_scoring.models.scorer import Scorer

    propensity = model_row(session, propensity_version)
    personas = model_row(session, personas_version)
    return Scorer(
        under_model(session.contract, propensity["training_data"]),
        model_estimator(session, propensity),
        propensity["features"],
        model_estimator(session, personas),
        personas["features"],
        [persona["name"] for persona in personas["metrics"]["personas"]],
        [persona["default_rate"] for persona in personas["metrics"]["personas"]],
        scale_of(session.contract, propensity["evaluation"]),
    )
