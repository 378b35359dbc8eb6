"""Train a pair of models on every labelled application, measure them once, promote the better."""

import hashlib
import json
import logging
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.model_selection import train_test_split

from loan_scoring import __version__, baseline, database, personas, propensity, reading, registry
from loan_scoring.contract import Contract
from loan_scoring.errors import StateError
from loan_scoring.features import frame
from loan_scoring.predict import Scorer, exclusion_reasons
from loan_scoring.registry import KINDS, PERSONAS, PROPENSITY, Fitted
from loan_scoring.session import Session

log = logging.getLogger(__name__)


def fit(session: Session) -> tuple[dict[str, str], int]:
    """Fit propensity and personas models and register them.

    Returns their versions by kind, and how many labelled applications they were fitted on.

    The same rows, contract and code are the same models: they are found, not fitted again.

    Raises:
        StateError: fewer labelled applications than the contract asks for, or one class only.
    """
    contract = session.contract
    columns = [column.name for column in contract.monitored]
    with database.transaction(session.connection):
        table = reading.labelled_applications(session, columns)
        batches = database.rows(session.connection, "select_training_batches")
    _refuse_too_little(contract, table)
    fingerprint = fingerprint_of(contract, table)
    known = registry.versions_of(session, fingerprint)
    if known:
        log.info("nothing new to learn: %s were fitted on these rows", ", ".join(known.values()))
        return known, table.num_rows
    made = registry.register(
        session,
        _fit(contract, table),
        fingerprint,
        {"batches": batches, "applications": table.num_rows},
    )
    return made, table.num_rows


def _refuse_too_little(contract: Contract, table: pa.Table) -> None:
    defaults = sum(table.column("is_default").to_pylist())
    if table.num_rows < contract.training.min_loans or defaults in (0, table.num_rows):
        raise StateError(
            f"{contract.portfolio} has {table.num_rows} applications with an outcome, "
            f"{defaults} of them defaults; training needs {contract.training.min_loans} "
            "and both outcomes: ingest the history first"
        )


def fingerprint_of(contract: Contract, table: pa.Table) -> str:
    """Return the hash over training rows, contract and code version that tells models apart."""
    digest = hashlib.sha256(f"{__version__}\n{contract.model_dump_json()}\n".encode())
    for name in table.column_names:
        values = table.column(name).to_pandas()
        digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def split(contract: Contract, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of training and hold-out rows: stratified, by the contract's seed."""
    training, holdout = train_test_split(
        np.arange(len(y)),
        test_size=contract.training.holdout_share,
        stratify=y,
        random_state=contract.training.seed,
    )
    return np.sort(training), np.sort(holdout)


def _fit(contract: Contract, table: pa.Table) -> list[Fitted]:
    y = table.column("is_default").to_numpy().astype(int)
    judged = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    training, holdout = split(contract, y)
    learn, test = training[judged[training]], holdout[judged[holdout]]
    features = [
        column.name
        for column in contract.features
        if len(table.column(column.name).take(pa.array(learn)).unique()) > 1
    ]
    X = frame(table, contract, features)

    model = propensity.build(contract, features).fit(X.iloc[learn], y[learn])
    metrics = propensity.measure(
        y[test],
        propensity.probabilities(model, X.iloc[test]),
        contract.decision.decline_from,
    )
    log.info("propensity: hold-out AUC %.4f on %d loans", metrics["auc"], metrics["rows"])

    clusters = personas.build(contract, features).fit(X.iloc[learn])
    names = personas.name_clusters(clusters, contract, X.iloc[learn])
    labels = clusters[-1].labels_
    rates = personas.default_rates(labels, y[learn], len(names))
    sizes = np.bincount(labels, minlength=len(names)) / len(labels)
    people = [
        {"name": name, "share": float(share), "default_rate": rate}
        for name, share, rate in zip(names, sizes, rates, strict=True)
    ]

    scorer = Scorer(contract, model, features, clusters, features, names, rates)
    seen, frozen = _baseline(contract, table, holdout, scorer)
    return [
        Fitted(
            PROPENSITY,
            model,
            propensity.parameters(model),
            features,
            metrics,
            baseline=frozen,
            baseline_sample=baseline.sample(
                seen, contract.monitoring.sample_rows, contract.training.seed
            ),
        ),
        Fitted(PERSONAS, clusters, propensity.parameters(clusters), features, {"personas": people}),
    ]


def _baseline(
    contract: Contract, table: pa.Table, holdout: np.ndarray, scorer: Scorer
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows behind the baseline and the baseline itself.

    Inputs are frozen from every labelled application, the referred ones included, as a batch has
    them too. Predictions are frozen from the hold-out alone: on rows that it was fitted on, a
    model's scores are further apart than any batch's will be.
    """
    seen = table.select([column.name for column in contract.monitored])
    scored = scorer.score(table.take(pa.array(holdout))).select(list(baseline.PREDICTIONS))
    frozen = baseline.fit(contract, seen) | baseline.fit(contract, scored)
    place = np.full(table.num_rows, -1)
    place[holdout] = np.arange(len(holdout))
    rows = pa.array(place, mask=place < 0)
    for name in scored.column_names:
        seen = seen.append_column(name, scored.column(name).take(rows))
    return seen.append_column("is_holdout", pa.array(place >= 0)), frozen


def promote(session: Session, versions: dict[str, str], decided_by: str = "policy:auto") -> str:
    """Judge a fitted pair against the champions and record the verdict; return it.

    The propensity model decides for the pair: it is promoted where there is no champion, or where
    its hold-out AUC is above the champion's on the same hold-out. A pair that is in use already
    is left as it is.
    """
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        champion = registry.champion(session, PROPENSITY)
        challenger = versions[PROPENSITY]
        if champion == challenger:
            return "unchanged"
        evidence = _compare(session, challenger, champion)
        verdict = "promoted" if evidence["is_better"] else "refused"
        for kind in KINDS:
            registry.record_verdict(session, versions[kind], verdict, evidence, decided_by)
    log.info("%s: %s %s", challenger, verdict, json.dumps(evidence))
    return verdict


def _compare(session: Session, challenger: str, champion: str | None) -> dict[str, Any]:
    """Return the AUC of both on the challenger's hold-out, which it never saw."""
    row = registry.model(session, challenger)
    evidence: dict[str, Any] = {"challenger": challenger, "auc": row["metrics"]["auc"]}
    if champion is None:
        return evidence | {"champion": None, "is_better": True}
    contract = session.contract
    columns = [column.name for column in contract.monitored]
    table = reading.labelled_applications(session, columns)
    y = table.column("is_default").to_numpy().astype(int)
    judged = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    _, holdout = split(contract, y)
    test = holdout[judged[holdout]]
    known = registry.model(session, champion)
    X = frame(table.take(pa.array(test)), contract, known["features"])
    probability = propensity.probabilities(registry.estimator(session, known), X)
    metrics = propensity.measure(y[test], probability, contract.decision.decline_from)
    return evidence | {
        "champion": champion,
        "champion_auc": metrics["auc"],
        "is_better": evidence["auc"] > metrics["auc"],
    }
