"""Check a user's rights in Airflow with FastAPI dependencies (docs/adr/0019)."""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from airflow.configuration import conf
from fastapi import Depends, HTTPException, Request

from loan_scoring import contract

CurrentUser = Annotated[BaseUser, Depends(get_user)]
ROLES_OF_FAB = "Roles"


def reader(request: Request, portfolio: str, user: CurrentUser) -> BaseUser:
    """Return the user if the user may see the portfolio's `score` DAG (role Viewer or above).

    Raises:
        HTTPException: 404 if the portfolio does not exist, 403 if the user may not see the DAG.
    """
    if portfolio not in contract.names():
        raise HTTPException(404, f"there is no portfolio {portfolio}")
    requires_access_dag("GET", param_dag_id=_dag(portfolio))(request, user)
    request.state.portfolio = portfolio
    request.state.reader = user
    return user


def same_site(request: Request) -> None:
    """Refuse a form that a page of another site submits with the user's cookie (CSRF).

    A request with a bearer token is accepted, because a page of another site cannot make the
    browser send the token.

    Raises:
        HTTPException: 403 if the form was not sent from a page of this Airflow.
    """
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    site = request.headers.get("sec-fetch-site")
    origin = urlsplit(request.headers.get("origin", "")).netloc
    ours = {request.headers.get("host"), urlsplit(conf.get("api", "base_url", fallback="")).netloc}
    if site == "same-origin" or (site is None and origin and origin in ours):
        return
    raise HTTPException(
        403,
        "refused: the form was not sent from a page of this Airflow; open the page and try again",
    )


def operator(
    request: Request, user: Annotated[BaseUser, Depends(reader)], portfolio: str
) -> BaseUser:
    """Return the user if the user may change runs of the portfolio's `score` DAG.

    The roles User, Op and Admin have this right.

    Raises:
        HTTPException: 403 if the user may not change runs of the DAG.
    """
    change = requires_access_dag("PUT", DagAccessEntity.RUN, param_dag_id=_dag(portfolio))
    change(request, user)
    return user


def admin(user: Annotated[BaseUser, Depends(reader)]) -> BaseUser:
    """Return the user if the user is an Admin.

    Raises:
        HTTPException: 403 if the user is not an Admin.
    """
    if not is_admin(user):
        raise HTTPException(403, "only an Admin of Airflow may do this")
    return user


def may_operate(request: Request, portfolio: str, user: BaseUser) -> bool:
    """Return whether `operator` accepts the user. Pages show forms only to such users."""
    try:
        operator(request, user, portfolio)
    except HTTPException:
        return False
    return True


def readable(request: Request, user: BaseUser) -> list[str]:
    """Return the names of the portfolios whose `score` DAG the user may see."""
    found = []
    for portfolio in contract.names():
        try:
            requires_access_dag("GET", param_dag_id=_dag(portfolio))(request, user)
        except HTTPException:
            continue
        found.append(portfolio)
    return found


def by(user: BaseUser) -> str:
    """Return the name that is recorded with the user's actions, as `airflow:NAME`."""
    return f"airflow:{user.get_name()}"


def is_admin(user: BaseUser) -> bool:
    """Return whether the user is an Admin.

    With Airflow's simple auth manager, an Admin is a user with the role ADMIN. With any other auth
    manager, an Admin is a user who may edit roles. One check for all auth managers is not possible,
    because there is no right that only Admins have in every auth manager.
    """
    manager = get_auth_manager()
    if isinstance(manager, SimpleAuthManager):
        return str(user.role).upper() == "ADMIN"
    return manager.is_authorized_custom_view(method="PUT", resource_name=ROLES_OF_FAB, user=user)


def may_promote(user: BaseUser, roles: Sequence[str]) -> bool:
    """Return whether the user may answer whether to promote: an Admin, or with one of the roles.

    Args:
        user: user of Airflow.
        roles: the contract's `promotion.roles`. Upper and lower case do not matter.
    """
    return is_admin(user) or bool({each.lower() for each in roles} & roles_of(user))


def may_appeal(user: BaseUser, roles: Sequence[str]) -> bool:
    """Return whether the user may decide appeals: an Admin, or with one of the roles.

    Args:
        user: user of Airflow.
        roles: the contract's `desk.appeal_roles`. Upper and lower case do not matter.
    """
    return may_promote(user, roles)


def roles_of(user: BaseUser) -> set[str]:
    """Return the names of a user's roles in lower case. Empty if the auth manager has no roles."""
    role = getattr(user, "role", None)
    names = [role] if role else [each.name for each in getattr(user, "roles", None) or []]
    return {str(name).lower() for name in names}


def seen_persons(user: BaseUser) -> tuple[str, ...] | None:
    """Return the names of the persons whose own figures the user may see. None means all.

    How a person decides is that person's data. An Admin sees it of all persons, any other user only
    the user's own.
    """
    return None if is_admin(user) else (by(user),)


def _dag(portfolio: str) -> str:
    return f"{portfolio}_score"


Reader = Annotated[BaseUser, Depends(reader)]
Operator = Annotated[BaseUser, Depends(operator)]
Admin = Annotated[BaseUser, Depends(admin)]
