"""Demonstrate each kind of drift: train once, replay nights for each, read what was seen."""

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
from loan_scoring.lab.demo.apart import exclusive_demo, own_folders, quiet_stages
from loan_scoring.lab.demo.kinds import DEMONSTRATIONS, missing_scenario, scenario_of
from loan_scoring.lab.demo.nights import run_nights
from loan_scoring.lab.demo.seen import DemoRecord, read_demo_record
from loan_scoring.lab.progress import Progress
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.lab.source import resolve_source
from loan_scoring.local.throwaway import throwaway_database
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import judge_and_promote, promote_by_hand
from loan_scoring.models.registry import PROPENSITY
from loan_scoring.models.training.run import train

TRAINED, REPLAYED = "loan_scoring_demo_trained", "loan_scoring_demo"
"""The databases: history and champion, and a copy of it for one demonstration at a time."""
CALM_NIGHTS = 2
"""Nights before the drift: the contrast."""
MOST_PER_NIGHT = 4_000
BY = "cli:demo-drift"


@dataclass(frozen=True)
class DemoPlan:
    """How much is replayed."""

    nights: int = 6
    per_night: int | None = None
    """None: as many loans as the source has, 4,000 at most."""


@dataclass(frozen=True)
class DemoResult:
    """What was replayed, with which model, and what came of it."""

    contract: Contract
    source: str
    is_synthetic: bool
    champion: Row
    """The propensity model that scored all nights."""
    overruled: list[str]
    """Gates that it did not pass."""
    per_night: int
    seen: list[DemoRecord]
    missing: list[str]
    """A sentence for each demonstration that the contract has no scenario for."""


def demonstrate_drift(
    portfolio: str, plan: DemoPlan, source: str | None = None, out: TextIO = sys.stderr
) -> DemoResult:
    """Train a champion on the history, and replay nights of each kind of drift with it.

    All of it happens in databases of the embedded Postgres and in a folder of files that are made
    for it and gone after it; what a killed run left goes with the next one.

    Raises:
        SourceError: the source cannot be read, or has too few loans.
        LoanScoringError: another demonstration is running, or there are too few nights.
    """
    contract = contracts.load(portfolio)
    least = CALM_NIGHTS + contract.retraining.drifted
    if plan.nights < least:
        raise LoanScoringError(
            f"{plan.nights} nights are too few: {CALM_NIGHTS} without drift, then those that it "
            f"takes to ask for new models, are {least}"
        )
    location = resolve_source(contract, source)
    if location is None:  # it did not answer: not to be asked again by each replay
        known = contract.source.model_copy(update={"url": None})
        contract = contract.model_copy(update={"source": known})
    with exclusive_demo(), quiet_stages(), own_folders() as folder:
        return _demonstrate(contract, plan, location, folder, out)


def _demonstrate(
    contract: Contract, plan: DemoPlan, location: str | None, folder: Path, out: TextIO
) -> DemoResult:
    per_night = plan.per_night
    if per_night is None:
        per_night = _as_many_as_there_are(contract, plan, location, folder)
    chosen = [(shown, scenario_of(contract, shown)) for shown in DEMONSTRATIONS]
    progress = Progress(2 + 2 * plan.nights * sum(named is not None for _, named in chosen), out)

    def cut(name: str, *scenarios: str) -> Replay:
        return replay_loans(
            contract,
            source=location,
            nights=plan.nights,
            per_night=per_night,
            scenarios=dict.fromkeys(range(CALM_NIGHTS + 1, plan.nights + 1), scenarios),
            landing=folder / name,
        )

    missing = [missing_scenario(contract, shown) for shown, named in chosen if named is None]
    seen = []
    with closing(progress), throwaway_database(TRAINED) as url:
        plain = cut("plain")
        for line in (f"{plain.source}: {plain.history_rows:,} loans teach the model", *missing):
            progress.say(line)
        with open_session(contract.portfolio, url) as session:
            ingest_batch(session, HISTORY, plain.application_files[HISTORY])
            progress.reach(["history ingested"])
            champion, overruled = _train(session)
            progress.reach([f"{champion['model_version']} trained and put into use"])
        for shown, named in chosen:
            if named is None:
                continue
            drops = cut(shown.kind, named[0])
            with (
                throwaway_database(REPLAYED, template=TRAINED) as copy,
                open_session(contract.portfolio, copy) as session,
            ):
                for step in run_nights(session, drops):
                    progress.reach([f"{shown.kind} drift: {step}"])
                seen.append(read_demo_record(session, shown, named, drops.batch_ids[CALM_NIGHTS:]))
    return DemoResult(
        contract, plain.source, plain.is_synthetic, champion, overruled, per_night, seen, missing
    )


def _train(session: Session) -> tuple[Row, list[str]]:
    """Put a pair of models into use; return the propensity model, and the gates it failed."""
    versions, _ = train(session)
    _, evidence = judge_and_promote(session, versions, "auto")
    failed = [gate["gate"] for gate in evidence["gates"] if not gate["passed"]]
    if failed:
        promote_by_hand(session, versions[PROPENSITY], BY, "to demonstrate drift")
    with database.transaction(session.connection):
        return registry.model_row(session, versions[PROPENSITY]), failed


def _as_many_as_there_are(
    contract: Contract, plan: DemoPlan, location: str | None, folder: Path
) -> int:
    """Return how many loans a night can have, MOST_PER_NIGHT at most."""
    history = replay_loans(
        contract, source=location, nights=0, per_night=1, landing=folder / "counted"
    )
    share = contract.replay.history_share
    left = int(history.history_rows / share - history.history_rows)
    return max(1, min(MOST_PER_NIGHT, left // plan.nights))
