"""A package, so that the Airflow that its tests share ends after the last of them."""
