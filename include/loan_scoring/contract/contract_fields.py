"""Define the fields of a contract, without what follows from them."""

from typing import Any

from pydantic import ConfigDict, Field, field_validator

from loan_scoring.contract.columns import Column
from loan_scoring.contract.desk import DeskPolicy
from loan_scoring.contract.federated import FederatedPolicy
from loan_scoring.contract.file_formats import Source
from loan_scoring.contract.governance import Governance
from loan_scoring.contract.grades import Grades, check_scale
from loan_scoring.contract.ingest_policies import IngestPolicy
from loan_scoring.contract.lookups import Feature, Lookup
from loan_scoring.contract.notifications import Channel
from loan_scoring.contract.operation_policies import (
    BusinessPolicy,
    MonitoringPolicy,
    PerformancePolicy,
    RetentionPolicy,
    RetrainingPolicy,
    Schedules,
    ServiceLevel,
)
from loan_scoring.contract.outcomes import OutcomesFormat, Target
from loan_scoring.contract.parts import ContractPart, later
from loan_scoring.contract.portfolio_names import check_portfolio_name
from loan_scoring.contract.promotion_policies import PromotionPolicy
from loan_scoring.contract.protected import Protected
from loan_scoring.contract.reasons import Letter, Reason
from loan_scoring.contract.replay_policies import ReplayPolicy
from loan_scoring.contract.row_conditions import Exclusion, Ratio
from loan_scoring.contract.scan_form import ScanForm
from loan_scoring.contract.stage_policies import DecisionPolicy, ScoringPolicy, TrainingPolicy


class ContractFields(ContractPart):
    """The fields of a contract file, in the order of its reference."""

    # The field `features` of the file is `declared_features` here, because `features` are all
    # columns that a model may use.
    model_config = ConfigDict(serialize_by_alias=True)

    portfolio: str
    """The file's name, and the Postgres schema. Lower-case letters, digits, `_`."""
    title: str
    """Shown in the UI."""
    owner: str
    """The owner of the DAGs."""
    source: Source = Source()
    """Where the labelled data is published, and how files are written, see [below](#source)."""
    columns: list[Column] = Field(min_length=2)
    """See [a column](#a-column); one of them is named `loan_id`, the key."""
    target: Target
    """What an outcome is, see [below](#target)."""
    outcomes: OutcomesFormat = later(OutcomesFormat())
    """How files of outcomes are written, where they differ from those of applications, see
    [outcomes](#which-outcome-counts).
    """
    protected: list[Protected] = Field(default_factory=list)
    """Columns that are never features, and that fairness is measured by. A category has its levels
    as groups. A number needs bands: `{column: age, bands: [25, 45, 65]}` makes the groups
    under 25, 25 to under 45, 45 to under 65, 65 and more.
    """
    # Dumps leave these fields out while they are empty, so that other contracts keep their hashes.
    lookups: list[Lookup] = Field(default_factory=list, exclude_if=lambda value: not value)
    """Second tables by key as of the application, see [look-ups](#look-ups)."""
    declared_features: list[Feature] = Field(
        default_factory=list, alias="features", exclude_if=lambda value: not value
    )
    """Values computed from columns, see [features](#features)."""
    exclusions: list[Exclusion] = Field(default_factory=list)
    """Applications that no model scores, see [below](#exclusions-and-ratios)."""
    ratios: list[Ratio] = Field(default_factory=list)
    """Rules across columns, see [below](#exclusions-and-ratios). Rows that break one go to
    quarantine. Inequalities cannot be declared.
    """
    ingest: IngestPolicy = IngestPolicy()
    """When a file is whole, and which batch is refused, see [below](#ingest)."""
    scan_form: ScanForm | None = later(None)
    """The paper form of an application, see [below](#scanned-forms). Without it none is read."""
    scoring: ScoringPolicy = ScoringPolicy()
    """How a batch is cut into tasks, see [below](#scoring-and-decisions)."""
    decision: DecisionPolicy
    """Which probability leads to which decision, see [below](#scoring-and-decisions)."""
    grades: Grades | None = later(None)
    """The rating scale, see [below](#grades). Without it scores have no grade."""
    training: TrainingPolicy = TrainingPolicy()
    """How models are fitted, chosen and measured, see [below](#training)."""
    reasons: list[Reason] = later([])
    """Codes and wording of the reasons of a decision, see [reasons](#reasons). A feature without
    one has its label as reason.
    """
    letter: Letter = later(Letter())
    """The letter to a declined applicant, see [reasons](#reasons)."""
    promotion: PromotionPolicy = PromotionPolicy()
    """What a challenger must show, see [below](#promotion)."""
    monitoring: MonitoringPolicy = MonitoringPolicy()
    """The limits of an alert, see [below](#monitoring)."""
    retraining: RetrainingPolicy = RetrainingPolicy()
    """When drift asks for new models, see [below](#from-drift-to-alerts)."""
    service_level: ServiceLevel = ServiceLevel()
    """What is promised for nights, see [below](#service-level)."""
    performance: PerformancePolicy = PerformancePolicy()
    """When outcomes are enough, and which differences raise an alert, see [below](#performance)."""
    business: BusinessPolicy | None = None
    """What a default costs, see [below](#performance)."""
    desk: DeskPolicy = later(DeskPolicy())
    """How people decide, see [below](#the-desk)."""
    retention: RetentionPolicy | None = None
    """After how many days rows are dropped, see [below](#schedules-and-retention). Without it rows
    are kept.
    """
    notifications: list[Channel] = Field(default_factory=list)
    """Who gets messages about alerts and failed stages, see [below](#notifications)."""
    schedules: Schedules = Schedules()
    """When the DAGs start, see [below](#schedules-and-retention)."""
    governance: Governance | None = later(None)
    """What people write of the models: purpose, persons, risks, see [below](#governance)."""
    federated: FederatedPolicy | None = later(None)
    """How sites train one model without sharing rows, see [below](#federated)."""
    replay: ReplayPolicy = ReplayPolicy()
    """How a labelled file is cut into history and nights, see [below](#replay)."""

    @field_validator("portfolio")
    @classmethod
    def _is_identifier(cls, portfolio: str) -> str:
        check_portfolio_name(portfolio)
        return portfolio

    @field_validator("grades")
    @classmethod
    def _is_scale(cls, grades: Any) -> Any:
        return check_scale(grades)
