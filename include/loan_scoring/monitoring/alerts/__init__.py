"""Alerts: opened by cause, kept up to date, resolved, delivered."""
