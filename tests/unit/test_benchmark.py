"""The bench: figures and ratios add up, and its database is dropped after it."""

import csv
import json
from pathlib import Path

import psycopg2
import pyarrow.csv
import pytest

from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.errors import DatabaseError, SourceError
from loan_scoring.lab.bench import ingest, metrics, metrics_stage, run, score
from loan_scoring.lab.bench.harness import DATABASE
from loan_scoring.lab.bench.loans import BenchLoans, prepare_loans
from loan_scoring.lab.bench.result import BenchResult, LimitedRatio, Measurement, median_seconds
from loan_scoring.lab.bench.run import run_benches
from loan_scoring.lab.synthetic import generate_loans
from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.local.throwaway import throwaway_database

ROWS = 2000


def databases(postgres: EmbeddedPostgres) -> list[str]:
    connection = psycopg2.connect(postgres.url("postgres"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        names = [name for (name,) in cursor.fetchall()]
    connection.close()
    return names


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def source(loan_default: Contract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "loans.synthetic.csv"
    pyarrow.csv.write_csv(generate_loans(loan_default, ROWS, seed=1), path)
    return path


def test_a_ratio_is_met_on_its_side_of_the_limit() -> None:
    assert LimitedRatio("cost", 3.0, 3).is_met
    assert not LimitedRatio("cost", 3.1, 3).is_met
    assert LimitedRatio("gain", 15.0, 15, is_at_most=False).is_met
    assert not LimitedRatio("gain", 14.9, 15, is_at_most=False).is_met


def test_a_figure_is_the_median_of_its_measurements() -> None:
    assert median_seconds("copy", [1.0, 9.0, 2.0]) == Measurement("copy", 2.0, "s")


def test_the_text_shows_met_or_missed() -> None:
    ratios = [LimitedRatio("a", 1.0, 2), LimitedRatio("b", 3.0, 2)]
    text = BenchResult(
        "ingest", "here", 1000, [Measurement("copy", 0.5, "s", "floor")], ratios
    ).as_text()
    assert text.startswith("ingest: 1,000 loans of here\n")
    assert [line.split()[-1] for line in text.splitlines()[-2:]] == ["met", "missed"]


def test_ten_times_the_loans_have_ten_times_the_keys(
    loan_default: Contract, tmp_path: Path, source: Path
) -> None:
    loans = prepare_loans(loan_default, tmp_path, str(source))
    rows = read(loans.tenfold)
    assert len({row[loan_default.key.source] for row in rows}) == len(rows) == 10 * ROWS
    assert read(loans.file) == rows[:ROWS]
    assert loans.source.startswith("synthetic: ")


def benched(
    stage: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Run one bench from the command line; return its figures and ratios by name."""
    assert main(["bench", "--json", "--stage", stage, "--source", str(source)]) == 0
    (found,) = json.loads(capsys.readouterr().out)["benches"]
    assert (found["stage"], found["rows"]) == (stage, ROWS)
    figures = {figure["name"]: figure["value"] for figure in found["figures"]}
    assert all(value > 0 for value in figures.values())
    return figures, {ratio["name"]: ratio["value"] for ratio in found["ratios"]}


@pytest.mark.bench
@pytest.mark.integration
def test_score_is_benched_on_a_model_of_its_own(
    postgres: EmbeddedPostgres,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(score, "REPETITIONS", 1)
    figures, ratios = benched("score", source, capsys)
    steps = ("COPY out", "encode", "predict", "COPY in")
    assert figures["floor"] == pytest.approx(sum(figures[f"  {step}"] for step in steps))
    assert ratios == {
        "score without reasons / floor": figures["score, without reasons"] / figures["floor"],
        "naive / score": figures["read_sql + predict_proba + to_sql"] / figures["score"],
        "time at 10 times the rows": figures["score, 10 times the rows"] / figures["score"],
        "memory at 10 times the rows": figures["peak memory, 10 times the rows"]
        / figures["peak memory"],
    }
    assert DATABASE not in databases(postgres)


@pytest.mark.bench
@pytest.mark.integration
def test_ingest_is_benched_and_its_database_dropped(
    postgres: EmbeddedPostgres,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ingest, "REPETITIONS", 1)
    figures, ratios = benched("ingest", source, capsys)
    assert ratios == {
        "ingest / raw COPY": figures["ingest"] / figures["raw COPY"],
        "Great Expectations": figures["Great Expectations"],
        "to_sql / ingest": figures["read_csv + to_sql"] / figures["ingest"],
        "time at 10 times the rows": figures["ingest, 10 times the rows"] / figures["ingest"],
        "memory at 10 times the rows": figures["peak memory, 10 times the rows"]
        / figures["peak memory"],
    }
    assert DATABASE not in databases(postgres)
    assert postgres.is_running()


@pytest.mark.integration
def test_a_bench_that_fails_leaves_no_database(
    postgres: EmbeddedPostgres, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(loans: BenchLoans, url: str) -> BenchResult:
        raise SourceError("no")

    monkeypatch.setattr(run, "BENCHES", {"ingest": fail})
    with pytest.raises(SourceError):
        run_benches("loan_default", tmp_path, str(source))
    assert DATABASE not in databases(postgres)


@pytest.mark.integration
def test_a_second_bench_at_once_is_refused(postgres: EmbeddedPostgres) -> None:
    with throwaway_database(DATABASE) as url:
        other = psycopg2.connect(url)
        with (
            pytest.raises(DatabaseError, match="wait for the other run"),
            throwaway_database(DATABASE),
        ):
            pass
        other.close()
    assert DATABASE not in databases(postgres)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("column", "value", "faulty", "message"),
    [
        ("ID", "x", 1, "column ID has a value that is not of type integer"),
        ("income", "x", 1, "raw COPY refuses it"),
        ("income", "-1", ROWS, "batch .* refused"),
    ],
)
def test_a_file_that_cannot_be_benched_is_one_line(
    postgres: EmbeddedPostgres,
    source: Path,
    tmp_path: Path,
    column: str,
    value: str,
    faulty: int,
    message: str,
) -> None:
    rows = read(source)
    for row in rows[:faulty]:
        row[column] = value
    bad = tmp_path / "bad.csv"
    with bad.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(SourceError, match=message) as caught:
        run_benches("loan_default", tmp_path, str(bad))
    assert "\n" not in str(caught.value)


@pytest.mark.integration
def test_metrics_are_benched_without_evidently_if_it_is_not_available(
    postgres: EmbeddedPostgres,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(metrics, "REPETITIONS", 1)
    monkeypatch.setattr(metrics, "peers_python", lambda: None)
    figures, ratios = benched("metrics", source, capsys)
    assert figures.keys() >= {"tests of one column", "joint tests"}
    assert ratios == {}
    assert DATABASE not in databases(postgres)
    assert postgres.is_running()


@pytest.mark.bench
@pytest.mark.integration
def test_the_whole_metrics_stage_is_benched_with_and_without_outcomes(
    postgres: EmbeddedPostgres,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(metrics_stage, "REPETITIONS", 1)
    monkeypatch.setattr(metrics_stage, "MILLION", 3000)
    figures, ratios = benched("metrics_stage", source, capsys)
    for rows in ("2,000", "3,000"):
        assert {f"{rows} loans, {kind} outcomes" for kind in ("with", "without")} <= figures.keys()
    assert ratios.keys() == {"CPU of the large batch", "peak of the large batch"}
    assert DATABASE not in databases(postgres)


def test_metrics_against_evidently_include_the_time_of_the_baseline(
    loan_default: Contract, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "REPETITIONS", 1)
    monkeypatch.setattr(metrics, "_evidently", lambda *_: [60.0])
    found = metrics.bench_metrics(prepare_loans(loan_default, tmp_path, str(source)), "")
    value = {figure.name: figure.value for figure in found.figures}
    alone = value["baseline, sorted once"] + value["tests of one column"]
    joint = value["baseline, joint tests"] + value["joint tests"]
    assert [ratio.value for ratio in found.ratios] == pytest.approx(
        [60 / alone, 60 / (alone + joint)]
    )
