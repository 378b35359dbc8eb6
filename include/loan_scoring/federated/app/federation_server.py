"""Flower's ServerApp."""

from loan_scoring.federated.apps import server_app

app = server_app()
