"""Old place of the estimators: artifacts of version 0.1.0 name it."""

from loan_scoring.models.estimators import Calibrated, XGBoost

__all__ = ["Calibrated", "XGBoost"]
