"""Train a pair of models: the stage `train`.

The steps are the leak gate, the trials of candidates, the fit of propensity model and personas, and
the registration of both models.
"""
