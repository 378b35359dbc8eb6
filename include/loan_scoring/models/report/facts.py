"""Read all records of which the report of a model consists, in one place."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract, Governance, under_model
from loan_scoring.database import audit
from loan_scoring.database.audit import ChainCheck
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.card.blocks import Card, Section
from loan_scoring.models.card.content import read_card
from loan_scoring.models.registry import PERSONAS, PROPENSITY
from loan_scoring.models.training.cross_validation import TrialResult
from loan_scoring.models.training.trials import recorded_trials


@dataclass(frozen=True)
class Facts:
    """The records of a pair of models: rows of the registry, its card, and what happened since.

    `propensity` and `personas` are rows of table `models`. The other fields are rows of the query
    of the same name, for this propensity version.
    """

    contract: Contract
    propensity: database.Row
    personas: database.Row
    card: Card
    champion: str | None
    verdicts: list[database.Row]
    signatures: list[database.Row]
    trials: list[TrialResult]
    batches: list[database.Row]
    runs: list[database.Row]
    alerts: list[database.Row]
    segments: list[database.Row]
    shadow_nights: list[database.Row]
    reviews: list[database.Row]
    requests: list[database.Row]
    incidents: list[database.Row]
    life_cycle: list[database.Row]
    contracts: list[database.Row]
    stages: list[database.Row]
    replaced: database.Row | None
    chain: ChainCheck

    @property
    def version(self) -> str:
        """The propensity version."""
        return str(self.propensity["model_version"])

    @property
    def governance(self) -> Governance:
        """What the contract says of purpose, persons and risks. Empty if it says nothing."""
        return self.contract.governance or Governance()

    @property
    def evaluation(self) -> dict[str, Any]:
        """What was measured on the hold-out. Empty if the model has no evaluation."""
        return self.propensity["evaluation"] or {}

    @property
    def evidence(self) -> dict[str, Any]:
        """The evidence of the last judgement by gates. Empty if no gate has judged the model."""
        judged = [each["evidence"] for each in self.verdicts if "gates" in each["evidence"]]
        return judged[-1] if judged else {}

    @cached_property
    def sections(self) -> dict[str, Section]:
        """The sections of the card, by title, in the card's order."""
        return {section.title: section for section in self.card.sections}

    def has_measured(self, part: str) -> bool:
        """Return whether a part of the evaluation has figures, not only the reason why it has none.

        Parts that the contract does not ask for are missing.
        """
        found = self.evaluation.get(part)
        return bool(found) and not (isinstance(found, dict) and {*found} == {"reason"})

    def has_judged(self, gate: str) -> bool:
        """Return whether a gate judged figures of the model, the last time that gates judged it."""
        return any(
            each["gate"] == gate and each["figures"].get("is_measured", True)
            for each in self.evidence.get("gates", [])
        )


def read_facts(session: Session, model_version: str) -> Facts:
    """Return the records of a pair of models.

    Args:
        session: database session.
        model_version: either version of the pair, propensity or personas.

    Raises:
        MissingError: there is no such version.
    """
    card = read_card(session, model_version)
    chain = audit.verify_chain(session)
    trials = recorded_trials(
        session, registry.trials_of(registry.model_row(session, model_version))
    )
    with database.transaction(session.connection):
        versions = registry.fitted_pair(session, model_version)
        row = registry.model_row(session, versions[PROPENSITY])
        used = row["training_data"].get("batches", [])

        def found(query: str, **values: Any) -> list[database.Row]:
            return database.rows(session.connection, query, **values)

        own = {"model_version": versions[PROPENSITY]}
        replaced = found("select_replaced", **own)
        return Facts(
            contract=under_model(session.contract, row["training_data"]),
            propensity=row,
            personas=registry.model_row(session, versions[PERSONAS]),
            card=card,
            champion=registry.champion_version(session, PROPENSITY),
            verdicts=found("select_verdicts", **own),
            signatures=found("select_signatures", **own),
            trials=trials,
            batches=found(
                "select_batches_of_training",
                batches=[each["batch_id"] for each in used],
                revisions=[each["revision"] for each in used],
            ),
            runs=found("select_runs_of_model", **own),
            alerts=found("select_alerts_of_model", **own),
            segments=found("select_segments_of_model", **own),
            shadow_nights=found("select_shadow_nights", **own),
            reviews=found("select_reviews_of_model", **own),
            requests=found("select_requests_of_model", since=row["created_at"]),
            incidents=found("select_incidents"),
            life_cycle=found("select_life_cycle"),
            contracts=found("select_contracts"),
            stages=found("select_stages_run"),
            replaced=replaced[0] if replaced else None,
            chain=chain,
        )
