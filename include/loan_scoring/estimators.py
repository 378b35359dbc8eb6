"""The estimators' place in version 0.1.0, which its stored models name."""

from loan_scoring.models.estimators import Calibrated, XGBoost

__all__ = ["Calibrated", "XGBoost"]
