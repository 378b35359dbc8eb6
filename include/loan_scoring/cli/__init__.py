"""Run every stage from the command line, without Airflow but by the functions that DAGs call."""
