"""Make the software bill of materials of the running environment, as CycloneDX 1.6.

See https://cyclonedx.org/docs/1.6/json/. The environment is the one of this process, found by
importlib.metadata. It is the environment of the nights only if this process runs in it.
"""

import json
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from typing import Any

from loan_scoring import __version__

NAME = re.compile(r"[A-Za-z0-9._-]+")


def components() -> list[dict[str, Any]]:
    """Return the installed packages but our own as CycloneDX components, by name."""
    found: dict[str, dict[str, Any]] = {}
    for each in distributions():
        component = _component(each)
        if component["name"] != "loan-scoring":
            found.setdefault(component["name"], component)
    return [found[name] for name in sorted(found)]


def bill_of_materials() -> dict[str, Any]:
    """Return the bill of materials as a CycloneDX document, ready for JSON."""
    parts = components()
    known = {part["name"]: part["bom-ref"] for part in parts}
    root = f"pkg:pypi/loan-scoring@{__version__}"
    needs = {
        _normal(each.metadata["Name"]): _needed(each, known)
        for each in distributions()
        if each.metadata["Name"]
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "loan-scoring",
                "version": __version__,
                "purl": root,
            },
        },
        "components": parts,
        "dependencies": [
            {"ref": ref, "dependsOn": needs.get(name, [])}
            for name, ref in {"loan-scoring": root, **known}.items()
        ],
    }


def _component(package: Distribution) -> dict[str, Any]:
    """Return an installed package as a CycloneDX component."""
    name = _normal(package.metadata["Name"] or "unknown")
    purl = f"pkg:pypi/{name}@{package.version}"
    component: dict[str, Any] = {
        "type": "library", "bom-ref": purl, "name": name, "version": package.version, "purl": purl,
    }  # fmt: skip
    said = package.metadata.get_all("License-Expression")
    if said:
        return component | {"licenses": [{"expression": said[0]}]}
    classes = package.metadata.get_all("Classifier") or []
    named = [c.rpartition(" :: ")[2] for c in classes if c.startswith("License :: OSI")]
    if named:
        component["licenses"] = [{"license": {"name": each}} for each in named]
    return component


def _needed(package: Distribution, known: dict[str, str]) -> list[str]:
    """Return the references of the installed packages that a package needs without its extras."""
    found = set()
    for text in package.requires or []:
        match = NAME.match(text)
        if match and "extra ==" not in text and _normal(match[0]) in known:
            found.add(known[_normal(match[0])])
    return sorted(found)


def _normal(name: str) -> str:
    """Return a package's name as the index writes it (PEP 503).

    >>> _normal("Jinja2_Time.Zone")
    'jinja2-time-zone'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    json.dump(bill_of_materials(), sys.stdout, indent=1)
