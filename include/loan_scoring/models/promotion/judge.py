"""Judge a challenger by every gate, on the same hold-out as the champion."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.features.applications import read_labelled
from loan_scoring.models import registry
from loan_scoring.models.groups import group_names
from loan_scoring.models.holdout import holdout_members, holdout_policy
from loan_scoring.models.promotion import gates
from loan_scoring.models.promotion.gates import Gate
from loan_scoring.models.registry import PERSONAS, PROPENSITY
from loan_scoring.models.scorer import Scorer, exclusion_reasons
from loan_scoring.statistics import fairness


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
    the key of the loan. So the champion was not fitted on these loans either, even if the champion
    was trained on older data.

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
    table, described = _common_holdout(session, models, scorers)
    y = table.column("is_default").to_numpy().astype(int)
    if len(np.unique(y)) < 2:
        raise StateError(
            f"the hold-out of {contract.portfolio} has {len(y)} loans with an outcome and not "
            "both outcomes; ingest more history before models are compared"
        )
    scores, *of_champion = [scorer.score(table) for scorer in scorers]
    own = scores.column("default_probability").to_numpy()
    champions = of_champion[0].column("default_probability").to_numpy() if of_champion else None
    approved = pc.equal(scores.column("decision"), "approve").to_numpy()
    parities = [
        fairness.approval_parity(
            contract.group_rule(name), group_names(contract, name, table.column(name)), y, approved
        )
        for name in contract.fairness_attributes
    ]
    verdicts = [
        gates.better(contract, y, own, champions),
        gates.calibrated(contract, y, own, champions),
        gates.fair(contract, parities, is_first=champion is None),
    ]
    if "leaks" in challenger:
        verdicts.append(gates.free_of_leaks(challenger["leaks"], challenger["features"]))
    return GateJudgement(
        challenger["model_version"], version, verdicts, described | {"rows": len(y)}
    )


def _common_holdout(
    session: Session, models: list[database.Row], scorers: list[Scorer]
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the scorable loans that are in the hold-outs of all given models.

    If the first model was trained after a change, only loans since the change are returned,
    because future loans will be similar to these.

    Returns:
        the loans, and a dictionary with the distinct hold-out `policies` of the models and with
        `since`, the first batch of the change or None.
    """
    contract = session.contract
    needed = {column.name for column in contract.monitored} | set(contract.protected_names)
    needed |= {name for scorer in scorers for name in scorer.columns}
    # Features are left out, because each scorer computes its own.
    needed = contract.derived.closure(needed)
    columns = [column.name for column in contract.joined if column.name in needed]
    with database.transaction(session.connection):
        since = models[0]["training_data"].get("since")
        table = read_labelled(session, columns, since)
    if since is not None:
        table = table.filter(table.column("is_recent"))
    kept = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    policies = []
    for row in models:
        policy = (row["evaluation"] or {}).get("holdout") or holdout_policy(contract)
        kept = kept & holdout_members(table.column(KEY), policy["seed"], policy["share"])
        if policy not in policies:
            policies.append(policy)
    return table.filter(pa.array(kept)), {"policies": policies, "since": since}


def _scorer(session: Session, row: database.Row) -> Scorer:
    """Return the scorer that scores batches with a propensity model, given the model's row."""
    pair = registry.versions_by_fingerprint(session, row["fingerprint"])
    return registry.load_scorer(session, pair[PROPENSITY], pair[PERSONAS])
