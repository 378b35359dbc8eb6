"""Ingest files of applications and of outcomes: read, check and publish them."""
