"""The finished contracts of public files: each loads, and holds no open question."""

from pathlib import Path

import pytest

from loan_scoring.drafting.mistakes import read_all

CONTRACTS = sorted((Path(__file__).resolve().parents[1] / "portfolios").glob("*.yaml"))


def test_seven_public_sets_have_a_contract() -> None:
    assert len(CONTRACTS) == 7


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.stem)
def test_contract_of_a_public_set_loads(path: Path) -> None:
    reading = read_all(path)
    assert reading.mistakes == []
    assert reading.contract is not None
    assert reading.todos == []
