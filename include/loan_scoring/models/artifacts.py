"""Save fitted estimators as skops files and load them again.

A file is loaded only if its sha256 equals the registered sha256 and if all its types are trusted.
"""

import sys
from functools import lru_cache
from threading import Lock
from typing import Any

from loan_scoring.database.files import read_artifact
from loan_scoring.errors import StateError

TRUSTED = (
    "functools.partial",
    "loan_scoring.estimators.Calibrated",  # old module name in artifacts of version 0.1.0
    "loan_scoring.estimators.XGBoost",
    "loan_scoring.models.binning.BinnedLevels",
    "loan_scoring.models.binning.BinnedNumbers",
    "loan_scoring.models.estimators.Calibrated",
    "loan_scoring.models.estimators.LevelGrouper",
    "loan_scoring.models.estimators.XGBoost",
    "loan_scoring.models.mean_of_two.MeanOfTwo",
    "loan_scoring.models.scorecard.Scorecard",
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
)
"""Types that our estimators contain and that skops does not trust by itself.

A file with any other untrusted type is refused. Two of the types could do harm in a tampered file,
because a `Tree` could read memory out of bounds, and a `functools.partial` could call another
trusted function. But a tampered file is never loaded, because its sha256 is checked first.
"""


def dump_estimator(estimator: Any) -> bytes:
    """Return the content of a skops file that stores the estimator."""
    return bytes(_skops().dumps(estimator))


def _skops() -> Any:
    """Import the module skops.io in 1 s instead of 20 s, and return the module.

    The import of skops.io looks up the module of about 600 functions of NumPy and SciPy. Each
    lookup searches all loaded modules in the order of sys.modules. In an Airflow task, thousands of
    other modules come before NumPy and SciPy, and a search in some of these modules imports further
    modules. Moving all other modules behind NumPy and SciPy makes each lookup short.
    """
    import scipy.special  # noqa: F401 - loads the modules that each lookup must search first

    if "skops.io" not in sys.modules:
        for name in [name for name in sys.modules if not name.startswith(("numpy", "scipy"))]:
            sys.modules[name] = sys.modules.pop(name)
    import skops.io

    return skops.io


_ONE_AT_A_TIME = Lock()


def load_estimator(portfolio: str, name: str, sha256: str) -> Any:
    """Return the estimator stored in an artifact.

    Each process caches the last 8 estimators, so that a file is not read again for every call.
    Threads load one after the other, because NumPy reads the header of an array by `ast.parse`,
    which fails at times in CPython 3.11 when two threads call it at once.

    Raises:
        StateError: the file is missing, was changed, or contains a type that is not trusted.
    """
    with _ONE_AT_A_TIME:
        return _load(portfolio, name, sha256)


@lru_cache(maxsize=8)
def _load(portfolio: str, name: str, sha256: str) -> Any:
    return read_trusted(read_artifact(portfolio, name, sha256), f"{name} of {portfolio}")


def read_trusted(content: bytes, what: str) -> Any:
    """Return the estimator that the content of an artifact stores.

    Raises:
        StateError: it contains a type that is not trusted.
    """
    skops = _skops()
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.loads(content, trusted=list(TRUSTED))
    except UntrustedTypesFoundException as error:
        raise StateError(f"artifact {what} is refused: {str(error).splitlines()[0]}") from error
