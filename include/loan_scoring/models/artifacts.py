"""Files of fitted models: named by their fingerprint, loaded only where unchanged."""

import sys
from functools import lru_cache
from typing import Any

from loan_scoring.database.files import read_artifact
from loan_scoring.errors import StateError

TRUSTED = (
    "functools.partial",
    "loan_scoring.estimators.Calibrated",  # as version 0.1.0 named them
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
"""What our estimators hold beyond skops' own list; a file with any other type is refused.

A tampered tree could read out of bounds, a tampered partial call check_array: neither file gets
that far, as its sha256 is compared first.
"""


def dump_estimator(estimator: Any) -> bytes:
    """Return an estimator as the bytes of a skops file."""
    return bytes(_skops().dumps(estimator))


def _skops() -> Any:
    """Import skops.io with NumPy's and SciPy's modules first in sys.modules.

    While it is imported, it looks some 600 functions of theirs up in every loaded module, in the
    order of sys.modules, until it finds them. In an Airflow task thousands of modules stand before
    them, of which some import others when they are asked: that took 20 s a task, this takes 1.
    """
    import scipy.special  # noqa: F401 - so that its modules are there to be put first

    if "skops.io" not in sys.modules:
        for name in [name for name in sys.modules if not name.startswith(("numpy", "scipy"))]:
            sys.modules[name] = sys.modules.pop(name)
    import skops.io

    return skops.io


@lru_cache(maxsize=8)
def load_estimator(portfolio: str, name: str, sha256: str) -> Any:
    """Load an estimator, once a process.

    Raises:
        StateError: the file is missing or changed, or holds a type that is not trusted.
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
