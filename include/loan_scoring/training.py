"""Train a pair of models on every labelled application and measure them once on a hold-out."""

import hashlib
import logging
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from loan_scoring import (
    __version__,
    baseline,
    database,
    evaluation,
    personas,
    propensity,
    reading,
    registry,
)
from loan_scoring.contract import KEY, Contract
from loan_scoring.errors import StateError
from loan_scoring.features import frame
from loan_scoring.holdout import split
from loan_scoring.predict import Scorer, exclusion_reasons
from loan_scoring.registry import PERSONAS, PROPENSITY, Fitted
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
    """Return the hash over training rows, contract and code version that tells models apart.

    What the contract says of promotion is left out: a model does not change with its judges.
    """
    told = contract.model_dump_json(exclude={"promotion"})
    digest = hashlib.sha256(f"{__version__}\n{told}\n".encode())
    for name in table.column_names:
        values = table.column(name).to_pandas()
        digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _fit(contract: Contract, table: pa.Table) -> list[Fitted]:
    y = table.column("is_default").to_numpy().astype(int)
    judged = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    training, holdout = split(contract, table.column(KEY))
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
            evaluation=evaluation.evaluate(contract, model, features, table.take(pa.array(test))),
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
