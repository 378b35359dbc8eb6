"""Define the whole contract, and check that its columns, rules and policies fit together."""

import hashlib
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.columns import (
    KEY,
    NAME,
    Column,
    Exclusion,
    Ratio,
    Target,
    first_repeated,
)
from loan_scoring.contract.file_formats import Source
from loan_scoring.contract.operation_policies import (
    BusinessPolicy,
    Channel,
    MonitoringPolicy,
    PerformancePolicy,
    ReplayPolicy,
    RetentionPolicy,
    RetrainingPolicy,
    Schedules,
    ServiceLevel,
)
from loan_scoring.contract.parts import ContractPart
from loan_scoring.contract.source_checks import check_sources
from loan_scoring.contract.stage_policies import (
    DecisionPolicy,
    IngestPolicy,
    PromotionPolicy,
    ScoringPolicy,
    TrainingPolicy,
)

if TYPE_CHECKING:
    from loan_scoring.statistics.fairness import GroupRule


FORMAT_FIELDS = {"encoding", "delimiter", "header", "ignore_case", "sheet"}
"""The fields of `source` that change how a file is read."""


class Contract(ContractPart):
    """The contract of one portfolio: its columns, rules, policies and schedules."""

    portfolio: str
    title: str
    owner: str
    source: Source = Source()
    columns: list[Column] = Field(min_length=2)
    target: Target
    protected: list[str] = Field(default_factory=list)
    exclusions: list[Exclusion] = Field(default_factory=list)
    ratios: list[Ratio] = Field(default_factory=list)
    ingest: IngestPolicy = IngestPolicy()
    scoring: ScoringPolicy = ScoringPolicy()
    decision: DecisionPolicy
    training: TrainingPolicy = TrainingPolicy()
    promotion: PromotionPolicy = PromotionPolicy()
    monitoring: MonitoringPolicy = MonitoringPolicy()
    retraining: RetrainingPolicy = RetrainingPolicy()
    service_level: ServiceLevel = ServiceLevel()
    performance: PerformancePolicy = PerformancePolicy()
    business: BusinessPolicy | None = None
    retention: RetentionPolicy | None = None
    notifications: list[Channel] = Field(default_factory=list)
    schedules: Schedules = Schedules()
    replay: ReplayPolicy = ReplayPolicy()

    @field_validator("portfolio")
    @classmethod
    def _is_identifier(cls, portfolio: str) -> str:
        if not NAME.fullmatch(portfolio):
            raise ValueError(
                f"'{portfolio}' is not a valid portfolio name: use lower-case letters, digits and _"
            )
        if portfolio in ("mlflow", "public", "information_schema") or portfolio.startswith("pg_"):
            raise ValueError(
                f"'{portfolio}' is a schema of Postgres or MLflow, or kept for one; choose another "
                "portfolio name that does not begin with pg_"
            )
        return portfolio

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        repeated = first_repeated([column.name for column in self.columns])
        if repeated is not None:
            more = "; several columns are one key as source: [A, B]" * (repeated == KEY)
            raise ValueError(f"columns: name '{repeated}' is declared twice{more}")
        names = {c.name: c for c in self.columns}
        if KEY not in names:
            raise ValueError(f"columns: no column is named {KEY}; every table needs this key")
        if names[KEY].type not in ("integer", "text", "uuid"):
            raise ValueError(f"columns.{KEY}.type: the key must be integer, text or uuid")
        for column in self.columns:
            if column.type in ("text", "uuid") and column.name != KEY:
                raise ValueError(
                    f"columns.{column.name}.type: only the key may be {column.type}; "
                    "use category with open_levels: true"
                )
            if self.target.source in column.sources:
                raise ValueError(
                    f"columns.{column.name}: this is the target; declare it under target only"
                )
        check_sources(self.source, self.columns, self.target)
        for name in self.protected:
            _need(names, name, "protected")
        twice = first_repeated([channel.name for channel in self.notifications])
        if twice is not None:
            raise ValueError(f"notifications: name '{twice}' is declared twice")
        self._check_fairness(names)
        for place, exclusion in enumerate(self.exclusions):
            column = _need(names, exclusion.column, f"exclusions.{place}.column")
            if not column.is_known_at_application:
                raise ValueError(
                    f"exclusions.{place}.column: {column.name} is not known at application"
                )
            if exclusion.equals is not None and exclusion.equals not in (column.levels or []):
                raise ValueError(
                    f"exclusions.{place}.equals: '{exclusion.equals}' is not a level of "
                    f"{column.name}"
                )
        if self.business is not None:
            amount = _need(names, self.business.amount, "business.amount")
            if not amount.is_numeric or not amount.is_known_at_application:
                raise ValueError(
                    f"business.amount: {amount.name} is not a number that is known at application"
                )
        totals = self.ingest.manifest.totals if self.ingest.manifest else {}
        for name in totals:
            if not _need(names, name, "ingest.manifest.totals").is_numeric:
                raise ValueError(f"ingest.manifest.totals: {name} is not a number")
        for name in self.training.leaks.acknowledged:
            _need(names, name, "training.leaks.acknowledged")
        for place, ratio in enumerate(self.ratios):
            for field in ("column", "numerator", "denominator"):
                _need(names, getattr(ratio, field), f"ratios.{place}.{field}")
        for name, scenario in self.replay.scenarios.items():
            if scenario.column is not None:
                _need(names, scenario.column, f"replay.scenarios.{name}.column")
        return self

    def _check_fairness(self, names: dict[str, Column]) -> None:
        fairness, place = self.promotion.fairness, "promotion.fairness"
        for name in fairness.attributes or []:
            if _need(names, name, f"{place}.attributes").type != "category":
                raise ValueError(
                    f"{place}.attributes: {name} is not a category, so it has no groups"
                )
            if name not in self.protected:
                raise ValueError(f"{place}.attributes: {name} is not listed under protected")
        for each in fairness.not_a_group:
            column = _need(names, each.attribute, f"{place}.not_a_group")
            if each.level not in (column.levels or []):
                raise ValueError(
                    f"{place}.not_a_group: '{each.level}' is not a level of {each.attribute}"
                )

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """All columns by name, in the order of the contract."""
        return {column.name: column for column in self.columns}

    @property
    def sources(self) -> list[str]:
        """The columns that a file of applications must have, without the target."""
        return [name for column in self.columns for name in column.sources]

    @property
    def key(self) -> Column:
        """The column that identifies a loan, `loan_id`."""
        return self.by_name[KEY]

    @property
    def inputs(self) -> list[Column]:
        """All columns except the key, in the order of the contract."""
        return [column for column in self.columns if column.name != KEY]

    @property
    def monitored(self) -> list[Column]:
        """The columns that are tested for drift: all columns known at application but the key."""
        return [column for column in self.inputs if column.is_known_at_application]

    @property
    def fairness_attributes(self) -> list[str]:
        """The names of the columns whose groups of applicants are compared for fairness.

        If the contract names none, all protected columns of type `category` are compared.
        """
        chosen = self.promotion.fairness.attributes
        if chosen is not None:
            return chosen
        return [name for name in self.protected if self.by_name[name].type == "category"]

    def group_rule(self, attribute: str) -> "GroupRule":
        """Return the rule by which the groups of a protected attribute are compared."""
        # Import here, because `statistics.fairness` imports NumPy and SciPy. An import at the top
        # of the module would slow down every parse of a DAG file.
        from loan_scoring.statistics.fairness import GroupRule

        fairness = self.promotion.fairness
        return GroupRule(
            attribute,
            fairness.min_group,
            {e.level: e.reason for e in fairness.not_a_group if e.attribute == attribute},
            self.by_name[attribute].levels or [],
        )

    @property
    def features(self) -> list[Column]:
        """The columns that a model may use: the monitored columns that are not protected."""
        return [column for column in self.monitored if column.name not in self.protected]

    @property
    def policy(self) -> dict[str, Any]:
        """The decision thresholds and the exclusions, as stored with each scoring run.

        The decision on an application depends only on the application, the models and this policy.
        """
        return {
            "decision": self.decision.model_dump(),
            "exclusions": [each.model_dump(exclude={"label"}) for each in self.exclusions],
        }

    def under(self, policy: dict[str, Any] | None) -> Self:
        """Return this contract with the thresholds and exclusions of an earlier scoring run.

        If `policy` is None, return this contract unchanged. A scoring run stores no labels of
        exclusions, so each label comes from this contract. If this contract does not have the
        exclusion, the reason of the exclusion is the label.

        Args:
            policy: policy that is stored with the scoring run, as in the property `policy`.
        """
        if policy is None or policy == self.policy:
            return self
        labels = {each.reason: each.label for each in self.exclusions}
        exclusions = [
            Exclusion(**each, label=labels.get(each["reason"], each["reason"]))
            for each in policy["exclusions"]
        ]
        decision = DecisionPolicy(**policy["decision"])
        return self.model_copy(update={"decision": decision, "exclusions": exclusions})


