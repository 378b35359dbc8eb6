"""Serve the pages and the API of the plugin. Only the subpackage `pages` never imports Airflow."""
