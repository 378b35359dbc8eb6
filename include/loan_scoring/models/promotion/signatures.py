"""Sign a model as its reviewer, or as the one who accepts it.

A review says that an independent person has checked the model, an acceptance that those who will
use the model accept it. Two different people sign, and neither of them for a second time.
"""

from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.models import registry
from loan_scoring.models.registry import PERSONAS, PROPENSITY

ROLES = ("review", "acceptance")
"""What a person signs as, in the order of signing."""

ASKED = {"none": (), "review": ROLES[:1], "review_and_acceptance": ROLES}
"""The signatures that a value of `promotion.signatures` asks for."""


def person(user: str) -> str:
    """Return the name by which a user is compared with others, without where the user acted.

    >>> person("airflow:Ann") == person("cli:ann")
    True
    """
    return user.partition(":")[2].casefold()


def signatures_of(session: Session, model_version: str | None = None) -> list[database.Row]:
    """Return the signatures on a propensity version, the oldest first. None means all versions."""
    with database.transaction(session.connection):
        return database.rows(session.connection, "select_signatures", model_version=model_version)


def sign_model(
    session: Session,
    model_version: str,
    signed_as: str,
    signed_by: str,
    comment: str,
    seen: str | None = None,
) -> list[database.Row]:
    """Record a person's signature on a pair of models. Return all signatures on the pair.

    Args:
        session: database session.
        model_version: either version of the pair, propensity or personas.
        signed_as: `review` or `acceptance`.
        signed_by: the person who signs, such as `airflow:NAME`.
        comment: what the person has checked and found.
        seen: hash of the propensity artifact that the person saw. None means that it is not
            checked.

    Raises:
        MissingError: there is no such version.
        StateError: the person has signed already or has started the training (a reviewer must not
            have), the role is signed already, an acceptance has no review before it, the comment
            is empty, or `seen` is another artifact.
    """
    with database.transaction(session.connection):
        database.lock(session.connection, "promotions")
        versions = registry.fitted_pair(session, model_version)
        row = registry.model_row(session, versions[PROPENSITY])
        found = database.rows(
            session.connection, "select_signatures", model_version=row["model_version"]
        )
        refusal = _refusal(row, found, signed_as, signed_by)
        if not comment.strip():
            refusal = "a signature needs a comment: what was checked, and what was found"
        if seen is not None and seen != row["artifact_sha256"]:
            refusal = "this is not the artifact that you saw: open the page again"
        if refusal is not None:
            raise StateError(f"{row['model_version']}: {refusal}; nothing was signed")
        database.execute(
            session.connection,
            "record_signature",
            propensity=row["model_version"],
            personas=versions[PERSONAS],
            signed_as=signed_as,
            signed_by=signed_by,
            comment=comment,
        )
        return database.rows(
            session.connection, "select_signatures", model_version=row["model_version"]
        )


def _refusal(
    row: database.Row, found: list[database.Row], signed_as: str, signed_by: str
) -> str | None:
    """Return why a person may not sign. Return None if the person may."""
    if signed_as not in ROLES:
        return f"sign as {' or '.join(ROLES)}, not {signed_as}"
    for each in found:
        if each["signed_as"] == signed_as:
            return f"{each['signed_by']} has signed the {signed_as} already"
        if person(each["signed_by"]) == person(signed_by):
            return (
                f"{each['signed_by']} has signed the {each['signed_as']}, so another person must "
                f"sign the {signed_as}"
            )
    trainer = trained_by(row)
    if signed_as == "review" and trainer is not None and person(trainer) == person(signed_by):
        return f"{trainer} started the training, so another person must sign the review"
    if signed_as == "acceptance" and not found:
        return "the review is signed before the acceptance, and nobody has signed it yet"
    return None


def trained_by(row: database.Row) -> str | None:
    """Return who started the training of a model. Return None if no person did, or none is known.

    Args:
        row: row of the model, with its `training_data`.
    """
    user: str | None = row["training_data"].get("triggered_by")
    return user


def with_signatures(
    session: Session, versions: dict[str, str], evidence: dict[str, Any]
) -> dict[str, Any]:
    """Return the evidence of a promotion with the signatures on the pair, if there are any."""
    if PROPENSITY not in versions:
        return evidence
    found = database.rows(
        session.connection, "select_signatures", model_version=versions[PROPENSITY]
    )
    if not found:
        return evidence
    names = ("signed_as", "signed_by", "comment", "artifact_sha256")
    return evidence | {
        "signatures": [
            {name: each[name] for name in names} | {"signed_at": each["signed_at"].isoformat()}
            for each in found
        ]
    }
