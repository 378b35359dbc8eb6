"""Define the whole contract, and check that its columns, rules and policies fit together."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from loan_scoring.contract.columns import KEY, Column
from loan_scoring.contract.derived import Derived, derive_columns
from loan_scoring.contract.desk import DeskPolicy
from loan_scoring.contract.federated import FederatedPolicy
from loan_scoring.contract.file_formats import Source
from loan_scoring.contract.governance import Governance
from loan_scoring.contract.grades import Grades, check_scale, grades_of
from loan_scoring.contract.ingest_policies import IngestPolicy
from loan_scoring.contract.lookups import Feature, Lookup
from loan_scoring.contract.operation_policies import (
    BusinessPolicy,
    Channel,
    MonitoringPolicy,
    PerformancePolicy,
    RetentionPolicy,
    RetrainingPolicy,
    Schedules,
    ServiceLevel,
)
from loan_scoring.contract.outcomes import OutcomesFormat, Target
from loan_scoring.contract.part_checks import check_parts
from loan_scoring.contract.parts import ContractPart, later
from loan_scoring.contract.portfolio_names import check_portfolio_name
from loan_scoring.contract.promotion_policies import PromotionPolicy
from loan_scoring.contract.protected import Protected, bands_by_name, group_order
from loan_scoring.contract.reasons import Letter, Reason
from loan_scoring.contract.replay_policies import ReplayPolicy
from loan_scoring.contract.row_conditions import Exclusion, Ratio
from loan_scoring.contract.scan_form import ScanForm
from loan_scoring.contract.stage_policies import DecisionPolicy, ScoringPolicy, TrainingPolicy

if TYPE_CHECKING:
    from loan_scoring.statistics.fairness import GroupRule


class Contract(ContractPart):
    """The contract of one portfolio: its columns, rules, policies and schedules."""

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

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        check_parts(self)
        return self

    @cached_property
    def derived(self) -> Derived:
        """The columns of look-ups and the features."""
        return derive_columns(
            self.columns, self.protected_names, self.lookups, self.declared_features
        )

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """All columns by name: those of the file, of look-ups, and the features, in this order."""
        return {column.name: column for column in self.columns} | dict(self.derived.columns)

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
        """All columns of the file except the key, in the order of the contract."""
        return [column for column in self.columns if column.name != KEY]

    @property
    def joined(self) -> list[Column]:
        """All columns from which features are computed: `inputs`, and the columns of look-ups."""
        return [*self.inputs, *(self.by_name[name] for name in self.derived.lookup_of)]

    @property
    def stored_features(self) -> list[Column]:
        """The features that are columns of table `applications`."""
        return [self.by_name[each.name] for each in self.declared_features if each.stored]

    @property
    def stored(self) -> list[Column]:
        """All columns of table `applications`: the columns of the file, and stored features."""
        return [*self.columns, *self.stored_features]

    @property
    def monitored(self) -> list[Column]:
        """The columns that are tested for drift.

        These are all columns known at application but the key and the columns that are stored only.
        """
        return [
            column
            for column in [*self.inputs, *self.derived.columns.values()]
            if column.is_known_at_application and not column.is_stored_only
        ]

    @cached_property
    def bands(self) -> dict[str, list[float] | None]:
        """The bands of each protected column, by name."""
        return bands_by_name(self.protected)

    @property
    def segment_bands(self) -> dict[str, list[float] | None]:
        """The bands of each column of `performance.segments`: its own, or those under protected."""
        declared = bands_by_name(self.performance.segments)
        return {name: bands or self.bands.get(name) for name, bands in declared.items()}

    @property
    def protected_names(self) -> list[str]:
        """The names of the protected columns."""
        return [each if isinstance(each, str) else each.column for each in self.protected]

    def groups_of(self, name: str) -> Sequence[str]:
        """Return the names of a column's groups, in order. An open category may have more."""
        return group_order(self.by_name[name], self.bands.get(name))

    @property
    def protected_groups(self) -> list[str]:
        """The names of the protected columns that have groups: categories, booleans and bands."""
        types = ("category", "boolean")
        return [name for name, b in self.bands.items() if b or self.by_name[name].type in types]

    @property
    def fairness_attributes(self) -> list[str]:
        """The names of the columns whose groups are compared; by default all that have groups."""
        chosen = self.promotion.fairness.attributes
        return self.protected_groups if chosen is None else chosen

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
            self.groups_of(attribute),
        )

    @property
    def features(self) -> list[Column]:
        """The columns that a model may use: the monitored columns that are not protected.

        A feature that reads a protected column counts as protected.
        """
        protected = {*self.bands, *self.derived.protected}
        return [column for column in self.monitored if column.name not in protected]

    @property
    def directions(self) -> dict[str, int]:
        """The features that have a direction, by name: 1 for `up`, -1 for `down`."""
        signs = {"up": 1, "down": -1}
        return {each.name: signs[each.direction] for each in self.features if each.direction}

    @property
    def desk_rules(self) -> dict[str, Any]:
        """The rules of the desk that the database enforces, as in table `desk_rules`."""
        amount = self.business and self.business.amount
        return {
            "amount_column": amount if amount in {each.name for each in self.stored} else None,
            "four_eyes_above": self.desk.four_eyes_above,
            "undo_minutes": self.desk.undo_minutes,
        }

    @property
    def policy(self) -> dict[str, Any]:
        """The thresholds, the exclusions and the scale, as stored with each scoring run.

        The decision on an application depends only on the application, the models and this policy.
        """
        return {
            "decision": self.decision.model_dump(),
            "exclusions": [each.model_dump(exclude={"label"}) for each in self.exclusions],
            **self.model_dump(include={"grades"}),
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
        grades = grades_of(policy.get("grades"))
        return self.model_copy(
            update={"decision": decision, "exclusions": exclusions, "grades": grades}
        )
