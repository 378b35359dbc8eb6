"""Make the estimators importable under their old module name.

Artifacts written by version 0.1.0 refer to the classes by this name.
"""

from loan_scoring.models.estimators import Calibrated, XGBoost

__all__ = ["Calibrated", "XGBoost"]
