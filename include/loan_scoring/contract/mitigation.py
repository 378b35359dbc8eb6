"""Define which mitigation of unfairness a training tries, and which of it may be promoted."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from loan_scoring.contract.parts import ContractPart

if TYPE_CHECKING:
    from loan_scoring.contract.contract import Contract

Kind = Literal[
    "least_discriminatory", "reweighing", "exponentiated_gradient", "threshold_adjustment"
]
KINDS: tuple[Kind, ...] = (
    "least_discriminatory",
    "reweighing",
    "exponentiated_gradient",
    "threshold_adjustment",
)
ANALYSIS_ONLY = "threshold_adjustment"
"""The kind that needs the protected attribute to decide. It is shown, never fitted as a model."""

Measure = Literal["demographic_parity", "equal_opportunity", "equalized_odds"]


class MitigationPolicy(ContractPart):
    """What a training tries against unequal approval, for one protected attribute."""

    attribute: str
    """The protected column whose groups are to be approved alike. It is read in training only,
    never as a feature or for a decision.
    """
    kinds: Annotated[list[Kind], Field(min_length=1)] = Field(default_factory=lambda: list(KINDS))
    """What is tried, see [mitigation](models.md#mitigation-of-unfairness): `least_discriminatory`,
    `reweighing`, `exponentiated_gradient`, `threshold_adjustment`.
    """
    may_promote: list[Kind] = Field(default_factory=list)
    """Which kinds may become the fitted model. Among these and the chosen trial, the least
    discriminatory one within one standard error of the best AUC is fitted, all in cross-validation.
    `threshold_adjustment` is never allowed. Without it, the kinds are shown only.
    """
    measure: Measure = "demographic_parity"
    """By what approval is compared: of all loans (`demographic_parity`, their ratio), of paid loans
    (`equal_opportunity`), or of paid and of defaulted loans (`equalized_odds`).
    """
    difference_bound: Annotated[float, Field(gt=0, le=0.5)] = 0.02
    """How far a group's rate may be from the rate of all, for `exponentiated_gradient`."""
    iterations: Annotated[int, Field(ge=2, le=50)] = 10
    """Iterations of `exponentiated_gradient`, of three to nine fits each."""

    @model_validator(mode="after")
    def _is_allowed(self) -> Self:
        for kind in self.may_promote:
            if kind == ANALYSIS_ONLY:
                raise ValueError(
                    f"may_promote: {ANALYSIS_ONLY} decides by the protected attribute, which is "
                    "unlawful in many places, so it is an analysis only; remove it"
                )
            if kind not in self.kinds:
                raise ValueError(f"may_promote: {kind} is not among kinds; add it there")
        return self


def check_mitigation(contract: "Contract") -> None:
    """Check that the attribute of `training.mitigation` has groups, and how its fits get outcomes.

    Raises:
        ValueError: the part does not fit. The message names the field.
    """
    policy, place = contract.training.mitigation, "training.mitigation"
    if policy is None:
        return
    name = policy.attribute
    if name not in contract.bands:
        raise ValueError(f"{place}.attribute: {name} is not listed under protected")
    if name not in contract.protected_groups:
        raise ValueError(
            f"{place}.attribute: {name} has no groups; give its bands under protected, "
            "such as {column: NAME, bands: [25, 45, 65]}"
        )
    if contract.training.mean_of is not None and "exponentiated_gradient" in policy.kinds:
        raise ValueError(
            f"{place}.kinds: exponentiated_gradient cannot fit the two models of training.mean_of; "
            "leave out one of them"
        )
    if contract.training.reject_inference != "none":
        raise ValueError(
            f"{place}: reject_inference is {contract.training.reject_inference}, and outcomes that "
            "are inferred hide who was declined unfairly; set reject_inference: none"
        )
