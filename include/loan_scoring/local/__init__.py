"""Run Postgres and Airflow on one machine without containers."""
