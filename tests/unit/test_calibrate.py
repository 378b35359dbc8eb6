"""A short calibration: rounds are counted, shifts are applied, the page shows the figures."""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.errors import SourceError
from loan_scoring.lab.calibrate import figures, run
from loan_scoring.lab.calibrate.page import FOLDER, render_figures_page, write_figures_page
from loan_scoring.lab.calibrate.peers import peers_python
from loan_scoring.lab.calibrate.rounds import split_pool
from loan_scoring.lab.calibrate.run import (
    CalibrationPlan,
    CalibrationResult,
    calibrate_drift_decision,
)
from loan_scoring.lab.calibrate.shifts import NEW_LEVEL, SHIFTS, correlated_pairs, permute_column
from loan_scoring.lab.synthetic import generate_loans

SHORT = CalibrationPlan(
    rounds=3, power_rounds=2, peer_rounds=0, sizes=(500, 1500), power_size=1500, jobs=1
)
KINDS = {shift.name: shift for shift in SHIFTS}


@pytest.fixture(scope="module")
def source(loan_default: Contract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrate") / "loans.synthetic.csv"
    pyarrow.csv.write_csv(generate_loans(loan_default, 12_000, seed=1), path)
    return path


@pytest.fixture(scope="module")
def measured(source: Path) -> CalibrationResult:
    return calibrate_drift_decision("loan_default", SHORT, str(source))


def shifted(name: str, values: pa.Array, size: float) -> pa.ChunkedArray:
    column = pa.chunked_array([values])
    return KINDS[name].apply(column, column, size, np.random.default_rng(1))


def test_undrifted_batches_raise_no_alert_and_large_shifts_do(measured: CalibrationResult) -> None:
    assert {size: share.hits for size, share in figures.false_alarms(measured).items()} == {
        500: 0,
        1500: 0,
    }
    found = {(power.shift, power.size): power.found for power in figures.detection_powers(measured)}
    assert found["mean", 0.3].value == found["nulls", 0.1].value == 1
    assert found["new_level", 0.02].batches == 2 * len(
        {name for shift, _, name in measured.rounds[0].detected if shift == "new_level"}
    )


def test_the_page_shows_what_was_measured_and_on_what(
    measured: CalibrationResult, tmp_path: Path
) -> None:
    text = write_figures_page(measured, tmp_path, "loan-scoring calibrate").read_text()
    assert "| loans | synthetic: " in text
    assert "| 1,500 | 3 | 0.0 % [0.0, 56.1] | met |" in text
    assert "Evidently and NannyML were not measured" in text
    for plot in ("false-alarms.svg", "power.svg"):
        assert f"({FOLDER}/{plot})" in text
        assert b"<svg" in (tmp_path / FOLDER / plot).read_bytes()


def test_a_missed_limit_comes_first(measured: CalibrationResult) -> None:
    for each in measured.rounds:
        each.alerts[500].append("region: chi_square")
    try:
        text = render_figures_page(measured, "loan-scoring calibrate")
    finally:
        for each in measured.rounds:
            each.alerts[500].clear()
    assert "**Missed** (limits: at most 1 % false alarms" in text
    assert "- 100.0 % of undrifted batches of 500 loans raise an alert." in text
    assert "Causes: region: chi_square, 500 loans (3)." in text


def test_a_round_uses_each_loan_once_and_is_reproducible(loan_default: Contract) -> None:
    pool = pa.table({"income_usd_per_month": pa.array(np.arange(4000.0))})
    first, again, other = (
        split_pool(loan_default, pool, (100, 500), (1, number)) for number in (1, 1, 2)
    )
    parts = [first.baseline, *first.batches.values()]
    assert sorted(value for part in parts for value in part.column(0).to_pylist()) == list(
        range(4000)
    )
    assert first.baseline == again.baseline != other.baseline


def test_shifts_do_what_they_are_called() -> None:
    numbers = pa.array([1.0, 2.0, 3.0, None, 6.0])
    assert shifted("mean", numbers, 0.5).to_pylist()[3] is None
    moved = pc.mean(shifted("mean", numbers, 0.5)).as_py() - pc.mean(numbers).as_py()
    assert moved == pytest.approx(0.5 * pc.stddev(numbers).as_py())
    spread = shifted("spread", numbers, 2.0)
    assert pc.mean(spread).as_py() == pytest.approx(3.0)
    assert pc.stddev(spread).as_py() == pytest.approx(2 * pc.stddev(numbers).as_py())
    levels = pa.array(["a"] * 60 + ["b"] * 30 + ["c"] * 10)
    assert shifted("share", levels, 0.05).to_pylist().count("b") == 35
    assert shifted("new_level", levels, 0.02).to_pylist().count(NEW_LEVEL) == 2
    assert shifted("nulls", levels, 0.1).null_count == 10
    assert shifted("scores", pa.array([0.5, None]), 1.0).to_pylist() == [
        pytest.approx(1 / (1 + np.exp(-1))),
        None,
    ]


def test_a_broken_correlation_leaves_the_margins() -> None:
    rng = np.random.default_rng(1)
    common, own = rng.normal(size=(2, 2000))
    table = pa.table({"x": pa.array(common), "y": pa.array(np.exp(common + 0.1 * own))})
    ((_, _, before),) = correlated_pairs(table, ["x", "y"])
    permuted = permute_column(table, "y", rng)
    ((_, _, after),) = correlated_pairs(permuted, ["x", "y"])
    assert before > 0.9
    assert abs(after) < 0.1
    assert sorted(permuted.column("y").to_pylist()) == sorted(table.column("y").to_pylist())


def test_too_few_loans_are_one_line(source: Path) -> None:
    with pytest.raises(SourceError, match="has 8,000 loans beside those of the model"):
        calibrate_drift_decision("loan_default", CalibrationPlan(), str(source))


def test_no_peers_where_their_environment_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOAN_SCORING_STATE", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "false")
    assert peers_python() is None


def test_the_command_writes_the_page(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        run, "CalibrationPlan", partial(CalibrationPlan, sizes=(400,), power_size=400)
    )
    given = ["--rounds", "1", "--power-rounds", "0", "--peer-rounds", "0", "--jobs", "1"]
    where = ["--source", str(source), "--docs", str(tmp_path)]
    assert main(["calibrate", *given, *where, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["false_alarms"] == {"400": 0.0}
    assert f"`loan-scoring calibrate {' '.join(given)}`" in Path(result["page"]).read_text()
