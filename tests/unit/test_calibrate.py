"""A short calibration: rounds are counted, shifts go through ingest, the page shows the figures."""

import json
import sys
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
from loan_scoring.lab.calibrate.intake import take_in
from loan_scoring.lab.calibrate.peers import peers_python
from loan_scoring.lab.calibrate.pool import LoanPool, build_pool
from loan_scoring.lab.calibrate.rounds import RoundTask, run_round, split_pool, summarise_rounds
from loan_scoring.lab.calibrate.run import FOLDER, CalibrationPlan, run_sections
from loan_scoring.lab.calibrate.shifts import (
    NEW_LEVEL,
    SHIFTS,
    correlated_pairs,
    permute_column,
    shifted_text,
)
from loan_scoring.lab.synthetic import generate_loans

KINDS = {shift.name: shift for shift in SHIFTS}


@pytest.fixture(scope="module")
def source(loan_default: Contract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrate") / "loans.synthetic.csv"
    pyarrow.csv.write_csv(generate_loans(loan_default, 12_000, seed=1), path)
    return path


@pytest.fixture(scope="module")
def pool(loan_default: Contract, source: Path) -> LoanPool:
    return build_pool(loan_default, str(source))


def shifted(name: str, values: pa.Array, size: float) -> pa.ChunkedArray:
    column = pa.chunked_array([values])
    return KINDS[name].apply(column, column, size, np.random.default_rng(1))


def shifted_file(contract: Contract, pool: LoanPool, shift: str, name: str) -> pa.Table:
    rng = np.random.default_rng(1)
    kind = KINDS[shift]
    return shifted_text(
        contract, kind, name, kind.required or 0.0, pool.text, pool.table, pool.table, rng
    )


def test_an_unchanged_file_is_taken_in_without_an_alert(
    loan_default: Contract, pool: LoanPool
) -> None:
    taken = take_in(loan_default, pool.text, pool.kinds)
    inputs = [column.name for column in loan_default.monitored]
    assert taken.alerts == set()
    assert taken.loans.equals(pool.table.select(inputs))


def test_other_applicants_keep_the_ratio_and_a_fault_breaks_it(
    loan_default: Contract, pool: LoanPool
) -> None:
    ratio = loan_default.ratios[0]
    for name in (ratio.numerator, ratio.denominator, ratio.column):
        text = shifted_file(loan_default, pool, "mean", name)
        assert not take_in(loan_default, text, pool.kinds).is_refused
    broken = shifted_file(loan_default, pool, "mean_alone", ratio.numerator)
    taken = take_in(loan_default, broken, pool.kinds)
    assert taken.is_refused
    assert (ratio.numerator, "quarantine") in taken.alerts


def test_a_new_level_goes_to_quarantine_if_the_column_is_closed(
    loan_default: Contract, pool: LoanPool
) -> None:
    closed = take_in(
        loan_default, shifted_file(loan_default, pool, "new_level", "loan_limit"), pool.kinds
    )
    assert (("loan_limit", "quarantine") in closed.alerts, closed.is_refused) == (True, False)
    assert len(closed.rows) == pool.table.num_rows - round(0.01 * pool.table.num_rows)
    assert NEW_LEVEL not in closed.loans.column("loan_limit").to_pylist()
    opened = take_in(
        loan_default, shifted_file(loan_default, pool, "new_level", "region"), pool.kinds
    )
    assert opened.alerts == {("region", "quality")}
    assert len(opened.rows) == pool.table.num_rows


def test_undrifted_batches_raise_no_alert_and_shifts_are_found(
    loan_default: Contract, pool: LoanPool
) -> None:
    done = run_round(loan_default, pool, RoundTask((500, 2500), {2500: True}, (1, 1)))
    assert done.alerts == {500: [], 2500: []}
    found = {"drift": {"found": summarise_rounds(loan_default, pool, [done])}}
    power = {(each.shift, each.size): each for each in figures.powers(found)}
    assert power["mean", 0.3].found.value == power["nulls", 0.1].found.value == 1
    assert power["new_level", 0.02].ways["quarantine"] > 0.5
    assert power["mean_alone", 0.2].ways == {"drift": 0, "quarantine": 1, "quality": 0}


def test_a_round_uses_each_loan_once_and_is_reproducible(
    loan_default: Contract, pool: LoanPool
) -> None:
    first, again, other = (
        split_pool(loan_default, pool, (100, 500), (1, number)) for number in (1, 1, 2)
    )
    rows = [first.baseline.num_rows, *(len(each.loans) for each in first.batches.values())]
    assert sum(rows) == pool.table.num_rows
    assert first.baseline == again.baseline != other.baseline
    assert first.batches[500].text.num_rows == 500


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


def test_too_few_loans_are_one_line(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has 8,000 loans beside those of the model"):
        run_sections("loan_default", CalibrationPlan(), ["drift"], tmp_path, "", str(source))


def test_no_peers_where_their_environment_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOAN_SCORING_STATE", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "false")
    assert peers_python() is None


def test_a_section_is_kept_and_the_page_shows_what_was_measured(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = CalibrationPlan(rounds=2, power_rounds=1, curve_rounds=0, sizes=(400,), power_size=400)
    monkeypatch.setattr(run, "CalibrationPlan", lambda: few)
    given = ["--section", "drift", "--jobs", "1"]
    where = ["--source", str(source), "--docs", str(tmp_path)]
    assert main(["calibrate", *given, *where, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    text = Path(result["page"]).read_text()
    assert f"`loan-scoring calibrate {' '.join(given)}`" in text
    assert "Not measured: nights, lending, held_out, peers." in text
    assert (
        "| undrifted batches of 400 loans with an alert | upper limit at most 1 % "
        "| 0.0 % [0.0, 65.8] | **missed** |"
    ) in text
    assert result["missed"] == 1
    for plot in ("false-alarms.svg", "power.svg", "power-by-loans.svg"):
        assert f"({FOLDER}/{plot})" in text
        assert b"<svg" in (tmp_path / FOLDER / plot).read_bytes()
