"""The secrets of docker-compose.yaml and the services that hold them."""

AIRFLOW = {
    "init", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "housekeeping",
}  # fmt: skip
FEDERATION = {"federation-certificates", "superlink", "federation"}
SITES = {"site-north", "site-south", "site-central", "site-north-east"}
HELD_BY = {
    "AIRFLOW_API_SECRET": {"api-server"},
    "AIRFLOW_JWT_SECRET": {"api-server", "scheduler"},
    "AIRFLOW_FERNET_KEY": {"api-server", "triggerer"},
    "AIRFLOW_DATABASE_PASSWORD": AIRFLOW - {"worker"},
    "AIRFLOW_RESULTS_PASSWORD": {"init", "scheduler", "worker"},
    "REDIS_PASSWORD": {"redis", "scheduler", "stream", "worker"},
    "POSTGRES_PASSWORD": {"postgres", "init"},
    "LOAN_SCORING_OWNER_PASSWORD": {"init"},
    "LOAN_SCORING_OWNER_URL": {"init"},
    "LOAN_SCORING_BACKUP_KEY": {"init"},
    "LOAN_SCORING_APP_PASSWORD": {"init", "api-server", "stream", "worker", "spark-worker"},
    "LOAN_SCORING_DATABASE_URL": {
        "init",
        "api-server",
        "stream",
        "worker",
        "mlflow",
        "spark-worker",
    },
    "LOAN_SCORING_BROKER_URL": {"stream"},
    "LOAN_SCORING_READER_PASSWORD": {"init", "api-server"} | SITES,
    "LOAN_SCORING_READER_URL": {"api-server"},
    "LOAN_SCORING_MLFLOW_PASSWORD": {"init", "mlflow"},
    "LOAN_SCORING_MLFLOW_URL": {"mlflow"},
    "AIRFLOW_ADMIN_PASSWORD": {"api-server"},
    "AIRFLOW_OP_PASSWORD": {"api-server"},
    "AIRFLOW_VIEWER_PASSWORD": {"api-server"},
    "MLFLOW_VIEWER_PASSWORD": {"mlflow"},
}
"""Services that get a secret of `.env`; docs/security.md says why."""
