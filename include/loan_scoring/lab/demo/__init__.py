"""Demonstrate data, target and model drift on replayed nights, and explain what was seen."""
