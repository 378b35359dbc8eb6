"""Run every stage from the command line, without Airflow.

The commands call the same functions as the tasks of the DAGs.
"""
