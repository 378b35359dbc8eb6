"""What the service `init` of docker-compose.yaml does before Airflow: roles, databases, tables."""

import os

from loan_scoring import contract, settings
from loan_scoring.errors import DatabaseError
from loan_scoring.local.postgres_roles import create_roles_and_databases
from loan_scoring.session import open_session

_PASSWORDS = {
    "loan_scoring": "LOAN_SCORING_OWNER_PASSWORD",
    "loan_scoring_reader": "LOAN_SCORING_READER_PASSWORD",
    "airflow": "AIRFLOW_DATABASE_PASSWORD",
}


def set_up() -> str:
    """Make roles and databases, migrate each portfolio, and return what was done."""
    admin = os.environ.get("LOAN_SCORING_ADMIN_URL")
    url = settings.database_url()
    if not admin or not url:
        raise DatabaseError("set LOAN_SCORING_ADMIN_URL and LOAN_SCORING_DATABASE_URL")
    create_roles_and_databases(admin, {role: os.environ[name] for role, name in _PASSWORDS.items()})
    for name in contract.names():
        with open_session(name, url):
            pass
    return f"roles and databases are made; migrated: {', '.join(contract.names())}"
