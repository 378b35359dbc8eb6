"""Copy files from object stores, with fsspec and the optional package of each store."""

import glob
import importlib
import shutil
import tempfile
from contextlib import ExitStack
from typing import Any, BinaryIO, cast

from loan_scoring import settings
from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.files.locations import (
    COPY_BYTES,
    OBJECT_STORES,
    cut_short_error,
    too_large_error,
)


def find_objects(location: str, scheme: str) -> tuple[Any, list[str]]:
    """Return the fsspec file system of an object store, and the paths of the objects to read.

    Args:
        location: URL of an object, or a glob of objects.
        scheme: scheme of the URL, a key of OBJECT_STORES.

    Raises:
        SourceError: there is no such object, the package is not installed, or the store refuses
            access.
    """
    package = OBJECT_STORES[scheme]
    try:
        importlib.import_module(package)
        system, path = importlib.import_module("fsspec").core.url_to_fs(location)
        paths = sorted(system.glob(path)) if glob.has_magic(path) else [path]
        if not paths or not all(system.isfile(found) for found in paths):
            raise SourceError(f"{location}: no such object; check the address")
    except ImportError as error:
        raise SourceError(
            f"{location}: this needs the package {package}; run `pip install {package}`"
        ) from error
    except SourceError:
        raise
    except Exception as error:  # each store's package has error classes of its own
        raise _refused(location, error) from error
    return system, paths


def copy_object(system: Any, path: str, where: str) -> BinaryIO:
    """Copy an object to an unnamed temporary file, and return this file.

    Raises:
        SourceError: the object cannot be read, or the copy and the object differ in size.
    """
    with ExitStack() as stack:
        copy = stack.enter_context(tempfile.TemporaryFile())
        try:
            if system.info(path)["size"] > settings.max_download_bytes():
                raise too_large_error(where, settings.max_download_bytes())
            with system.open(path, "rb") as remote:
                shutil.copyfileobj(remote, copy, COPY_BYTES)
            expected = system.info(path)["size"]
        except SourceError:
            raise
        except Exception as error:
            raise _refused(where, error) from error
        copy.flush()
        if copy.tell() != expected:
            raise cut_short_error(where, copy.tell(), expected)
        stack.pop_all()
        return cast(BinaryIO, copy)


def _refused(where: str, error: Exception) -> SourceError:
    is_final = isinstance(error, (PermissionError, FileNotFoundError, ValueError))
    is_final |= "Credentials" in type(error).__name__
    kind = SourceError if is_final else PassingSourceError
    return kind(
        f"{where}: the store refused with {type(error).__name__}; "
        "check the address and the credentials"
    )
