"""Flower's ClientApp."""

from loan_scoring.federated.apps import site_app

app = site_app()
