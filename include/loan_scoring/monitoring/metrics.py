"""Run stage `metrics` for one batch: test for drift, measure performance and update alerts."""

import logging

import numpy as np
import pyarrow as pa
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import Contract, under_model
from loan_scoring.contract.business_dates import read_date
from loan_scoring.database.files import read_artifact
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.features.applications import read_derived_blocks
from loan_scoring.models import registry
from loan_scoring.models.baseline import (
    PREDICTIONS,
    predictions_of_other_policy,
    present_numbers,
    read_baseline_sample,
    watched_columns,
)
from loan_scoring.monitoring.alerts.causes import BAD_DATA, POPULATION, BatchCause
from loan_scoring.monitoring.alerts.grouping import group_by_cause
from loan_scoring.monitoring.alerts.store import record_causes, update_alerts
from loan_scoring.monitoring.distributions import write_distributions
from loan_scoring.monitoring.drift.compare import FittedBaseline, compare_columns
from loan_scoring.monitoring.drift.comparison import Comparison
from loan_scoring.monitoring.drift.decide import TestVerdict, decide_drift
from loan_scoring.monitoring.drift.joint import ALL
from loan_scoring.monitoring.drift_rows import write_drift
from loan_scoring.monitoring.performance.batch import CODED
from loan_scoring.monitoring.performance.measure import measure_run
from loan_scoring.monitoring.performance.over_nights import add_up_outcomes
from loan_scoring.monitoring.usual import read_usual, settled, what_against

log = logging.getLogger(__name__)

KINDS_OF_SCORING = ("data", "prediction", "joint")
"""The drift kinds that can be tested as soon as a batch is scored.

The other kinds, `model` and `target`, need outcomes.
"""
BLOCK_ROWS = 50_000
"""Number of applications that are read at once."""


def compare_batch(session: Session, batch_id: str) -> dict[str, int]:
    """Measure a batch's current scoring run: write drift, distributions, performance and alerts.

    Everything is read and computed first. The rows of the scoring run are then written in one
    transaction, which holds the lock on the batch. A second transaction adds up the outcomes over
    nights, and a third one updates the alerts. If scores and outcomes have not changed, a second
    call writes the same rows. If the batch is scored again meanwhile, the new run is measured.

    A batch that was declared empty is compared with nothing, and no row is written.

    Returns:
        The counts `applications` (applications of the batch), `tests` (drift tests) and `alerts`
        (causes `bad_data` and `population` that the batch shows).

    Raises:
        StateError: the batch has no published scores, or retention has dropped rows of the batch.
    """
    run = database.row(session.connection, "select_current_run", batch_id=batch_id)
    if run is None:
        raise StateError(f"batch {batch_id} has no published scores; run score for it first")
    refuse_dropped(session.connection, batch_id)
    if run["applications"] == 0:
        log.info("%s: declared empty, nothing to compare", run["scoring_run_id"])
        return {"applications": 0, "tests": 0, "alerts": 0}
    causes, (comparisons, probabilities, verdicts, drift_kinds) = find_causes(session, run)
    against = what_against(comparisons)

    def write_drift_and_distributions() -> None:
        run_id = run["scoring_run_id"]
        write_drift(session, run_id, KINDS_OF_SCORING, drift_kinds, verdicts, against)
        write_distributions(session, run, drift_kinds, comparisons, probabilities)
        record_causes(session, run["scoring_run_id"], (BAD_DATA, POPULATION), causes)

    if not measure_run(session, run, write_more=write_drift_and_distributions):
        return compare_batch(session, batch_id)
    add_up_outcomes(session)
    update_alerts(session)
    for each in causes:
        log.warning("batch %s: %s", batch_id, each.message)
    log.info("%s: %d tests, %d alerts", run["scoring_run_id"], len(verdicts), len(causes))
    return {
        "applications": run["applications"],
        "tests": len(verdicts),
        "alerts": len(causes),
    }


def find_causes(
    session: Session, run: database.Row
) -> tuple[
    list[BatchCause], tuple[list[Comparison], np.ndarray, list[TestVerdict], dict[str, str]]
]:
    """Compare the applications and scores of a run with the baseline, and write nothing.

    Return the causes that they show, and what they were found from: the comparisons, the
    probabilities, the verdicts, and the drift kind of each feature.
    """
    comparisons, probabilities = _compare(session, run)
    verdicts, drifted = decide_drift(session.contract.monitoring, comparisons)
    drift_kinds = {each.feature: drift_kind(each.feature) for each in comparisons}
    drifted = settled(drifted, [name for name, kind in drift_kinds.items() if kind == "data"])
    causes = group_by_cause(session.contract, drift_kinds, drifted, comparisons)
    return causes, (comparisons, probabilities, verdicts, drift_kinds)


