"""Drift statistics as pure functions: fit on the baseline, calculate on the batch, then decide."""
