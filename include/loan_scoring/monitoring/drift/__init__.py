"""Test a batch for drift in three steps of pure functions: fit, compare and decide.

The tests are fitted on the baseline and calculated on the batch. Then all p-values of the batch
are adjusted together, and the features that need an alert are chosen.
"""
