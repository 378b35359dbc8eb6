"""Create the users of MLflow's server: `admin` and `viewer`.

The password of `viewer` comes through standard input.
"""

import sys

from loan_scoring.models.mlflow_server import VIEWER


def main() -> None:
    """Create both users in the store of logins that MLFLOW_AUTH_CONFIG_PATH names."""
    from mlflow.server import auth

    auth.bootstrap_admin_user()
    auth.store.create_user(VIEWER, sys.stdin.read())


if __name__ == "__main__":
    main()
