"""The command line: every stage without Airflow, with the functions that the DAGs call."""
