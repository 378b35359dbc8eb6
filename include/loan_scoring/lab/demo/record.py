"""Read the rows that a demonstration wrote into the database."""

from dataclasses import dataclass

from loan_scoring import database
from loan_scoring.contract import Scenario
from loan_scoring.database import Row
from loan_scoring.database.session import Session
from loan_scoring.lab.demo.demonstrations import Demonstration
from loan_scoring.monitoring.alerts.causes import CONCEPT
from loan_scoring.monitoring.metrics import drift_kind
from loan_scoring.monitoring.performance.outcome_tests import KINDS

LEVELS = ("stable", "attention", "drifted")


@dataclass(frozen=True)
class DemoNight:
    """One night of a demonstration: its drift tests, its performance and its findings."""

    batch_id: str
    is_drifted: bool
    """Whether the scenario was applied to this night."""
    tests: list[Row]
    figures: dict[tuple[str, str], Row]
    """Rows of table `performance`, by metric and basis (`estimated` or `realised`)."""
    findings: dict[str, Row]
    """Rows of table `findings`, by cause."""

    def of(self, kind: str) -> list[Row]:
        """Return the tests of one drift kind."""
        return [test for test in self.tests if test["kind"] == kind]

    def found(self, kind: str) -> list[str]:
        """Return the features of one drift kind that raised an alert on this night.

        A feature with a high PSI is not in the list if none of its tests failed.
        """
        return [
            subject
            for cause, finding in self.findings.items()
            for subject in finding["subjects"]
            if (KINDS[subject] if cause == CONCEPT else drift_kind(subject)) == kind
        ]

    def level(self, kind: str) -> str | None:
        """Return the worst level of one drift kind among the features that raised an alert.

        Return `stable` if no feature raised an alert. Return None if no test of this drift kind
        ran.
        """
        tests, found = self.of(kind), self.found(kind)
        if not tests:
            return None
        levels = [LEVELS.index(test["level"]) for test in tests if test["feature"] in found]
        return LEVELS[max(levels, default=0)]

    def value(self, metric: str, basis: str) -> float | None:
        """Return the value of a metric, or None if the value is not known."""
        row = self.figures.get((metric, basis))
        return None if row is None else row["value"]


@dataclass(frozen=True)
class DemoRecord:
    """A demonstration, the applied scenario, and all rows that the run wrote into the database."""

    demonstration: Demonstration
    scenario_name: str
    scenario: Scenario
    nights: list[DemoNight]
    alerts: list[Row]
    requests: list[Row]
    """Rows of table `retrain_requests`."""

    @property
    def calm(self) -> list[DemoNight]:
        """Return the nights to which the scenario was not applied."""
        return [night for night in self.nights if not night.is_drifted]

    @property
    def drifted(self) -> list[DemoNight]:
        """Return the nights to which the scenario was applied."""
        return [night for night in self.nights if night.is_drifted]


def read_demo_record(
    session: Session,
    demonstration: Demonstration,
    named_scenario: tuple[str, Scenario],
    drifted: list[str],
) -> DemoRecord:
    """Return the record of a finished demonstration, read from the database.

    Args:
        session: database session of this demonstration.
        demonstration: the demonstration that ran.
        named_scenario: name of the scenario in the contract, and the scenario.
        drifted: batch_ids of the nights to which the scenario was applied.
    """
    with database.transaction(session.connection):
        batches = database.rows(session.connection, "select_findings_by_batch")
        tests = database.rows(session.connection, "select_tests_by_batch")
        figures = database.rows(session.connection, "select_performance_figures")
        alerts = database.rows(session.connection, "select_every_alert")
        requests = database.rows(session.connection, "select_drift_requests")
    nights = [
        DemoNight(
            batch["batch_id"],
            batch["batch_id"] in drifted,
            [row for row in tests if row["batch_id"] == batch["batch_id"]],
            {
                (row["metric"], row["basis"]): row
                for row in figures
                if row["batch_id"] == batch["batch_id"]
            },
            batch["findings"],
        )
        for batch in batches
    ]
    return DemoRecord(demonstration, *named_scenario, nights, alerts, requests)
