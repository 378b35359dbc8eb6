"""Benchmark scoring, from applications to scores in Postgres, against the least possible work."""

from pathlib import Path

from loan_scoring.contract import Contract
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.bench.harness import NAIVE_ROWS, delete_batches, highest_peak, run_in_process
from loan_scoring.lab.bench.loans import TIMES, BenchLoans
from loan_scoring.lab.bench.result import BenchResult, LimitedRatio, median_seconds
from loan_scoring.models import registry
from loan_scoring.models.training.run import train

REPETITIONS = 5
RATIOS = 3
"""Number of ratios that the second pair of models reads."""
ALGORITHM = "hist_gradient_boosting"
"""Algorithm of the propensity model in the benchmark.

The benchmark fits the first candidate of this algorithm. If the contract has no candidate of this
algorithm, the benchmark fits the first candidate of the contract.
"""


def bench_score(loans: BenchLoans, url: str) -> BenchResult:
    """Measure how long it takes to plan, score and publish a batch, with and without reasons.

    The floor is the least possible work, with one thread: COPY the columns that the models use out
    of Postgres, encode the columns, predict with both models, and COPY the scores into a table
    without key, index and rules. The naive implementation uses pandas and calls the pipelines of
    both models directly.

    A second pair of models reads three ratios more, which the contract declares as features.

    Each implementation runs in a process of its own. The time to load the models is not counted.
    """
    ways: dict[str, list[dict[str, float]]] = {
        "floor": [], "silent": [], "ours": [], "ratios": [], "naive": [],
    }  # fmt: skip
    portfolio = loans.contract.portfolio

    def run(way: str) -> dict[str, float]:
        return run_in_process("score_process", [portfolio, way], url, loans.source)

    with open_session(portfolio, url) as session:
        train_bench_pair(session, loans)
        train(Session(with_ratios(of_one_trial(loans.contract)), session.connection))
        replace_batch(session, loans.file)
        for repetition in range(REPETITIONS):
            for way in ("floor", "silent", "ours", "ratios"):
                ways[way].append(run(way))
            if repetition % 2 == 0:
                ways["naive"].append(run("naive"))
        replace_batch(session, loans.tenfold)
    # Score the new loans once without counting the time, so that the measured run finds the loans
    # in Postgres's cache.
    run("silent")
    tenfold = [run("ours")]
    steps = {
        name: [each[name] for each in ways["floor"]]
        for name in ways["floor"][0]
        if name != "seconds"
    }
    figures = [
        *(median_seconds(f"  {name}", measured) for name, measured in steps.items()),
        median_seconds(
            "floor", [each["seconds"] for each in ways["floor"]], "all four: no key, no rules"
        ),
        median_seconds("score, without reasons", [each["seconds"] for each in ways["silent"]]),
        median_seconds(
            f"score, {RATIOS} declared ratios more", [each["seconds"] for each in ways["ratios"]]
        ),
        median_seconds("score", [each["seconds"] for each in ways["ours"]], "plan, score, publish"),
        median_seconds(
            "read_sql + predict_proba + to_sql",
            [each["seconds"] * loans.rows / each["rows"] for each in ways["naive"]],
            "" if loans.rows <= NAIVE_ROWS else f"scaled from {NAIVE_ROWS:,} rows",
        ),
        median_seconds(f"score, {TIMES} times the rows", [each["seconds"] for each in tenfold]),
        highest_peak("peak memory", ways["ours"]),
        highest_peak(f"peak memory, {TIMES} times the rows", tenfold),
    ]
    floor, silent, ratios_too, ours, naive, longer, low, high = (
        figure.value for figure in figures[-8:]
    )
    ratios = [
        LimitedRatio("score without reasons / floor", silent / floor, 1.3),
        LimitedRatio(f"score with {RATIOS} declared ratios / score", ratios_too / ours, 1.05),
        LimitedRatio("naive / score", naive / ours, 8, is_at_most=False),
        LimitedRatio(f"time at {TIMES} times the rows", longer / ours, 11),
        LimitedRatio(f"memory at {TIMES} times the rows", high / low, 1.2),
    ]
    return BenchResult("score", loans.source, loans.rows, figures, ratios)


def train_bench_pair(session: Session, loans: BenchLoans) -> None:
    """Ingest all loans as `history`, fit one pair of models, and promote both models."""
    contract = of_one_trial(loans.contract)
    ingest_batch(session, HISTORY, loans.file)
    versions, _ = train(Session(contract, session.connection))
    for version in versions.values():
        registry.record_verdicts(session, {version: {"gates": []}}, "promoted", "cli:bench")
    session.connection.commit()


def of_one_trial(contract: Contract) -> Contract:
    """Return a contract whose training has one candidate, of ALGORITHM if possible."""
    policy = contract.training
    algorithm = ALGORITHM if ALGORITHM in policy.candidates else next(iter(policy.candidates))
    one = policy.model_copy(update={"candidates": {algorithm: policy.candidates[algorithm][:1]}})
    return contract.model_copy(update={"training": one})


def with_ratios(contract: Contract) -> Contract:
    """Return a contract that also declares ratios of its first numbers as features."""
    numbers = [column.name for column in contract.features if column.is_numeric]
    pairs = [(numbers[place], numbers[(place + 1) % len(numbers)]) for place in range(RATIOS)]
    ratios = [
        {"name": f"ratio_{place}", "label": f"Ratio {place}", "expression": f"{above} / {below}"}
        for place, (above, below) in enumerate(pairs, 1)
    ]
    raw = contract.model_dump()
    return Contract.model_validate(raw | {"features": [*raw.get("features", []), *ratios]})


def replace_batch(session: Session, file: Path) -> None:
    """Delete all batches, then ingest a file as the only batch."""
    delete_batches(session)
    ingest_batch(session, session.contract.replay.start, file)
