"""Compute the features that a contract declares, and join its look-ups.

Every way of scoring calls the same functions: training, nights, requests and files. So a feature
has the same value in all of them, to the last bit.
"""
