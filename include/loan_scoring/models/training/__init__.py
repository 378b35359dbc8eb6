"""Train a pair of models: the stage `train`.

Its steps are the leak gate, the trials of candidates, the fit of propensity model and personas,
and their registration.
"""
