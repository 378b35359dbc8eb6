"""Alerts: open them by cause, update and resolve them, send them through channels."""
