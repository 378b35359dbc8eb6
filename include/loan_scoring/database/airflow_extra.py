"""Read the options of an Airflow connection, which Airflow writes into its URL as JSON."""

import json
from typing import Any

from sqlalchemy.engine import URL

from loan_scoring.errors import DatabaseError

EXTRA = "__extra__"
"""URL parameter in which Airflow writes a connection's extra, unless all its values are text."""

OF_AIRFLOW = frozenset(
    {
        "aws_conn_id", "azure_conn_id", "cluster-identifier", "cursor", "sqlalchemy_query",
        "sqlalchemy_scheme", "workgroup-name",
    }
)  # fmt: skip
"""Options of Airflow's own Postgres hook. They change nothing for other programs."""

OF_AIRFLOW_IF_FALSE = frozenset({"iam", "redshift", "redshift-serverless"})
"""Ways to log in that only Airflow's hook has. They can be left out only if they are off."""

_ADVICE = (
    "the database's Airflow connection: the extra is {}; write one such as "
    '{{"sslmode": "require"}}, or leave the extra empty'
)


def with_plain_options(url: URL) -> URL:
    """Return a database URL in which each option of the connection's extra is a URL parameter.

    `true` and `false` become 1 and 0, as libpq writes them. Options that are null or in OF_AIRFLOW
    are left out. An extra that is a number, a boolean or null has no options.

    Raises:
        DatabaseError: the extra is neither of these nor a JSON object, or one of its options is a
            list or an object.
    """
    options = {}
    for name, value in _extra(url).items():
        if isinstance(value, dict | list):
            raise DatabaseError(
                f"the database's Airflow connection: option {name} of the extra is neither text, a "
                "number nor a boolean; write one of these, or remove the option"
            )
        if value is not None and not (value is False and name in OF_AIRFLOW_IF_FALSE):
            options[name] = str(int(value)) if isinstance(value, bool) else str(value)
    without_extra = url.difference_update_query([EXTRA])
    return without_extra.update_query_dict(options).difference_update_query(OF_AIRFLOW)


def _extra(url: URL) -> dict[str, Any]:
    text = url.query.get(EXTRA, "{}")
    try:
        extra = json.loads(text if isinstance(text, str) else text[-1])
    except json.JSONDecodeError as error:
        raise DatabaseError(_ADVICE.format("not JSON")) from error
    if extra is None or isinstance(extra, bool | int | float):
        return {}
    if not isinstance(extra, dict):
        raise DatabaseError(_ADVICE.format("not a JSON object"))
    return extra
