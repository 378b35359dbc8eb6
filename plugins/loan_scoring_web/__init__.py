"""The web app that the plugin mounts: pages and API. Package `pages` never imports Airflow."""
