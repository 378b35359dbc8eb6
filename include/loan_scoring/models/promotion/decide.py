"""Promote a fitted pair, refuse it, or let a person decide; each verdict stands with its evidence.

The propensity model is judged for its pair: both are promoted, or neither.
"""

import logging
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring import database, settings
from loan_scoring.contract import KEY
from loan_scoring.database import audit
from loan_scoring.database.applications import labelled_applications
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.features import feature_frame
from loan_scoring.models.holdout import holdout_members, holdout_policy
from loan_scoring.models.promotion import gates
from loan_scoring.models.promotion.gates import Gate
from loan_scoring.models.registry import KINDS, PROPENSITY
from loan_scoring.models.scorer import exclusion_reasons
from loan_scoring.statistics import fairness
from loan_scoring.statistics.model_metrics import default_probabilities

log = logging.getLogger(__name__)

POLICY = "policy:auto"
"""Who decided where no person did."""


@dataclass(frozen=True)
class GateJudgement:
    """What the gates say of a challenger, held against the champion on the same hold-out."""

    challenger: str
    champion: str | None
    gates: list[Gate]
    holdout: dict[str, Any]

    @property
    def failed(self) -> list[str]:
        """The gates that were not passed."""
        return [each.gate for each in self.gates if not each.passed]

    def evidence(self) -> dict[str, Any]:
        """Return the judgement as it stands in promotions, fit for JSON."""
        figures = self.gates[0].figures
        return {
            "challenger": self.challenger,
            "champion": self.champion,
            "auc": figures["auc"],
            "champion_auc": figures.get("champion_auc"),
            "holdout": self.holdout,
            "gates": [asdict(gate) for gate in self.gates],
        }


def promote_by_gates(session: Session, versions: dict[str, str], mode: str | None = None) -> str:
    """Judge a fitted pair and promote it where every gate is passed; return what became of it.

    `promoted` and `refused` are recorded. `held`: every gate is passed, and with `mode` hold, the
    contract's unless given, a person decides. `unchanged`: it is in use already. `withheld`: a
    person rejected it or rolled it back, which stands until a person promotes it.
    """
    return judge_and_promote(session, versions, mode)[0]