def row_rules_sha256(contract: Contract) -> str:
    """Return the SHA-256 of all fields of a contract that affect how rows are parsed.

    If two contracts have equal hashes, a file gives equal rows under both contracts.
    """
    parsing_fields = {
        "source", "made_from", "name", "type", "levels", "open_levels", "range", "null_tokens",
    }  # fmt: skip
    fields: dict[str, Any] = {
        "source": FORMAT_FIELDS,
        "columns": {"__all__": parsing_fields},
        "ratios": True,
    }
    return hashlib.sha256(contract.model_dump_json(include=fields).encode()).hexdigest()


def target_sha256(contract: Contract) -> str:
    """Return the SHA-256 of a contract's target: its column, and its texts for either outcome."""
    target = contract.target
    parts = [target.source, sorted(target.positive), sorted(target.negative)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def outcome_rules_sha256(contract: Contract) -> str:
    """Return the SHA-256 of all fields of a contract that affect how a file of outcomes is parsed.

    If two contracts have equal hashes, a file gives equal outcomes under both contracts.
    """
    key = contract.key.model_dump(include={"source", "made_from", "type", "range", "null_tokens"})
    parts: list[Any] = [contract.source.encoding, key, target_sha256(contract)]
    further = contract.source.model_dump(include=FORMAT_FIELDS - {"encoding"})
    parts += [further] if further else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _need(names: dict[str, Column], name: str, place: str) -> Column:
    if name not in names:
        raise ValueError(f"{place}: no column is named '{name}'")
    return names[name]
