"""Make sites with invented loans, in which a few columns of the contract tell of default."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from loan_scoring import contract as contracts
from loan_scoring.contract import Contract
from loan_scoring.contract.federated import FederatedPolicy
from loan_scoring.federated.site import Site

NUMBERS = ("loan_amount_usd", "income_usd_per_month", "credit_score", "ltv_percent")
LEVELS = {"loan_type": ["type1", "type2", "type3"], "loan_purpose": ["p1", "p2", "p3", "p4"]}


def contract_with(**policy: object) -> Contract:
    """Return the contract of loan_default with a part `federated` of its own."""
    loaded = contracts.load("loan_default")
    fields = {"min_loans": 20, "rounds": 4, "trees_per_round": 5, "max_depth": 4} | policy
    return loaded.model_copy(update={"federated": FederatedPolicy(**fields)})


def generated_site(contract: Contract, name: str, loans: int, seed: int) -> Site:
    """Return a site with invented loans, a quarter of them held out."""
    random = np.random.default_rng(seed)
    income = np.round(random.lognormal(8.5 + 0.1 * seed, 0.6, loans), 0)
    ltv = np.round(random.normal(70 + 2 * seed, 15, loans), 2)
    frame = {
        "loan_amount_usd": np.round(random.lognormal(12.5, 0.5, loans), -3),
        "income_usd_per_month": np.where(random.random(loans) < 0.06, np.nan, income),
        "credit_score": random.integers(500, 900, loans).astype(float),
        "ltv_percent": ltv,
    }
    columns = {
        column: random.choice(levels, loans).astype(object) for column, levels in LEVELS.items()
    }
    margin = (
        -1.5 + 0.05 * (ltv - 70) - 1.2 * (np.log(income) - 8.5)
        + 0.8 * (columns["loan_type"] == "type2") - 0.003 * (frame["credit_score"] - 700)
    )  # fmt: skip
    y = (random.random(loans) < 1 / (1 + np.exp(-margin))).astype(int)
    X = pd.DataFrame(frame | columns)
    held = random.random(loans) < 0.25
    return Site(name, contract, X[~held], y[~held], X[held], y[held])


def generated_sites(
    contract: Contract, sizes: Sequence[int] = (3000, 2400, 1600, 700)
) -> list[Site]:
    """Return sites of different sizes and somewhat different applicants."""
    return [generated_site(contract, f"site{nth}", size, nth) for nth, size in enumerate(sizes)]


def pooled(sites: Sequence[Site]) -> Site:
    """Return all sites as one, which federated training must never need."""
    return Site(
        "pooled", sites[0].contract,
        pd.concat([each.X for each in sites]), np.concatenate([each.y for each in sites]),
        pd.concat([each.X_test for each in sites]),
        np.concatenate([each.y_test for each in sites]),
    )  # fmt: skip
