"""The command line: every stage without Airflow, on the functions that the DAGs call."""
