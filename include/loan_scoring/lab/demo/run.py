"""Demonstrate drift: train a champion, replay nights with each kind of drift, read the results."""

import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from loan_scoring import contract as contracts
from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database import Row
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import LoanScoringError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.demo.demonstrations import DEMONSTRATIONS, missing_scenario, scenario_of
from loan_scoring.lab.demo.isolation import exclusive_demo, own_folders, quiet_stages
from loan_scoring.lab.demo.nights import run_nights
from loan_scoring.lab.demo.record import DemoRecord, read_demo_record
from loan_scoring.lab.progress import Progress
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.lab.source import resolve_source
from loan_scoring.local.throwaway import throwaway_database
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import judge_and_promote, promote_by_hand
from loan_scoring.models.registry import PROPENSITY
from loan_scoring.models.training.run import train

TRAINED, REPLAYED = "loan_scoring_demo_trained", "loan_scoring_demo"
"""Names of the two databases that the demonstrations use.

TRAINED contains the history and the champion. REPLAYED is a copy of TRAINED. Each demonstration
gets a new copy, so that all demonstrations start from one champion.
"""
CALM_NIGHTS = 2
"""Number of nights without drift that are replayed before the nights with drift."""
MOST_PER_NIGHT = 4_000
BY = "cli:demo-drift"


@dataclass(frozen=True)
class DemoPlan:
    """The number of nights to replay, and the number of loans in each night."""

    nights: int = 6
    per_night: int | None = None
    """Loans in each night. None means as many as the source allows, at most MOST_PER_NIGHT."""


@dataclass(frozen=True)
class DemoResult:
    """The source of the loans, the champion of all nights, and the demonstrations' records."""

    contract: Contract
    source: str
    is_synthetic: bool
    champion: Row
    """The propensity model that scored all nights."""
    overruled: list[str]
    """Names of the gates that the champion failed. The list is empty if no gate failed."""
    per_night: int
    records: list[DemoRecord]
    missing: list[str]
    """One sentence for each demonstration for which the contract has no scenario."""


def demonstrate_drift(
    portfolio: str, plan: DemoPlan, source: str | None = None, out: TextIO = sys.stderr
) -> DemoResult:
    """Train a champion on the history, and replay nights with each kind of drift.

    All data is in throwaway databases of the embedded Postgres and in a temporary folder. The
    databases and the folder are deleted at the end. If a run is killed, the next run deletes the
    databases and the folder of the killed run.

    Raises:
        SourceError: the source cannot be read, or has too few loans.
        LoanScoringError: another demonstration is running, or there are too few nights.
        DatabaseError: the embedded Postgres does not start.
    """
    contract = contracts.load(portfolio)
    least = CALM_NIGHTS + contract.retraining.drifted
    if plan.nights < least:
        raise LoanScoringError(
            f"{plan.nights} nights are too few: {CALM_NIGHTS} without drift and "
            f"{contract.retraining.drifted} with it, after which new models are requested, "
            f"are {least}"
        )
    location = resolve_source(contract, source)
    if location is None:
        # Remove the URL, because otherwise each replay would try again to reach the URL.
        offline = contract.source.model_copy(update={"url": None})
        contract = contract.model_copy(update={"source": offline})
    with exclusive_demo(), quiet_stages(), own_folders() as folder:
        return _demonstrate(contract, plan, location, folder, out)


def _demonstrate(
    contract: Contract, plan: DemoPlan, location: str | None, folder: Path, out: TextIO
) -> DemoResult:
    per_night = plan.per_night
    if per_night is None:
        per_night = _possible_per_night(contract, plan, location, folder)
    chosen = [(each, scenario_of(contract, each)) for each in DEMONSTRATIONS]
    missing = [missing_scenario(contract, each) for each, named in chosen if named is None]
    progress = Progress(2 + 2 * plan.nights * (len(chosen) - len(missing)), out)

    def replay(name: str, *scenarios: str) -> Replay:
        return replay_loans(
            contract,
            source=location,
            nights=plan.nights,
            per_night=per_night,
            scenarios=dict.fromkeys(range(CALM_NIGHTS + 1, plan.nights + 1), scenarios),
            landing=folder / name,
        )

    records = []
    with closing(progress), throwaway_database(TRAINED) as url:
        plain = replay("plain")
        for line in (f"{plain.source}: {plain.history_rows:,} loans for training", *missing):
            progress.say(line)
        with open_session(contract.portfolio, url) as session:
            ingest_batch(session, HISTORY, plain.application_files[HISTORY])
            progress.reach(["history ingested"])
            champion, overruled = _train_champion(session)
            progress.reach([f"{champion['model_version']} trained and promoted"])
        for demonstration, named in chosen:
            if named is None:
                continue
            kind = demonstration.kind
            drops = replay(kind, named[0])
            with (
                throwaway_database(REPLAYED, template=TRAINED) as copy,
                open_session(contract.portfolio, copy) as session,
            ):
                for step in run_nights(session, drops):
                    progress.reach([f"{kind} drift: {step}"])
                drifted = drops.batch_ids[CALM_NIGHTS:]
                records.append(read_demo_record(session, demonstration, named, drifted))
    return DemoResult(
        contract, plain.source, plain.is_synthetic, champion, overruled, per_night, records, missing
    )


def _train_champion(session: Session) -> tuple[Row, list[str]]:
    """Train and promote a pair of models, by hand if a gate fails.

    Return the row of the propensity model in table `models`, and the names of the failed gates.
    """
    versions, _ = train(session)
    _, evidence = judge_and_promote(session, versions, "auto")
    failed = [gate["gate"] for gate in evidence["gates"] if not gate["passed"]]
    if failed:
        promote_by_hand(session, versions[PROPENSITY], BY, "to demonstrate drift")
    with database.transaction(session.connection):
        return registry.model_row(session, versions[PROPENSITY]), failed


def _possible_per_night(
    contract: Contract, plan: DemoPlan, location: str | None, folder: Path
) -> int:
    """Return the largest number of loans for each night, at most MOST_PER_NIGHT."""
    history = replay_loans(
        contract, source=location, nights=0, per_night=1, landing=folder / "counted"
    )
    share = contract.replay.history_share
    left = int(history.history_rows / share - history.history_rows)
    return max(1, min(MOST_PER_NIGHT, left // plan.nights))
