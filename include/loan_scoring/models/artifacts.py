"""Fitted estimators as skops files: dump, and load only unchanged files of trusted types."""

import sys
from functools import lru_cache
from typing import Any

from loan_scoring.database.files import read_artifact
from loan_scoring.errors import StateError

TRUSTED = (
    "functools.partial",
    "loan_scoring.estimators.Calibrated",  # the names in artifacts of version 0.1.0
    "loan_scoring.estimators.XGBoost",
    "loan_scoring.models.estimators.Calibrated",
    "loan_scoring.models.estimators.XGBoost",
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
)
"""Types in our estimators beyond skops' own list; a file with any other type is refused.

A tampered tree could read out of bounds, and a tampered partial could call check_array. Such a
file is not loaded: its sha256 is compared first.
"""


def dump_estimator(estimator: Any) -> bytes:
    """Return an estimator as the bytes of a skops file."""
    return bytes(_skops().dumps(estimator))


def _skops() -> Any:
    """Import skops.io with NumPy's and SciPy's modules first in sys.modules.

    The import looks up some 600 of their functions by searching every loaded module in the order
    of sys.modules. In an Airflow task, thousands of other modules come first, and some import
    more when searched. That took 20 s a task; with this order it takes 1 s.
    """
    import scipy.special  # noqa: F401 - loads the modules that must come first

    if "skops.io" not in sys.modules:
        for name in [name for name in sys.modules if not name.startswith(("numpy", "scipy"))]:
            sys.modules[name] = sys.modules.pop(name)
    import skops.io

    return skops.io


@lru_cache(maxsize=8)
def load_estimator(portfolio: str, name: str, sha256: str) -> Any:
    """Return the estimator of an artifact, loaded once per process.

    Raises:
        StateError: the file is missing or changed, or has a type that is not trusted.
    """
    skops = _skops()
    from skops.io.exceptions import UntrustedTypesFoundException

    content = read_artifact(portfolio, name, sha256)
    try:
        return skops.loads(content, trusted=list(TRUSTED))
    except UntrustedTypesFoundException as error:
        raise StateError(
            f"artifact {name} of {portfolio} is refused: {str(error).splitlines()[0]}"
        ) from error
