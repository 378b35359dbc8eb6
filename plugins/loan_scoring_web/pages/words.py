"""Name levels, tests, shares and causes in the same words on all pages.

One scale of severity holds from a test to its column to its alert: stable, warning, critical.
Tables store the levels of tests as stable, attention and drifted, which are the same three.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEVELS = ("stable", "attention", "drifted")
"""Levels as tables store them, in ascending order."""
SEVERITIES = {"stable": "stable", "attention": "warning", "drifted": "critical"}
"""The word on pages for each stored level. An alert has the same words."""

TESTS = {
    "auc_drop": ("order", "order of the default probability"),
    "calendar": ("dates", "values out of time"),
    "chi_square": ("mix", "mix of levels (chi-square)"),
    "default_rate": ("rate", "default rate"),
    "domain_classifier": ("joint", "classifier of all inputs"),
    "jensen_shannon": ("mix", "Jensen-Shannon distance"),
    "ks": ("shape", "shape (Kolmogorov-Smirnov)"),
    "null_share": ("missing", "missing values"),
    "psi": ("PSI", "PSI, corrected"),
    "rank_sum": ("shift", "shift (rank sum)"),
    "rare_levels": ("rare", "rare levels"),
    "reconstruction": ("joint", "correlations of all inputs"),
    "unseen_levels": ("new", "levels unseen at training"),
    "wasserstein": ("shape", "Wasserstein distance"),
}
"""The word of a table's cell, and the name in a sentence, of each drift test."""


def severity(level: str) -> str:
    """Return the word for a stored level.

    >>> severity("attention"), severity("drifted")
    ('warning', 'critical')
    """
    return SEVERITIES.get(level, level)


def test_name(test: str) -> str:
    """Return the name of a drift test in a sentence."""
    return TESTS[test][1] if test in TESTS else test.replace("_", " ")


def doer(name: str | None) -> str:
    """Return who did something. What no person did, the policy of the contract did.

    >>> doer("policy:auto"), doer("airflow:anna")
    ('the policy, without a person', 'airflow:anna')
    """
    return "the policy, without a person" if name == "policy:auto" else name or ""


@dataclass(frozen=True)
class Shares:
    """How many of a batch's loans, with both denominators.

    `applications` are all loans of the scoring run, and `scored` those with a probability.
    """

    loans: int
    applications: int
    scored: int

    @property
    def of_all(self) -> float | None:
        """The share of all applications. None without any."""
        return self.loans / self.applications if self.applications else None

    @property
    def of_scored(self) -> float | None:
        """The share of the scored loans. None without any."""
        return self.loans / self.scored if self.scored else None

    @property
    def text(self) -> str:
        """Both shares with their denominators.

        >>> Shares(672, 1000, 906).text
        '67.2 % of all, 74.2 % of scored'
        """
        if self.of_all is None or self.of_scored is None:
            return "\N{EN DASH}"
        return f"{100 * self.of_all:.1f} % of all, {100 * self.of_scored:.1f} % of scored"


def shares_of_night(night: Mapping[str, Any]) -> dict[str, Shares]:
    """Return the shares of each decision of the policy. Empty for a night without scores.

    Args:
        night: row of the query `select_nights`.
    """
    decisions = night["decisions"]
    if night["scoring_run_id"] is None or not decisions:
        return {}
    return {
        name: Shares(decisions.get(name, 0), night["applications"], night["scored"])
        for name in ("approve", "review", "decline", "refer")
    }