def _compare(session: Session, run: database.Row) -> tuple[list[Comparison], np.ndarray]:
    """Return the drift tests of each feature of a batch, and the probabilities of scored loans.

    The joint tests of all inputs are the last comparison. The joint tests are left out if the
    baseline or the batch has too few rows.
    """
    propensity = registry.model_row(session, run["propensity_version"])
    contract = under_model(session.contract, propensity["training_data"])
    personas = registry.model_row(session, run["personas_version"])
    baseline = _fitted_baseline(contract, propensity)
    with database.snapshot(session.connection):
        predicted = _predictions(session, run)
        usual = read_usual(session.connection, contract, run, baseline)
        batch = _inputs(Session(contract, session.connection), run, baseline.inputs)
        together = baseline.together(contract.monitoring, batch)
        day = read_date(run["batch_id"])
        alone = compare_columns(contract, baseline, batch, baseline.inputs, usual.columns, day)
        del batch
        pa.default_memory_pool().release_unused()  # because what follows needs the memory
    incomparable = predictions_of_other_policy(run, propensity)
    # Another training may give personas other names. If the persona model and the propensity model
    # come from different trainings, the batch's personas cannot be compared with the baseline's.
    if personas["fingerprint"] != propensity["fingerprint"]:
        incomparable.add("persona")
    outputs = [name for name in baseline.outputs if name not in incomparable]
    comparisons = [
        *alone,
        *map(
            usual.judged,
            [*compare_columns(contract, baseline, predicted, outputs, usual.columns), *together],
        ),
    ]
    return comparisons, present_numbers(predicted.column("default_probability"))


_FITTED: dict[tuple[str, ...], FittedBaseline] = {}
"""Cache that holds one entry: the fitted baseline that this process used most recently.

One entry is enough because consecutive nights usually share one baseline.
"""


def _fitted_baseline(contract: Contract, model: database.Row) -> FittedBaseline:
    name, sha256 = model["baseline_artifact"], model["baseline_sha256"]
    key = (contract.model_dump_json(), model["model_version"], name, sha256)
    if name is None:
        raise StateError(
            f"the baseline sample of {model['model_version']} is gone, because retention keeps it "
            "only for models in use; train again, and promote the new pair"
        )
    if key not in _FITTED:
        sample = read_baseline_sample(read_artifact(contract.portfolio, name, sha256))
        _FITTED.clear()
        _FITTED[key] = FittedBaseline.fit(contract, model["baseline"], sample)
    return _FITTED[key]


def _inputs(session: Session, run: database.Row, columns: list[str]) -> pa.Table:
    """Return the given columns of a run's batch, with texts as codes.

    The rows are read in blocks, because the texts of a million rows need several times the memory
    of their codes.
    """
    blocks = read_derived_blocks(
        session,
        run["batch_id"],
        run["revision"],
        columns,
        None,
        BLOCK_ROWS,
        run["lookup_delivery_id"],
    )
    coded = [_with_codes(watched_columns(block.select(columns))) for block in blocks]
    return pa.concat_tables(coded).unify_dictionaries()


def _with_codes(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(place, field.name, table.column(place).dictionary_encode())
    return table


def _predictions(session: Session, run: database.Row) -> pa.Table:
    query = sql.SQL(
        "SELECT default_probability, decision, persona, reason_1 FROM champion_scores"
        " WHERE batch_id = {batch_id} AND scoring_run_id = {run_id} ORDER BY loan_id"
    ).format(batch_id=sql.Literal(run["batch_id"]), run_id=sql.Literal(run["scoring_run_id"]))
    types = {
        "default_probability": pa.float64(),
        "decision": CODED,
        "persona": CODED,
        "reason_1": CODED,
    }
    return database.copy_out(session.connection, query, types).unify_dictionaries()


def drift_kind(feature: str) -> str:
    """Return the drift kind of a feature: `data`, `prediction` or `joint`.

    An input has kind `data`, a column that scoring writes has `prediction`, and the feature that
    stands for all inputs together has `joint`.
    """
    if feature == ALL:
        return "joint"
    return "prediction" if feature in PREDICTIONS else "data"
