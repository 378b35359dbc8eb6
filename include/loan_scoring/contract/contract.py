"""Define the whole contract: what follows from its fields, and that they fit together."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from loan_scoring.contract.columns import KEY, Column
from loan_scoring.contract.contract_fields import ContractFields
from loan_scoring.contract.derived import Derived, derive_columns
from loan_scoring.contract.grades import grades_of
from loan_scoring.contract.part_checks import check_parts
from loan_scoring.contract.protected import bands_by_name, group_order
from loan_scoring.contract.row_conditions import Exclusion
from loan_scoring.contract.stage_policies import DecisionPolicy

if TYPE_CHECKING:
    from loan_scoring.statistics.fairness import GroupRule


class Contract(ContractFields):
    """The contract of one portfolio: its columns, rules, policies and schedules."""

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
