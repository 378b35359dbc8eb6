"""Measure the false-alarm rate of the drift decision, and the rate at which it finds shifts."""
