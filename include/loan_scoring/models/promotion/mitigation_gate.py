"""Define the gate `mitigation`, which asks whether a kind of mitigation may be promoted."""

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.models.promotion.gates import Gate


def mitigation_gate(contract: Contract, challenger: database.Row) -> list[Gate]:
    """Return the gate `mitigation`. Return an empty list if the model was not mitigated.

    The contract may have changed since the training: what it allows now counts.

    Args:
        contract: contract of the portfolio, as it is now.
        challenger: row of the propensity model.
    """
    kind = challenger["metrics"].get("mitigation")
    if kind is None:
        return []
    policy = contract.training.mitigation
    allowed = [] if policy is None else list(policy.may_promote)
    passed = kind in allowed
    sentence = (
        f"The model was fitted with {kind}, which training.mitigation.may_promote "
        f"{'allows' if passed else 'does not name; add it there, or train again'}."
    )
    return [Gate("mitigation", passed, sentence, {"kind": kind, "may_promote": allowed})]
