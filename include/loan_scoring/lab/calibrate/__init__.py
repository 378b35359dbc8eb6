"""Measure the drift decision: its false alarms and its power."""
