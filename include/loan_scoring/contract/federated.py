"""Define how lenders, or regions of one lender, train one model without sharing rows."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from loan_scoring.contract.parts import ContractPart, later

if TYPE_CHECKING:
    from loan_scoring.contract.contract import Contract

Algorithm = Literal["xgboost", "logistic_regression", "scorecard"]
LINEAR: tuple[Algorithm, ...] = ("logistic_regression", "scorecard")
"""Algorithms whose updates are vectors, so that only sums of them need to reach the server."""


class Sites(ContractPart):
    """How the labelled loans of one database stand for several sites, for trying out."""

    column: str
    """A category of the contract. Each of its declared levels is a site."""


class FederatedPolicy(ContractPart):
    """How one model is trained at several sites. Each site obeys its own contract, not the server.

    `min_loans`, `largest_change`, `secure_aggregation`, `epsilon` and `delta` limit what leaves a
    site, so a server cannot loosen them.
    """

    sites: Sites | None = later(None)
    """Try out on one database, one site for each level of a `column`. Without it this database is
    one site, and the others have databases of their own.
    """
    algorithm: Algorithm = "xgboost"
    """`xgboost` by FedXgbBagging; `logistic_regression` on splines, or `scorecard` on weights of
    evidence, by FedAvg and FedProx.
    """
    rounds: Annotated[int, Field(ge=1, le=200)] = 12
    """How often all sites learn and the server combines."""
    trees_per_round: Annotated[int, Field(ge=1, le=100)] = 12
    """`xgboost`: trees that each site adds in a round."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """`xgboost`: the learning rate."""
    max_depth: Annotated[int, Field(ge=1, le=8)] = 5
    """`xgboost`: depth of the trees."""
    proximal: Annotated[float, Field(ge=0, le=10)] = 0.01
    """Linear models: weight of FedProx's term, which holds a site near the common model. 0 is
    FedAvg.
    """
    min_loans: Annotated[int, Field(ge=2, le=10_000)] = 20
    """No count, level, quantile or leaf of fewer loans leaves a site."""
    largest_change: Annotated[float, Field(gt=1, le=1000)] = 10
    """A site whose update is this many times as long as the median of all is left out."""
    min_sites: Annotated[int, Field(ge=2, le=1000)] = 2
    """With fewer sites left, the run ends with an error."""
    secure_aggregation: bool = False
    """Whether vectors leave a site only under the masks of SecAgg+. The server then sees sums."""
    epsilon: Annotated[float, Field(gt=0, le=100)] | None = later(None)
    """Linear models: differential privacy of each loan with this epsilon, over all that a site
    sends while a model is fitted. Without it no noise is added.
    """
    delta: Annotated[float, Field(gt=0, lt=0.01)] = 1e-5
    """The delta that belongs to `epsilon`."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.epsilon is not None and self.algorithm not in LINEAR:
            raise ValueError(
                "epsilon: trees are sent without noise; set algorithm to one of "
                f"{', '.join(LINEAR)}, or remove epsilon"
            )
        if self.epsilon is not None and self.proximal == 0:
            raise ValueError(
                "epsilon: without a proximal term one loan may move the update without limit; "
                "set proximal, for example 0.1"
            )
        return self

    def fault_of_terms(self, terms: dict[str, Any]) -> str | None:
        """Return in which way a site protects its loans less than this policy. None if it does not.

        Args:
            terms: `min_loans`, `delta` and, if it has one, `epsilon` of the site's own contract.
        """
        weaker = []
        if terms["min_loans"] < self.min_loans:
            weaker.append("min_loans")
        if self.epsilon is not None:
            weaker += [
                name
                for name in ("epsilon", "delta")
                if terms.get(name) is None or terms[name] > getattr(self, name)
            ]
        if not weaker:
            return None
        told = ", ".join(f"{each} {terms.get(each)}, here {getattr(self, each)}" for each in weaker)
        return f"its contract protects loans less than the run says ({told}); set them alike"


def check_federated(contract: "Contract") -> None:
    """Check that the column of `federated.sites` has levels.

    Raises:
        ValueError: the part does not fit. The message names the field.
    """
    if contract.federated is None or contract.federated.sites is None:
        return
    name = contract.federated.sites.column
    column = contract.by_name.get(name)
    if column is None or not column.levels or len(column.levels) < 2:
        raise ValueError(
            f"federated.sites.column: {name} is not a category with two declared levels or more"
        )