def judge_and_promote(
    session: Session, versions: dict[str, str], mode: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Do as `promote`, and return the evidence too, which is empty where nothing was judged."""
    challenger = versions[PROPENSITY]
    with database.transaction(session.connection):
        if registry.champion_version(session, PROPENSITY) == challenger:
            return "unchanged", {}
        no = database.row(session.connection, "select_standing_no", model_version=challenger)
    if no is not None:
        word = "rolled it back" if no["occasion"] == "rollback" else "rejected it"
        log.info("%s: withheld, as %s %s", challenger, no["decided_by"], word)
        return "withheld", {}
    judgement = judge_challenger(session, versions)
    evidence = judgement.evidence()
    for gate in judgement.gates:
        log.info("%s: %s: %s", challenger, "passed" if gate.passed else "FAILED", gate.sentence)
    if judgement.failed:
        return apply_verdict(session, versions, "refused", POLICY, evidence), evidence
    if (mode or settings.promotion_mode() or session.contract.promotion.mode) == "hold":
        return "held", evidence
    return apply_verdict(session, versions, "promoted", POLICY, evidence), evidence


def apply_verdict(
    session: Session,
    versions: dict[str, str],
    verdict: str,
    decided_by: str,
    evidence: dict[str, Any],
    *,
    occasion: str = "training",
    comment: str | None = None,
) -> str:
    """Record a verdict on a pair and return it; `promoted` makes the pair the champions.

    The same verdict again, as of a task that was killed after it had committed, changes nothing.
    A promotion that was judged against a champion who is no more is recorded as refused.

    Raises:
        StateError: a model to be promoted cannot be loaded: missing, or changed since.
    """
    if verdict == "promoted":
        _load(session, versions)
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        champion = registry.champion_version(session, PROPENSITY)
        if verdict == "promoted" and champion == versions.get(PROPENSITY):
            return "unchanged"
        if verdict == "promoted" and champion != evidence["champion"]:
            evidence = evidence | {"outdated": f"{champion} was promoted meanwhile"}
            verdict = "refused"
        said = [
            registry.record_verdict(
                session, version, verdict, evidence, decided_by, occasion, comment
            )
            for version in versions.values()
        ]
        if any(said):
            told = {"occasion": occasion, "comment": comment, "champion": champion}
            told |= {name: evidence[name] for name in ("overruled", "outdated") if name in evidence}
            subject = ", ".join(versions.values())
            audit.record_entry(session, decided_by, f"promotion.{verdict}", subject, told)
    log.info("%s: %s by %s", ", ".join(versions.values()), verdict, decided_by)
    return verdict


def promote_by_hand(
    session: Session, model_version: str, decided_by: str, comment: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Promote the pair of a version because a person says so; return verdict and evidence.

    Gates that fail are recorded as overruled, for which a comment is asked.

    Raises:
        StateError: no such version, a gate failed and there is no comment, or a model is changed.
    """
    versions = registry.fitted_pair(session, model_version)
    if all(registry.champion_version(session, kind) == versions[kind] for kind in KINDS):
        raise StateError(f"{' and '.join(versions.values())} are in use already")
    judgement = judge_challenger(session, versions)
    evidence = judgement.evidence()
    if judgement.failed:
        if not comment:
            said = " ".join(gate.sentence for gate in judgement.gates if not gate.passed)
            raise StateError(
                f"{versions[PROPENSITY]} fails {', '.join(judgement.failed)}: {said} "
                "To promote it nevertheless, say why with --comment"
            )
        evidence |= {"overruled": judgement.failed}
    if judgement.champion == versions[PROPENSITY]:  # only its personas are out of use
        versions = {kind: v for kind, v in versions.items() if kind != PROPENSITY}
    verdict = apply_verdict(
        session, versions, "promoted", decided_by, evidence, occasion="command", comment=comment
    )
    return verdict, evidence


def rollback_champions(
    session: Session,
    decided_by: str,
    kind: str | None = None,
    comment: str | None = None,
    seen: str | None = None,
) -> dict[str, str]:
    """Put back what the champions had replaced; return the versions now in use by kind.

    Their own promotion is the evidence: nothing is judged anew, so that a rollback takes a moment.
    Again, it goes back one more.

    Args:
        kind: propensity or personas, to roll back that one alone.
        seen: the propensity model that the person saw in use, where it matters.

    Raises:
        StateError: the champion is the first of its kind or not the one that was seen, or the
            older model cannot be loaded.
    """
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        in_use = dict(zip(KINDS, registry.champion_pair(session), strict=True))
        if seen is not None and seen != in_use[PROPENSITY]:
            raise StateError(
                f"{in_use[PROPENSITY]} is in use by now, no more {seen}: nothing was rolled back"
            )
        back: dict[str, database.Row] = {}
        for each in [kind] if kind else KINDS:
            row = database.row(session.connection, "select_replaced", model_version=in_use[each])
            if row is None or row["replaces"] is None:
                raise StateError(f"{in_use[each]} replaced no other model: none to roll back to")
            if row["replaces"] != in_use[each]:
                back[each] = row
        now = in_use | {each: str(row["replaces"]) for each, row in back.items()}
        _load(session, now)
        for each, row in back.items():
            evidence = {
                "takes_out": in_use[each],
                "puts_back": now[each],
                "undoes_promotion": row["promotion_id"],
            }
            registry.record_verdict(
                session, now[each], "promoted", evidence, decided_by, "rollback", comment
            )
        takes_out = [in_use[each] for each in back]
        told = {"takes_out": takes_out, "comment": comment}
        audit.record_entry(session, decided_by, "promotion.rollback", ", ".join(now.values()), told)
    log.info("rolled back to %s by %s", ", ".join(now.values()), decided_by)
    return now


def _load(session: Session, versions: dict[str, str]) -> None:
    """Load the models, so that what cannot score does not come into use."""
    for version in versions.values():
        registry.model_estimator(session, registry.model_row(session, version))


def judge_challenger(session: Session, versions: dict[str, str]) -> GateJudgement:
    """Hold a pair's propensity model against the champion on loans that neither was fitted on.

    The hold-out is that of today's data: its loans are told by their keys (`holdout`), so that a
    champion that was fitted on less has not seen them either.

    Raises:
        StateError: no loan with an outcome is in the hold-out, or a model cannot be loaded.
    """
    contract = session.contract
    challenger = registry.model_row(session, versions[PROPENSITY])
    version = registry.champion_version(session, PROPENSITY)
    champion = None if version is None else registry.model_row(session, version)
    if champion is not None and champion["model_version"] == challenger["model_version"]:
        champion = None  # judged against itself, it could not be better
    models = [row for row in (challenger, champion) if row is not None]
    table, kept = _holdout(session, models)
    y = table.column("is_default").to_numpy().astype(int)
    if len(np.unique(y)) < 2:
        raise StateError(
            f"the hold-out of {contract.portfolio} has {len(y)} loans with an outcome and not "
            "both outcomes; ingest more history before models are compared"
        )
    own, theirs = (
        None if row is None else _probabilities(session, row, table)
        for row in (challenger, champion)
    )
    assert own is not None  # noqa: S101 - the challenger is a row
    approved = own < contract.decision.approve_below
    parities = [
        fairness.approval_parity(
            contract.group_rule(name), table.column(name).to_pylist(), y, approved
        )
        for name in contract.fairness_attributes
    ]
    found = [
        gates.better(contract, y, own, theirs),
        gates.calibrated(contract, y, own, theirs),
        gates.fair(contract, parities),
    ]
    if "leaks" in challenger:
        found.append(gates.free_of_leaks(challenger["leaks"], challenger["features"]))
    return GateJudgement(challenger["model_version"], version, found, kept | {"rows": len(y)})


def _holdout(session: Session, models: list[database.Row]) -> tuple[pa.Table, dict[str, Any]]:
    """Return the scorable loans that are in the hold-out of every model, and its policies."""
    contract = session.contract
    wanted = {column.name for column in contract.monitored} | set(contract.protected)
    wanted |= {name for row in models for name in row["features"]}
    columns = [column.name for column in contract.inputs if column.name in wanted]
    with database.transaction(session.connection):
        since = models[0]["training_data"].get("since")
        table = labelled_applications(session, columns, since)
    if since is not None:  # what came before the change tells nothing of what is to come
        table = table.filter(table.column("is_recent"))
    kept = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    policies = []
    for row in models:
        policy = (row["evaluation"] or {}).get("holdout") or holdout_policy(contract)
        kept = kept & holdout_members(table.column(KEY), policy["seed"], policy["share"])
        if policy not in policies:
            policies.append(policy)
    return table.filter(pa.array(kept)), {"policies": policies, "since": since}


def _probabilities(session: Session, row: database.Row, table: pa.Table) -> np.ndarray:
    X = feature_frame(table, session.contract, row["features"])
    return default_probabilities(registry.model_estimator(session, row), X)


def render_comparison(session: Session, evidence: dict[str, Any]) -> str:
    """Return what a person is shown before deciding, in Markdown: old against new, gate by gate."""
    by_name = {gate["gate"]: gate for gate in evidence["gates"]}
    better, calibrated = by_name["better"]["figures"], by_name["calibrated"]["figures"]
    champion = evidence["champion"]
    lines = [
        f"**{evidence['challenger']}** wants to replace **{champion or 'nothing'}**. Both were "
        f"measured on the same {evidence['holdout']['rows']:,} loans, which neither was fitted on.",
        "",
        f"| | {champion or 'no champion'} | {evidence['challenger']} |",
        "| --- | --- | --- |",
        f"| AUC | {_number(better.get('champion_auc'))} | {_number(better['auc'])} |",
        f"| difference, {better.get('confidence', 0.95):.0%} interval | | {_difference(better)} |",
        f"| calibration slope | {_number(calibrated.get('champion_slope'))} "
        f"| {_number(calibrated['slope'])} |",
    ]
    for name, told in by_name["fair"]["figures"]["attributes"].items():
        label = session.contract.by_name[name].label
        lines.append(f"| lowest over highest approval, {label} | | {_number(told['ratio'])} |")
    lines += ["", "Gates:", ""]
    lines += [
        f"- {gate['gate']}: {'passed' if gate['passed'] else 'FAILED'}. {gate['sentence']}"
        for gate in evidence["gates"]
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _difference(better: dict[str, Any]) -> str:
    if "interval" not in better:
        return ""
    low, high = better["interval"]
    return f"{better['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
