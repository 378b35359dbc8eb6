"""A package, so that what its tests share, a running Airflow, ends with the last of them."""
