"""A contract that cannot be used is one line, and stops no other contract."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from loan_scoring import contract as contracts
from loan_scoring.lab.main_job import MainJob

SHIPPED = Path(__file__).parents[2] / "include/portfolios"
BROKEN = "portfolio: broken\ntitle: Broken\nowner: x\ncolumns: []\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The contracts of this release, in a folder of their own."""
    shutil.copytree(SHIPPED, tmp_path / "portfolios")
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path / "portfolios"))
    return tmp_path / "portfolios"


def text(content: str | bytes) -> Callable[[Path], object]:
    raw = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(raw)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (text(BROKEN), "columns: List should have at least 2 items"),
        (text("columns: [a\n"), "not valid YAML"),
        (text("start: 2026-02-30\n"), "not valid YAML: day is out of range"),
        (text("title: Größe\n".encode("cp1252")), "not valid YAML: 'utf-8' codec can't decode"),
        (text(""), "a contract must be a mapping of fields, found NoneType"),
        (Path.mkdir, "no contract"),
        (lambda path: path.symlink_to(path.with_name("gone")), "no contract"),
    ],
)
def test_contract_that_cannot_be_read_is_one_line_and_the_others_are_valid(
    folder: Path, make: Callable[[Path], object], reason: str
) -> None:
    make(folder / "broken.yaml")
    valid, broken = contracts.load_all()
    assert [each.portfolio for each in valid] == ["credit_data", "loan_default"]
    assert list(broken) == ["broken"]
    assert reason in broken["broken"]
    assert "broken.yaml" in broken["broken"]
    assert "\n" not in broken["broken"]


def test_mended_contract_is_valid_again(folder: Path) -> None:
    path = folder / "credit_data.yaml"
    before = path.read_text()
    path.write_text(before.replace("type: ", "type: x", 1))
    assert list(contracts.load_all()[1]) == ["credit_data"]
    path.write_text(before)
    assert contracts.load_all()[1] == {}


def test_main_job_drifts_by_a_scenario_of_the_contract_if_it_has_one() -> None:
    from loan_scoring.lab.main_job import first_scenario

    loan_default = contracts.read(SHIPPED / "loan_default.yaml")
    assert first_scenario(loan_default) == ["income_shock"]
    plain = loan_default.replay.model_copy(update={"scenarios": {}})
    assert first_scenario(loan_default.model_copy(update={"replay": plain})) == []
    assert MainJob("credit_data").portfolio == "credit_data"
