"""The app with pages and API that the plugin mounts. Its package `pages` needs no Airflow."""
