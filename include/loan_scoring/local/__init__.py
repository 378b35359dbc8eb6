"""Run Postgres and Airflow as processes of one machine, without containers."""
