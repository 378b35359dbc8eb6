"""Keep one open alert for each broken contract, and resolve the alert when the file is mended.

A broken contract names no channels. So each portfolio's schema keeps the last valid contract, and
the alert is sent through the channels of that one.
"""

import logging
from contextlib import ExitStack, closing
from datetime import UTC, datetime

import psycopg2
from psycopg2.extensions import connection as Connection
from pydantic import ValidationError

from loan_scoring import contract as contracts
from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.contract.columns import NAME
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.delivery import Send, deliver_alerts

log = logging.getLogger(__name__)


def reconcile_contracts(url: str, send: Send) -> list[str]:
    """Open, update and resolve the alerts on broken contracts, and return the names of the files.

    The alert is in the schema of the broken contract's portfolio. If this portfolio has no tables
    yet, the alert is in the schema of the first portfolio, by name, that has tables, and stays
    there.

    Args:
        url: database URL of the role that runs the stages.
        send: function that sends a message through a channel.
    """
    valid, broken = contracts.load_all()
    with ExitStack() as stack:
        sessions = [
            Session(each, connection)
            for each in valid
            if (connection := _connection(stack, each.portfolio, url))
        ]
        for session in sessions:
            _keep(session)
        own = {name: found for name in broken if (found := _last_valid(stack, name, url))}
        homes = {name: own.get(name) or _home(sessions, name) for name in broken}
        for session in [*sessions, *own.values()]:
            here = {name: why for name, why in broken.items() if homes[name] is session}
            _reconcile(session, here, send)
    for name in (name for name, home in homes.items() if home is None):
        log.warning("no portfolio has tables for an alert: %s", broken[name])
    return list(broken)


def _home(sessions: list[Session], name: str) -> Session | None:
    """Return the session whose schema has an open alert on the contract, or else the first one."""
    for session in sessions:
        with database.transaction(session.connection):
            found = database.rows(session.connection, "select_contract_alerts")
        if name in {row["subject"] for row in found}:
            return session
    return next(iter(sessions), None)


def _reconcile(session: Session, broken: dict[str, str], send: Send) -> None:
    """Bring the alerts of one schema up to date, and send what changed.

    Args:
        broken: error of each broken contract whose alert belongs to this schema, by name.
    """
    connection, today = session.connection, datetime.now(UTC).date().isoformat()
    with database.transaction(connection):
        database.lock(connection, "alerts")
        resolved = database.execute(connection, "resolve_contract_alerts", subjects=list(broken))
        for name, why in broken.items():
            message = (
                f"The contract of {name} cannot be used, and no stage of {name} runs: {why}; "
                "mend the file, and the stages go on"
            )
            database.execute(
                connection, "upsert_contract_alert", subject=name, batch_id=today, message=message
            )
    if resolved or broken:
        deliver_alerts(session, send, today)


def _keep(session: Session) -> None:
    text = session.contract.model_dump_json()
    with database.transaction(session.connection):
        database.execute(session.connection, "upsert_valid_contract", contract=text)


def _last_valid(stack: ExitStack, name: str, url: str) -> Session | None:
    """Return a session with the last valid contract of a portfolio whose contract is broken.

    Return None if the schema keeps no contract that this release can read.
    """
    connection = _connection(stack, name, url) if NAME.fullmatch(name) else None
    if connection is None:
        return None
    with database.transaction(connection):
        row = database.row(connection, "select_valid_contract")
    if row is None:
        return None
    try:
        return Session(Contract.model_validate(row["contract"]), connection)
    except ValidationError:
        log.warning("the contract that the schema %s keeps is of another release", name)
        return None


def _connection(stack: ExitStack, portfolio: str, url: str) -> Connection | None:
    """Connect to a portfolio's schema. Return None if the schema lacks the table for contracts."""
    connection = stack.enter_context(closing(database.connect(portfolio, url)))
    try:
        with database.transaction(connection):
            database.row(connection, "select_valid_contract")
    except psycopg2.errors.UndefinedTable:
        return None
    return connection
