"""Judge a challenger by every gate, on the same hold-out as the champion."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.contract.grades import BY_GRADE
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.features.applications import read_labelled
from loan_scoring.models import registry
from loan_scoring.models.groups import group_names, labels, labels_by_bands
from loan_scoring.models.holdout import cohort_days, holdout_policy, members
from loan_scoring.models.long_run import before_shift, shift_of
from loan_scoring.models.promotion import gates, validation_gates
from loan_scoring.models.promotion.exchange import record_comparison
from loan_scoring.models.promotion.gates import Gate
from loan_scoring.models.promotion.mitigation_gate import mitigation_gate
from loan_scoring.models.promotion.reasons_gate import agreements, truthful
from loan_scoring.models.promotion.signature_gate import signature_gate
from loan_scoring.models.promotion.validation_gates import LastCohorts
from loan_scoring.models.registry import PERSONAS, PROPENSITY
from loan_scoring.models.scorer import Scorer, exclusion_reasons
from loan_scoring.models.segmentation import segmentations
from loan_scoring.statistics import fairness
from loan_scoring.statistics.labels import Labels

OF_PROBABILITIES = ("calibrated", "calibrated_in_the_large", "segments")
"""Gates whose figures depend on the level of the probabilities, not only on their order."""


@dataclass(frozen=True)
class GateJudgement:
    """The results of all gates for a challenger, and the hold-out on which they were measured.

    `challenger` and `champion` are versions of propensity models.
    """

    challenger: str
    champion: str | None
    gates: list[Gate]
    holdout: dict[str, Any]

    @property
    def failed(self) -> list[str]:
        """The names of the gates that the challenger failed."""
        return [each.gate for each in self.gates if not each.passed]

    def evidence(self) -> dict[str, Any]:
        """Return the evidence to be recorded with a promotion, ready for JSON."""
        figures = self.gates[0].figures
        return {
            "challenger": self.challenger,
            "champion": self.champion,
            "auc": figures["auc"],
            "champion_auc": figures.get("champion_auc"),
            "holdout": self.holdout,
            "gates": [asdict(gate) for gate in self.gates],
        }


def judge_challenger(session: Session, versions: dict[str, str]) -> GateJudgement:
    """Judge the propensity model of a pair on loans that no model in the comparison was fitted on.

    The hold-out is drawn from the current data. Whether a loan is in the hold-out depends only on
    the key of the loan and its cohort. So the champion was not fitted on these loans either, even
    if the champion was trained on older data. The challenger's last cohorts are judged apart.

    Args:
        session: database session.
        versions: versions of the pair, by kind.

    Raises:
        StateError: the hold-out has loans of one outcome only, or a model cannot be loaded.
    """
    contract = session.contract
    challenger = registry.model_row(session, versions[PROPENSITY])
    version = registry.champion_version(session, PROPENSITY)
    champion = None if version is None else registry.model_row(session, version)
    if champion is not None and champion["model_version"] == challenger["model_version"]:
        champion = None  # because a model cannot be better than itself
    models = [row for row in (challenger, champion) if row is not None]
    scorers = [_scorer(session, row) for row in models]
    unseen = _unseen_loans(session, models, scorers)
    table, y = unseen.holdout, _outcomes(unseen.holdout)
    if len(np.unique(y)) < 2:
        raise StateError(
            f"the hold-out of {contract.portfolio} has {len(y)} loans with an outcome and not "
            "both outcomes; ingest more history before models are compared"
        )
    scores, *of_champion = [scorer.score(table) for scorer in scorers]
    both = [_probabilities(each) for each in (scores, *of_champion)]
    if champion is not None:
        record_comparison(session, models, scorers, y, both)
    # The hold-out is judged by what was expected of it, not by a long-run rate.
    own, *before = (
        before_shift(row["evaluation"], each) for row, each in zip(models, both, strict=True)
    )
    champions = before[0] if before else None
    approved = pc.equal(scores.column("decision"), "approve").to_numpy()
    parities = [
        fairness.approval_parity(
            contract.group_rule(name), group_names(contract, name, table.column(name)), y, approved
        )
        for name in contract.fairness_attributes
    ]
    cuts = segmentations(
        contract,
        labels(scores.column("persona")),
        {
            name: labels_by_bands(bands, table.column(name))
            for name, bands in contract.segment_bands.items()
        }
        | _grades(scorers[0], both[0]),
    )
    last, reason = _last_cohorts(models, unseen, scorers)
    verdicts = [
        gates.better(contract, y, own, champions),
        gates.calibrated(contract, y, own, champions),
        gates.fair(contract, parities),
        *([] if champions is None else [validation_gates.reaches_floor(contract, y, own)]),
        validation_gates.calibrated_in_the_large(contract, y, own),
        validation_gates.even_segments(contract, y, own, cuts),
        validation_gates.holds_over_time(contract, y, own, last, reason),
        validation_gates.stable(contract, own, last, reason),
    ]
    if "leaks" in challenger:
        verdicts.append(gates.free_of_leaks(challenger["leaks"], challenger["features"]))
    told = agreements(scorers[0], table, scores)
    if told:
        verdicts.append(truthful(contract, told))
    verdicts += mitigation_gate(contract, challenger)
    verdicts += signature_gate(session, challenger)
    if shift_of(challenger["evaluation"]):
        verdicts = [_before_target(challenger, gate) for gate in verdicts]
    described = unseen.described | {
        "rows": len(y),
        "looks": registry.count_looks(session, unseen.described["policies"][0]),
    }
    return GateJudgement(challenger["model_version"], version, verdicts, described)


@dataclass(frozen=True)
class UnseenLoans:
    """Scorable loans that no fit of the challenger saw.

    `holdout` are the loans that are in the hold-outs of all models. `last` are those of the
    challenger's last cohorts, and `is_common` says which of them the champion was not fitted on.
    """

    holdout: pa.Table
    last: pa.Table
    is_common: np.ndarray
    described: dict[str, Any]


def _unseen_loans(
    session: Session, models: list[database.Row], scorers: list[Scorer]
) -> UnseenLoans:
    """Return the loans on which the models are judged.

    If the first model was trained after a change, only loans since the change are returned,
    because future loans will be similar to these. The result describes them by the distinct
    hold-out `policies` of the models, and by `since`, the first batch of the change or None.
    """
    contract = session.contract
    needed = {column.name for column in contract.monitored} | set(contract.protected_names)
    needed |= set(contract.segment_bands)
    needed |= {name for scorer in scorers for name in scorer.columns}
    # Features are left out, because each scorer computes its own.
    needed = contract.derived.closure(needed)
    columns = [column.name for column in contract.joined if column.name in needed]
    with database.transaction(session.connection):
        since = models[0]["training_data"].get("since")
        table = read_labelled(session, columns, since, with_batch=True)
    if since is not None:
        table = table.filter(table.column("is_recent"))
    table = table.filter(exclusion_reasons(contract, table).is_null())
    days, policies = cohort_days(table), [_holdout_policy(session, row) for row in models]
    held = [members(policy, table.column(KEY), days) for policy in policies]
    is_last = _is_last(models[0], days)
    is_common = np.zeros(table.num_rows, dtype=bool)
    if len(models) > 1:
        learnt = [each["batch_id"] for each in models[1]["training_data"].get("batches", [])]
        is_old = pc.is_in(table.column("batch_id"), value_set=pa.array(learnt, pa.string()))
        is_common = held[1] | _is_last(models[1], days) | ~is_old.to_numpy()
    distinct = [each for place, each in enumerate(policies) if each not in policies[:place]]
    return UnseenLoans(
        table.filter(pa.array(np.logical_and.reduce(held) & ~is_last)),
        table.filter(pa.array(is_last)),
        is_common[is_last],
        {"policies": distinct, "since": since},
    )


def _holdout_policy(session: Session, row: database.Row) -> dict[str, Any]:
    return (row["evaluation"] or {}).get("holdout") or holdout_policy(session.contract)


def _is_last(row: database.Row, days: np.ndarray) -> np.ndarray:
    """Return whether each loan is of a model's last cohorts, or later, shape (rows,)."""
    first = _first_day(row)
    return days >= np.datetime64(first) if first else np.zeros(len(days), dtype=bool)


