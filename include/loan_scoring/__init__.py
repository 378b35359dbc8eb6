"""Score batches of loan applications in Postgres.

Every stage is a plain function, so it runs with or without Airflow.
"""

__version__ = "0.2.0"
