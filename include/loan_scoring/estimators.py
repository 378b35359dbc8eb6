"""Make the estimators importable from the module name of version 0.1.0.

Artifacts that version 0.1.0 wrote refer to classes of `loan_scoring.estimators`, so loading these
artifacts imports this module.
"""

from loan_scoring.models.estimators import Calibrated, XGBoost

__all__ = ["Calibrated", "XGBoost"]
