"""The pages and the API that the plugin mounts: all of it that needs Airflow."""
