"""Import the packages of the extra `scans`, or say how to install them."""

from importlib import import_module
from typing import Any

from loan_scoring.errors import StateError

INSTALL = "`.venv/bin/uv pip install --require-hashes -r requirements-scans.txt`"


def need(name: str) -> Any:
    """Return a module of a package of the extra `scans`.

    Raises:
        StateError: the package is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise StateError(f"scans need the package {name.partition('.')[0]}: {INSTALL}") from None
