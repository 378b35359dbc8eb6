"""Measure how often the drift decision raises a false alarm, and how often it finds a shift."""
