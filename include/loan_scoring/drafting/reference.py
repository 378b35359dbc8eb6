"""Write the tables of the contract's fields into a document, from the classes of the contract.

A table stands between the comments `<!-- fields: Column -->` and `<!-- end of fields -->`. To write
all tables and the JSON Schema anew: `make reference`.
"""

import re
import sys
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from loan_scoring import settings
from loan_scoring.contract.parts import ContractPart
from loan_scoring.drafting.schema import descriptions, parts, schema_text
from loan_scoring.drafting.writing import SCHEMA_FILE
from loan_scoring.errors import ContractError

TABLE = re.compile(r"(<!-- fields: (\w+) -->\n)(?:.*?)(<!-- end of fields -->)", re.DOTALL)
LONG = 32
"""A default of more letters than this is shown as one word."""


def with_tables(text: str) -> str:
    """Return a document with all its tables of fields written anew.

    Raises:
        ContractError: a table names a class that the contract does not have.
    """
    known = parts()

    def table(match: re.Match[str]) -> str:
        if match[2] not in known:
            raise ContractError(f"fields: {match[2]} is no part of the contract")
        return match[1] + table_of(known[match[2]]) + match[3]

    return TABLE.sub(table, text)


def table_of(part: type[ContractPart]) -> str:
    """Return the fields of a class as a Markdown table, in the order of the class."""
    lines = ["| field | default | meaning |", "| --- | --- | --- |"]
    for attribute, field in part.model_fields.items():
        name = field.alias or attribute
        meaning = descriptions(part).get(name, "").removesuffix(".").replace("|", "\\|")
        lines.append(f"| `{name}` | {_default(field)} | {meaning} |".replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, ContractPart):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        shown = f"[{', '.join(map(_number, value))}]"
        return shown if len(shown) <= LONG else "all"
    if isinstance(value, dict):
        return "built in" if value else "{}"
    return f"`{value}`" if "*" in str(value) else _number(value)


def _number(value: Any) -> str:
    is_number = isinstance(value, int | float)
    return f"{value:,}".removesuffix(".0") if is_number and value < 1e6 else str(value)


def main(documents: list[str]) -> int:
    """Write the tables of some documents and the JSON Schema of this repository's contracts."""
    for path in map(Path, documents):
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
    schema = settings.home() / "include" / "portfolios" / SCHEMA_FILE
    schema.write_text(schema_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
