"""Describe the contract's fields: as JSON Schema for editors, and for the tables of the documents.

A field's description is the text in quotes below the field, in the class of the contract. Links in
it are Markdown.
"""

import ast
import inspect
import json
import re
import textwrap
from functools import cache
from typing import Any

from loan_scoring.contract import Contract
from loan_scoring.contract.parts import ContractPart

LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def schema_text() -> str:
    """Return the JSON Schema of contracts, as the text of a file."""
    return json.dumps(contract_schema(), indent=2, ensure_ascii=False) + "\n"


def contract_schema() -> dict[str, Any]:
    """Return the JSON Schema of contracts, with the description of each field."""
    schema = Contract.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found = {Contract.__name__: schema, **schema.get("$defs", {})}
    for name, part in parts().items():
        described = descriptions(part)
        for field, declared in found[name]["properties"].items():
            declared.pop("title", None)
            if field in described:
                declared["description"] = LINK.sub(r"\1", described[field])
    return schema


def parts() -> dict[str, type[ContractPart]]:
    """Return the classes of which a contract file consists, by their names."""
    names = {Contract.__name__, *Contract.model_json_schema()["$defs"]}
    found: dict[str, type[ContractPart]] = {}
    waiting = [ContractPart]
    while waiting:
        for part in waiting.pop().__subclasses__():
            waiting.append(part)
            if part.__name__ in names:
                found[part.__name__] = part
    return found


@cache
def descriptions(part: type[ContractPart]) -> dict[str, str]:
    """Return the description of each field of a class, in one line, also of inherited fields.

    A field goes by its name in the file.
    """
    names = {name: field.alias or name for name, field in part.model_fields.items()}
    found: dict[str, str] = {}
    for each in reversed(part.__mro__):
        if not issubclass(each, ContractPart):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(body, ast.ClassDef)  # noqa: S101 - the source of a class
        for field, below in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                name = names.get(field.target.id, field.target.id)
                found[name] = " ".join(below.value.value.split())
    return found
