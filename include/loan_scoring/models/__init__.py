"""Fitted models: encoding, training, registry, promotion, model cards, scoring in memory."""
