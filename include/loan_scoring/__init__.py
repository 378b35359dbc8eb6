"""Batch credit scoring in Postgres: every stage as plain functions, with or without Airflow."""

__version__ = "0.2.0"
