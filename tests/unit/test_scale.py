"""The scale run: its page adds up, and a small run of it fills, measures and drops a database."""

import json
from pathlib import Path

import pytest

from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.lab.bench.scale import AskedQuery, ScaleFigures
from loan_scoring.lab.bench.scale_page import scale_page
from loan_scoring.lab.synthetic import generate_loans


def cost(seconds: float) -> dict[str, float]:
    return {"seconds": seconds, "cpu_seconds": seconds / 2, "peak_memory_bytes": 300 << 20}


def test_page_says_what_a_loan_costs_and_what_breaks_first() -> None:
    found = ScaleFigures(
        "/data/loans.csv", 2, 1_000_000, 5000,
        {"ingest": [cost(20), cost(40)], "score": [cost(20)] * 2, "metrics": [cost(10)] * 2},
        {"scores": 2_000_000_000, "applications": 1_000_000_000, "alerts": 1000},
        [AskedQuery("Fast?", 0.1, "Index Scan loans (1 rows)"), AskedQuery("Slow?", 3, "")],
    )  # fmt: skip
    page = scale_page(found, "the command")
    assert "`the command` wrote this page" in page
    assert "| ingest | 30.0 | 20.0 | 40.0 | 15.0 | 300 | 30.0 |" in page
    assert "| scores | 1,907 | 1000 | 93 | 931 |" in page
    assert "| all | 2,861 | 1500 | 140 | 1,397 |" in page
    assert "alerts" not in page.partition("## What breaks")[0].partition("## Tables")[2]
    assert page.index("| Slow? | 3.000 | no table |") < page.index("| Fast? |")
    # 60 seconds a million loans: six hours for 360 million. 3 s at 2 million: 60 s at 40 million.
    assert "takes 60 s at 40 million" in page
    assert "A night** of 360 million applications takes 6 hours" in page
    assert "1,500 bytes an application are 1.4 TiB at a billion" in page
    assert "ingest took 2.00 times as long on the last night" in page


@pytest.mark.bench
@pytest.mark.integration
def test_nights_are_filled_measured_and_asked(
    loan_default: Contract, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow.csv

    source = tmp_path / "loans.synthetic.csv"
    pyarrow.csv.write_csv(generate_loans(loan_default, 2000, seed=1), source)
    plan = ["scale", "--nights", "2", "--per-night", "300", "--source", str(source)]
    assert main([*plan, "--docs", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["nights"], found["per_night"], found["history"]) == (2, 300, 2000)
    assert {stage: len(nights) for stage, nights in found["stages"].items()} == {
        "ingest": 2, "score": 2, "metrics": 2,
    }  # fmt: skip
    assert found["tables"]["scores"] > 0
    assert len(found["queries"]) >= 20
    assert "## What breaks first" in (tmp_path / "scale.md").read_text()
