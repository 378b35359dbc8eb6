"""Refuse a training whose candidates need a package that is not installed."""

from loan_scoring.contract import Contract
from loan_scoring.models.binning import import_optbinning
from loan_scoring.models.training.search import import_optuna


def require_packages(contract: Contract) -> None:
    """Import the packages of extras that the contract's candidates need.

    Raises:
        ContractError: a package is missing. The message names the extra.
    """
    if "scorecard" in contract.training.candidates:
        import_optbinning()
    if contract.training.search is not None:
        import_optuna()
