"""Compare the federated model with each site alone and with all loans pooled."""

from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.contract.federated import FederatedPolicy
from loan_scoring.federated.site import Question, Site, cut_site, log_odds, policy_of
from loan_scoring.models.card.federated import (
    auc_cell,
    cost_text,
    left_out_lines,
    privacy_text,
)
from loan_scoring.models.training.fit import TrainingParts
from loan_scoring.statistics.auc import delong
from loan_scoring.statistics.fairness import Z95

NAMES = ("alone", "federated", "pooled")


def compare_pooled(
    contract: Contract, table: pa.Table, parts: TrainingParts, result: dict[str, Any]
) -> dict[str, Any]:
    """Return the comparison in which one database holds the loans of all sites.

    All models have the scheme and the parameters of the run. Each is measured on the hold-out of
    each site and on that of all.

    Args:
        contract: contract with `federated.sites`.
        table: rows of the training.
        parts: the same rows, split.
        result: result of the run.
    """
    contract = under_run(contract, result)
    sites = policy_of(contract).sites
    assert sites is not None  # noqa: S101 - the caller has checked it
    values = table.column(sites.column).to_pandas().to_numpy()
    names = [each["site"] for each in result["sites"]]
    own = [cut_site(contract, parts, values == name, name) for name in names]
    everyone = cut_site(contract, parts, np.isin(values, names), "all sites")
    policy = policy_of(contract)
    question = Question(
        "evaluate",
        result["scheme"],
        {
            "algorithm": result["algorithm"], "trees": policy.trees_per_round,
            "rounds": policy.rounds, "learning_rate": policy.learning_rate,
            "max_depth": policy.max_depth,
        },
    )  # fmt: skip
    shared = {"federated": result["model"], "pooled": everyone.alone(question)}
    rows, alone = [], [each.alone(question) for each in own]
    for site, model in zip(own, alone, strict=True):
        rows.append(_row(site, result, {"alone": model} | shared))
    overall = _row(everyone, result, shared)
    found = [_area(everyone, result, model)["auc"] for model in alone]
    overall["alone"] = {"auc": float(np.mean(found))} if found else None
    return {"sites": rows, "overall": overall, "is_pooled": True}


def compare_told(result: dict[str, Any]) -> dict[str, Any]:
    """Return the comparison in which no database holds all loans: what the sites told of it."""
    rows: list[dict[str, Any]] = []
    for each in result["sites"]:
        row = {"site": each["site"], "training_loans": each["training_loans"],
               "loans": each["loans"]}  # fmt: skip
        for name in ("alone", "federated"):
            row[name] = _interval(**each[name]) if name in each else None
        rows.append(row)
    told = [each for each in rows if each["federated"]]
    overall: dict[str, Any] = {"site": "mean of sites", "loans": sum(e["loans"] for e in told)}
    for name in ("alone", "federated"):
        overall[name] = {"auc": float(np.mean([e[name]["auc"] for e in told]))} if told else None
    return {"sites": rows, "overall": overall, "is_pooled": False}


def under_run(contract: Contract, result: dict[str, Any]) -> Contract:
    """Return the contract with the policy of a run."""
    return contract.model_copy(update={"federated": FederatedPolicy(**result["policy"])})


def _row(site: Site, result: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    least = min(int(site.y_test.sum()), int(len(site.y_test) - site.y_test.sum()))
    enough = least >= policy_of(site.contract).min_loans
    found = {name: _area(site, result, model) if enough else None for name, model in models.items()}
    return {"site": site.name, "training_loans": len(site.y), "loans": len(site.y_test)} | found


def _area(site: Site, result: dict[str, Any], model: dict[str, Any]) -> dict[str, float]:
    area, error = delong(site.y_test, log_odds(model, result["scheme"], site.X_test))
    return _interval(area, error)


def _interval(auc: float, error: float) -> dict[str, float]:
    return {"auc": auc, "lower": auc - Z95 * error, "upper": min(auc + Z95 * error, 1.0)}


def text_of(result: dict[str, Any], comparison: dict[str, Any]) -> str:
    """Return the comparison as lines for a terminal, which are also a table in Markdown."""
    names = [name for name in NAMES if name in comparison["overall"]]
    lines = [
        "| site | training loans | " + " | ".join(f"{name} AUC" for name in names) + " |",
        "| --- | ---: |" + " ---: |" * len(names),
    ]
    for row in (*comparison["sites"], comparison["overall"]):
        cells = [auc_cell(row.get(name)) for name in names]
        lines.append(
            f"| {row['site']} | {row.get('training_loans', result['loans']):,} | "
            + " | ".join(cells) + " |"
        )  # fmt: skip
    lines += ["", privacy_text(result), *left_out_lines(result), cost_text(result)]
    return "\n".join(lines)
