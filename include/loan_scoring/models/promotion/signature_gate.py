"""Define the gate `signed`, which asks for the signatures of people before a promotion."""

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models.promotion.gates import Gate
from loan_scoring.models.promotion.signatures import ASKED, signatures_of


def signature_gate(session: Session, challenger: database.Row) -> list[Gate]:
    """Return the gate `signed`. Return an empty list if the contract asks for no signature."""
    asked = ASKED[session.contract.promotion.signatures]
    if not asked:
        return []
    return [signed(asked, challenger, signatures_of(session, challenger["model_version"]))]


def signed(asked: tuple[str, ...], challenger: database.Row, found: list[database.Row]) -> Gate:
    """Pass the challenger if people have signed what the contract asks for, as it is now.

    A signature counts only for the artifact that was signed.

    Args:
        asked: roles that must be signed.
        challenger: row of the propensity model.
        found: signatures on this version.
    """
    valid = [each for each in found if each["artifact_sha256"] == challenger["artifact_sha256"]]
    missing = [role for role in asked if role not in {each["signed_as"] for each in valid}]
    by = "; ".join(f"{each['signed_as']} signed by {each['signed_by']}" for each in valid)
    sentence = f"{by}." if by else ""
    if missing:
        version = challenger["model_version"]
        sentence += (
            f"{' ' * bool(by)}Not signed: {', '.join(missing)}; type: "
            f"loan-scoring models sign {version} --as {missing[0]} --comment TEXT"
        )
    return Gate("signed", not missing, sentence, {"asked": list(asked), "missing": missing})
