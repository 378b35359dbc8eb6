"""The schema and the document describe every field of the contract, and neither is stale."""

import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from loan_scoring import settings
from loan_scoring.cli.main import main
from loan_scoring.drafting.reference import TABLE, with_tables
from loan_scoring.drafting.schema import contract_schema, descriptions, parts, schema_text

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = REPOSITORY / "docs/data-contract.md"
SHOWN_ELSEWHERE = {
    "AmountSource", "DateSource", "FirstModelPolicy", "KnownAt", "ManifestPolicy", "NotAGroup",
    "ProtectedColumn", "Scenario",
}  # fmt: skip
"""Parts that the document shows in an example or in another table."""


@pytest.mark.parametrize("part", parts().values(), ids=parts())
def test_every_field_has_a_description(part: type) -> None:
    found = descriptions(part)
    fields = [field.alias or name for name, field in part.model_fields.items()]
    assert [name for name in fields if not found.get(name)] == []
    assert all(text.endswith((".", ")", "`")) for text in found.values())


def test_document_is_not_stale() -> None:
    text = DOCUMENT.read_text()
    assert with_tables(text) == text, "run make reference"
    assert set(parts()) - {match[1] for match in TABLE.findall(text)} == SHOWN_ELSEWHERE


def test_schema_file_is_not_stale() -> None:
    path = REPOSITORY / "include/portfolios/contract.schema.json"
    assert path.read_text() == schema_text(), "run make reference"


@pytest.mark.parametrize("name", ["loan_default", "credit_data"])
def test_contracts_fit_the_schema(name: str) -> None:
    raw = yaml.safe_load((settings.portfolios_dir() / f"{name}.yaml").read_text())
    assert [*Draft202012Validator(contract_schema()).iter_errors(raw)] == []


def test_schema_refuses_a_misspelt_field_and_explains_the_others() -> None:
    schema = contract_schema()
    raw = {"titel": "Loans"}
    errors = [error.message for error in Draft202012Validator(schema).iter_errors(raw)]
    assert any("'titel' was unexpected" in error for error in errors)
    known = schema["$defs"]["Column"]["properties"]["known"]
    assert "When it is known" in known["description"]
    assert not re.search(r"\]\(", json.dumps(schema))  # editors do not follow Markdown links


def test_command_prints_the_schema(capsys: pytest.CaptureFixture) -> None:
    assert main(["contract", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(schema_text())
