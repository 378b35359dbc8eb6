"""Serve the pages and the API of the plugin. The subpackage `pages` does not import Airflow."""
