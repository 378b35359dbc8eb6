"""Measure how often the drift decision raises false alarms and how often it finds real shifts."""
