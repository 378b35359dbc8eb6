"""Train a pair of models on every labelled application and measure them once on a hold-out."""

import hashlib
import io
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from loan_scoring import __version__, database, settings
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.applications import labelled_applications
from loan_scoring.database.files import write_artifact
from loan_scoring.database.session import Session
from loan_scoring.errors import ContractError, StateError
from loan_scoring.models import registry
from loan_scoring.models.baseline import PREDICTIONS, fit_baseline, sample_rows
from loan_scoring.models.features import feature_frame
from loan_scoring.models.holdout import split_holdout
from loan_scoring.models.registry import PERSONAS, PROPENSITY, FittedModel
from loan_scoring.models.scorer import Scorer, exclusion_reasons
from loan_scoring.models.training import evaluation
from loan_scoring.models.training.candidates import (
    Trial,
    TrialResult,
    choose_trial,
    cross_validate,
    declared_trials,
    final_classifier,
    fit_chosen_trial,
    render_trials,
)
from loan_scoring.models.training.leaks import LeakReport, leak_report
from loan_scoring.models.training.personas import (
    describe_personas,
    fit_personas,
    match_names,
    name_clusters,
)
from loan_scoring.models.training.trials import record_trial, recorded_trials
from loan_scoring.statistics.intervals import CONFIDENCE, HOLDOUT_METRICS, bootstrap
from loan_scoring.statistics.model_metrics import (
    default_probabilities,
    estimator_parameters,
    holdout_metrics,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPlan:
    """A training that is to be done: its fingerprint, its trials' names, and how many rows."""

    fingerprint: str
    trials: list[str]
    applications: int


@dataclass(frozen=True)
class TrainingRows:
    """The rows of one training, frozen: labelled applications, and what is known of them.

    `table` holds loan_id, the columns known at application and is_default; `batches` what the
    rows came with; `leaks` the leak report, fit for JSON; `features` what a model may see.
    Where applicants or their defaults have changed, `since` is the first batch that shows it, and
    `table` has is_recent: what came since calibrates and judges the model, all loans teach it.
    """

    fingerprint: str
    table: pa.Table
    batches: list[dict[str, Any]]
    leaks: dict[str, Any]
    features: list[str]
    since: str | None = None


def train(session: Session) -> tuple[dict[str, str], int]:
    """Try the candidates, fit the chosen propensity model and the personas, and register both.

    Returns their versions by kind, and how many labelled applications there were.

    The same rows, contract and code are the same models: they are found, not fitted again.

    Raises:
        ContractError: a column that would be a feature gives the outcome away.
        StateError: fewer labelled applications than the contract asks for, or one class only.
    """
    training = _freeze(session)
    if not _known(session, training.fingerprint):
        for trial in declared_trials(session.contract):
            _try(session, training, trial)
    return _finish(session, training), training.table.num_rows


def plan_training(session: Session) -> TrainingPlan:
    """Freeze the rows of a training in a file, judge them by the leak gate, and name its trials.

    What comes in later, while trials run, is the next training's.

    Raises:
        ContractError: a column that would be a feature gives the outcome away.
        StateError: fewer labelled applications than the contract asks for, or one class only.
    """
    training = _freeze(session)
    if not _known(session, training.fingerprint):
        _write(session, training)
    trials = [trial.name for trial in declared_trials(session.contract)]
    return TrainingPlan(training.fingerprint, trials, training.table.num_rows)


def try_trial(session: Session, fingerprint: str, name: str) -> int:
    """Cross-validate one trial of a planned training and record it; return how many rows.

    A trial that is on record is not tried again.

    Raises:
        StateError: the rows of the plan are gone, or there is no such trial.
    """
    trial = next((t for t in declared_trials(session.contract) if t.name == name), None)
    if trial is None:
        raise StateError(
            f"{session.contract.portfolio} declares no trial {name}; run the training again"
        )
    if any(result.trial.name == name for result in recorded_trials(session, fingerprint)):
        return 0
    training = _load(session, fingerprint)
    _try(session, training, trial)
    return int(training.table.num_rows)


def finish_training(session: Session, fingerprint: str) -> tuple[dict[str, str], int]:
    """Choose among the trials of a planned training, fit and register; as `fit` returns.

    Raises:
        StateError: the rows of the plan are gone, or a trial is not on record.
    """
    known = _known(session, fingerprint)
    if known:
        return known, 0
    training = _load(session, fingerprint)
    return _finish(session, training), training.table.num_rows


def read_leak_report(session: Session) -> LeakReport:
    """Return what each column gives away of the outcome, over every labelled application.

    Raises:
        StateError: fewer labelled applications than training asks for, or one class only.
    """
    with database.snapshot(session.connection):
        table = _read(session, None)
    _refuse_too_little(session.contract, table)
    return _leak_report(session.contract, table)


def training_summary(session: Session, versions: dict[str, str]) -> tuple[dict[str, Any], str]:
    """Return what a person wants to see of a training, fit for JSON and as text.

    The candidates' table, the hold-out's metrics with their intervals, and the personas.
    """
    with database.transaction(session.connection):
        model = registry.model_row(session, versions[PROPENSITY])
        people = registry.model_row(session, versions[PERSONAS])["metrics"]
    metrics = model["metrics"]
    results = recorded_trials(session, model["fingerprint"])
    lines = [
        render_trials(results, metrics["trial"]),
        "",
        f"{model['algorithm']} on the hold-out: {metrics['rows']:,} loans, "
        f"{metrics['default_rate']:.1%} defaulted; [] hold {metrics['confidence']:.0%} intervals",
    ]
    for name in (name for name in HOLDOUT_METRICS if name in metrics["intervals"]):
        low, high = metrics["intervals"][name]
        lines.append(f"  {name:<22}{metrics[name]:8.4f}  [{low:.4f}, {high:.4f}]")
    lines += ["", f"  {'persona':<66}{'loans':>8}{'share':>8}  default rate"]
    for person in people["personas"]:
        low, high = person["default_rate_interval"]
        lines.append(
            f"  {person['name'][:65]:<66}{person['loans']:>8,}{person['share']:>8.1%}"
            f"  {person['default_rate']:.1%} [{low:.1%}, {high:.1%}]"
        )
    found = {
        "trials": [asdict(result) | {"auc": result.mean("auc")} for result in results],
        "metrics": metrics,
        "personas_metrics": people,
    }
    return found, "\n".join(lines)


def _known(session: Session, fingerprint: str) -> dict[str, str]:
    """Return the versions by kind that were fitted on the same rows; none is the usual case."""
    with database.transaction(session.connection):
        known = registry.versions_by_fingerprint(session, fingerprint)
    if known:
        log.info("nothing new to learn: %s were fitted on these rows", ", ".join(known.values()))
    return known


def _read(session: Session, since: str | None) -> pa.Table:
    columns = [column.name for column in session.contract.inputs]
    return labelled_applications(session, columns, since)


def _changed_since(session: Session) -> str | None:
    """Return the first batch of an open alert on a change that enough loans' outcomes tell of."""
    contract = session.contract
    change = database.row(session.connection, "select_change")
    since = change["since"] if change else None
    if since is None:
        return None
    recent = labelled_applications(session, [], since).column("is_recent")
    known, needed = sum(recent.to_pylist()), contract.training.min_recent_loans
    if known < needed:
        log.info("changed since %s, but outcomes tell of %d loans, not %d", since, known, needed)
        return None
    log.info("changed since %s: its %d loans calibrate and judge the model", since, known)
    return str(since)


def _leak_report(contract: Contract, table: pa.Table) -> LeakReport:
    judged = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    history = table.column("is_history").to_numpy()
    return leak_report(contract, table, judged, history)


def _freeze(session: Session) -> TrainingRows:
    contract = session.contract
    # What is published meanwhile is the next training's, or the record would not be of these rows.
    with database.snapshot(session.connection):
        since = _changed_since(session)
        table = _read(session, since)
        batches = database.rows(session.connection, "select_training_batches")
    _refuse_too_little(contract, table)
    report = _leak_report(contract, table)
    features = _past_the_gate(contract, report)
    kept = [KEY, *(c.name for c in contract.monitored), "is_default"]
    table = table.select(kept + ["is_recent"] * (since is not None))
    return TrainingRows(
        fingerprint_of(contract, table), table, batches, report.as_json(), features, since
    )


def _past_the_gate(contract: Contract, report: LeakReport) -> list[str]:
    """Return the features that the leak gate lets through.

    Raises:
        ContractError: one gives the outcome away, and the contract's policy is to refuse.
    """
    leaking = {finding.column: "; ".join(finding.reasons) for finding in report.decisive}
    if leaking and contract.training.leaks.action == "refuse":
        told = ", and ".join(f"{name} ({why})" for name, why in leaking.items())
        raise ContractError(
            f"{contract.portfolio}: the leak gate refuses training: {told}; tag the column known: "
            "pricing or outcome, exclude the loans, or acknowledge it under training.leaks"
        )
    for name, why in leaking.items():
        log.warning("the leak gate drops %s: %s", name, why)
    return [column.name for column in contract.features if column.name not in leaking]


def _file(fingerprint: str) -> str:
    return f"training-{fingerprint[:16]}.parquet"


def _write(session: Session, training: TrainingRows) -> None:
    known = {name: getattr(training, name) for name in ("batches", "leaks", "features", "since")}
    buffer = io.BytesIO()
    table = training.table.replace_schema_metadata({"training": json.dumps(known, default=str)})
    pq.write_table(table, buffer, compression="zstd")
    write_artifact(session.contract.portfolio, _file(training.fingerprint), buffer.getvalue())


def _load(session: Session, fingerprint: str) -> TrainingRows:
    """Return a planned training: its file's, or the database's where that still has the rows.

    Raises:
        StateError: neither is what was planned.
    """
    contract = session.contract
    path = settings.artifacts_dir(contract.portfolio) / _file(fingerprint)
    if path.is_file():
        table = pq.read_table(path)
        if fingerprint_of(contract, table) == fingerprint:
            known = json.loads(table.schema.metadata[b"training"])
            return TrainingRows(fingerprint, table, **known)
    training = _freeze(session)
    if training.fingerprint != fingerprint:
        raise StateError(
            f"the rows of training {fingerprint[:16]} are gone: {path} is not what was planned, "
            "and the labelled loans or the contract have changed since; run the training again"
        )
    return training


def _try(session: Session, training: TrainingRows, trial: Trial) -> None:
    if any(
        each.trial.name == trial.name for each in recorded_trials(session, training.fingerprint)
    ):
        return
    part = _part(session.contract, training)
    result = cross_validate(
        session.contract,
        part.features,
        trial,
        part.X.iloc[part.learn],
        part.y[part.learn],
        part.recent[part.learn],
    )
    record_trial(session, training.fingerprint, result, len(part.learn))
    log.info("%s: AUC %.4f, %.1f s", trial.name, result.mean("auc"), result.seconds)


def _finish(session: Session, training: TrainingRows) -> dict[str, str]:
    contract = session.contract
    known = _known(session, training.fingerprint)
    if known:
        return known
    results = recorded_trials(session, training.fingerprint)
    wanted = {trial.name for trial in declared_trials(contract)}
    missing = wanted - {result.trial.name for result in results}
    if missing:
        raise StateError(
            f"training {training.fingerprint[:16]} lacks its trials {', '.join(sorted(missing))}; "
            "run the training again"
        )
    made = registry.register_models(
        session,
        _fit(contract, training, choose_trial(results), _old_personas(session)),
        training.fingerprint,
        {
            "batches": training.batches,
            "applications": training.table.num_rows,
            "since": training.since,
            "policy": contract.policy,
        },
    )
    (settings.artifacts_dir(contract.portfolio) / _file(training.fingerprint)).unlink(
        missing_ok=True
    )
    return made


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

    What the contract says of promotion, performance, business, service level, retraining and
    notifications is left out: a model changes neither with its judges nor with what is promised of
    nights, nor with who is told of them.
    """
    apart = {
        "promotion", "performance", "business", "service_level", "retraining", "notifications",
    }  # fmt: skip
    told = contract.model_dump_json(exclude=apart)
    digest = hashlib.sha256(f"{__version__}\n{told}\n".encode())
    for name in table.column_names:
        values = table.column(name).to_pandas()
        digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Part:
    """All rows as a matrix, and which of the judged ones are training part and hold-out.

    `recent` tells the rows since the world has changed, shape (rows,), bool; all, where it has not.
    Hold-outs are of recent rows.
    """

    X: pd.DataFrame
    y: np.ndarray
    learn: np.ndarray
    test: np.ndarray
    holdout: np.ndarray
    recent: np.ndarray
    features: list[str]


def _part(contract: Contract, training: TrainingRows) -> _Part:
    table = training.table
    y = table.column("is_default").to_numpy().astype(int)
    judged = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    recent = np.ones(len(y), dtype=bool)
    if training.since is not None:
        recent = table.column("is_recent").to_numpy()
    learn, holdout = split_holdout(contract, table.column(KEY))
    holdout = holdout[recent[holdout]]
    learn, test = learn[judged[learn]], holdout[judged[holdout]]
    features = [
        name
        for name in training.features
        if len(table.column(name).take(pa.array(learn)).unique()) > 1
    ]
    X = feature_frame(table, contract, features)
    return _Part(X, y, learn, test, holdout, recent, features)


OldPersonas = Callable[[pa.Table], tuple[np.ndarray, list[str]]]
"""Takes applications; returns each one's cluster by the champion personas, and their names."""


def _fit(
    contract: Contract,
    training: TrainingRows,
    chosen: TrialResult,
    old_personas: OldPersonas | None = None,
) -> list[FittedModel]:
    part = _part(contract, training)
    X, y, learn, test, features = part.X, part.y, part.learn, part.test, part.features
    model = fit_chosen_trial(
        contract, features, chosen, X.iloc[learn], y[learn], has_changed=training.since is not None
    )
    metrics = measure_holdout(contract, y[test], default_probabilities(model, X.iloc[test]))
    metrics |= {"trial": chosen.trial.name}
    log.info(
        "%s is chosen: hold-out AUC %.4f on %d loans",
        chosen.trial.name, metrics["auc"], metrics["rows"],
    )  # fmt: skip

    clusters, silhouettes = fit_personas(contract, features, X.iloc[learn])
    labels = clusters[-1].labels_
    kept = {}
    if old_personas is not None:
        old, old_names = old_personas(training.table.take(pa.array(learn)))
        kept = match_names(old, labels, old_names, clusters[-1].n_clusters)
    names = name_clusters(clusters, contract, X.iloc[learn], kept)
    people = describe_personas(labels, y[learn], names)

    rates = [person["default_rate"] for person in people]
    scorer = Scorer(contract, model, features, clusters, features, names, rates)
    seen, frozen = _baseline(contract, training.table, part, scorer)
    return [
        FittedModel(
            PROPENSITY,
            model,
            estimator_parameters(model),
            features,
            metrics,
            algorithm=type(final_classifier(model)).__name__,
            evaluation=evaluation.evaluate_holdout(
                contract, model, features, training.table.take(pa.array(test))
            ),
            baseline=frozen,
            baseline_sample=sample_rows(
                seen, contract.monitoring.sample_rows, contract.training.seed
            ),
            leaks=training.leaks,
        ),
        FittedModel(
            PERSONAS,
            clusters,
            estimator_parameters(clusters),
            features,
            {"personas": people, "silhouettes": silhouettes},
            algorithm=type(clusters[-1]).__name__,
        ),
    ]


def measure_holdout(contract: Contract, y: np.ndarray, probability: np.ndarray) -> dict[str, Any]:
    """Return the metrics of a hold-out, and under `intervals` [lowest, highest] of each.

    A metric that has no value there, such as the slope of equal probabilities, is None.
    """
    threshold = contract.decision.decline_from
    metrics = holdout_metrics(y, probability, threshold)
    policy = contract.training
    found = bootstrap(y, probability, threshold, policy.resamples, policy.seed)
    known = {name: value if np.isfinite(value) else None for name, value in metrics.items()}
    return known | {"intervals": found, "confidence": CONFIDENCE}


def _old_personas(session: Session) -> OldPersonas | None:
    """Return the champion's clustering, None where there is none that can be asked."""
    contract = session.contract
    with database.transaction(session.connection):
        version = registry.champion_version(session, PERSONAS)
        if version is None:
            return None
        row = registry.model_row(session, version)
    if not set(row["features"]) <= {column.name for column in contract.monitored}:
        log.warning("%s reads columns that are gone: personas get new names", version)
        return None
    try:
        old = registry.model_estimator(session, row)
    except StateError as error:
        log.warning("personas get new names: %s", error)
        return None
    names = [person["name"] for person in row["metrics"]["personas"]]

    def ask(table: pa.Table) -> tuple[np.ndarray, list[str]]:
        return old.predict(feature_frame(table, contract, row["features"])), names

    return ask


def _baseline(
    contract: Contract, table: pa.Table, part: _Part, scorer: Scorer
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows behind the baseline and the baseline itself.

    Inputs are frozen from every recent labelled application, the referred ones included, as a
    batch has them too. Predictions are frozen from the hold-out alone: on rows that it was fitted
    on, a model's scores are further apart than any batch's will be.
    """
    is_holdout = np.zeros(table.num_rows, dtype=bool)
    is_holdout[part.holdout] = True
    holdout = np.flatnonzero(is_holdout[part.recent])
    table = table.filter(pa.array(part.recent))
    seen = table.select([column.name for column in contract.monitored])
    scored = scorer.score(table.take(pa.array(holdout))).select(list(PREDICTIONS))
    frozen = fit_baseline(contract, seen) | fit_baseline(contract, scored)
    place = np.full(table.num_rows, -1)
    place[holdout] = np.arange(len(holdout))
    rows = pa.array(place, mask=place < 0)
    for name in scored.column_names:
        seen = seen.append_column(name, scored.column(name).take(rows))
    return seen.append_column("is_holdout", pa.array(place >= 0)), frozen
