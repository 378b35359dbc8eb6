"""The runtime for one machine: an embedded Postgres and a real Airflow, without containers."""