def _first_day(row: database.Row) -> str | None:
    found: str | None = ((row["evaluation"] or {}).get("out_of_time") or {}).get("first")
    return found


def _last_cohorts(
    models: list[database.Row], unseen: UnseenLoans, scorers: list[Scorer]
) -> tuple[LastCohorts | None, str | None]:
    """Return the challenger's last cohorts as they are judged, or None and the reason."""
    challenger = models[0]
    first, y = _first_day(challenger), _outcomes(unseen.last)
    if first is None:
        found = (challenger["evaluation"] or {}).get("out_of_time") or {}
        return None, found.get("reason", "the model was trained without out-of-time loans")
    if len(np.unique(y)) < 2:
        return None, f"the loans since {first} have one outcome only by now"
    own = _before_shift(challenger, scorers[0].score(unseen.last))
    common = unseen.is_common
    if len(scorers) == 1 or len(np.unique(y[common])) < 2:
        return LastCohorts(first, y, own), None
    theirs = _before_shift(models[1], scorers[1].score(unseen.last.filter(pa.array(common))))
    return LastCohorts(first, y, own, theirs, common), None


def _outcomes(table: pa.Table) -> np.ndarray:
    return np.asarray(table.column("is_default").to_numpy().astype(int))


def _probabilities(scores: pa.Table) -> np.ndarray:
    return np.asarray(scores.column("default_probability").to_numpy())


def _before_shift(row: database.Row, scores: pa.Table) -> np.ndarray:
    return before_shift(row["evaluation"], _probabilities(scores))


def _grades(scorer: Scorer, probability: np.ndarray) -> dict[str, Labels]:
    scale = scorer.scale
    return {} if scale is None else {BY_GRADE: Labels(scale.names, scale.places(probability))}


def _before_target(row: database.Row, gate: Gate) -> Gate:
    """Say in the sentence of a gate on probabilities that they are those before the shift."""
    if gate.gate not in OF_PROBABILITIES:
        return gate
    target = row["evaluation"]["long_run"]["target"]
    note = f" Probabilities as they were before their shift to the long-run rate of {target:.1%}."
    return replace(gate, sentence=gate.sentence + note)


def _scorer(session: Session, row: database.Row) -> Scorer:
    """Return the scorer that scores batches with a propensity model, given the model's row."""
    pair = registry.versions_by_fingerprint(session, row["fingerprint"])
    return registry.load_scorer(session, pair[PROPENSITY], pair[PERSONAS])
