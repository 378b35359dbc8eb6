"""Open the database session of a promotion, for those whom the contract allows to promote."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, HTTPException

from loan_scoring.database.session import Session
from loan_scoring_web.databases import SameSite, current_contract, write_session
from loan_scoring_web.rights import Reader, may_promote


def promoting(user: Reader, _: SameSite, portfolio: str) -> Iterator[Session]:
    """Provide a route with a session that can write, for an Admin or a role that may promote.

    Raises:
        HTTPException: 403 if the user has none of these roles.
    """
    roles = current_contract(portfolio).promotion.roles
    if not may_promote(user, roles):
        raise HTTPException(
            403, f"a promotion needs one of these roles of Airflow: {', '.join(['Admin', *roles])}"
        )
    with write_session(portfolio) as session:
        yield session


Promoting = Annotated[Session, Depends(promoting, scope="function")]
