"""Encode applications, train and register models, promote them, score, and write model cards."""
