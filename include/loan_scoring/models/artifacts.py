"""Files of fitted models: named by their fingerprint, loaded only where unchanged."""

import hashlib
import secrets
import sys
from functools import lru_cache
from typing import Any

from loan_scoring import settings
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


def write_artifact(portfolio: str, name: str, content: bytes) -> str:
    """Write an artifact and return its sha256; a kill leaves the whole file or none."""
    path = settings.artifacts_dir(portfolio) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by the process's number: workers in containers share the folder and number alike.
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    partial.write_bytes(content)
    partial.replace(path)
    return hashlib.sha256(content).hexdigest()


def store_by_content(portfolio: str, stem: str, ending: str, content: bytes) -> tuple[str, str]:
    """Write an artifact under a name that its content alone has; return name and sha256.

    A skops file holds the time and the addresses of its objects, so that the same model fitted
    twice is two files: under one name, the second would be a changed first one.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"{stem}-{sha256[:16]}.{ending}"
    return name, write_artifact(portfolio, name, content)


def read_artifact(portfolio: str, name: str, sha256: str) -> bytes:
    """Return an artifact's bytes.

    Raises:
        StateError: the file is missing, or is not the one that was registered.
    """
    path = settings.artifacts_dir(portfolio) / name
    if not path.is_file():
        raise StateError(f"artifact {path} is missing; restore it from a backup, or train anew")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise StateError(
            f"artifact {path} was changed: its sha256 is {found[:12]}..., registered is "
            f"{sha256[:12]}...; restore it from a backup, or train anew"
        )
    return content


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
