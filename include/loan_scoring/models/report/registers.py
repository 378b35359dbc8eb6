"""Make the registers of the report: risks, persons, incidents, changes, installed software."""

import hashlib
import json
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract, Governance
from loan_scoring.models.card.blocks import Block, Table, Text
from loan_scoring.models.report.sbom import components
from loan_scoring.models.report.words import gap, stated, table, when


def risks(contract: Contract) -> list[Block]:
    """Return the risk register of the contract, the severest risks first."""
    said = contract.governance
    if said is None or not said.risks:
        return [gap(f"the contract's field governance.risks, by {contract.owner}")]
    grades = ("high", "medium", "low")
    rows = [
        [
            each.risk, each.affected, each.likelihood, each.severity, each.measure, each.residual,
            each.owner or contract.owner, each.reviewed_on or "not reviewed",
        ]
        for each in sorted(said.risks, key=lambda each: grades.index(each.severity))
    ]  # fmt: skip
    head = ["risk", "affected", "likelihood", "severity", "measure", "left", "owner", "reviewed on"]
    return [table(head, rows)]


def contact(contract: Contract) -> list[Block]:
    """Return whom to ask, and who is responsible for what."""
    said, owner = contract.governance or Governance(), contract.owner
    rows = [["owner of the portfolio", owner], *([e.role, e.name] for e in said.responsible)]
    if said.provider:
        rows.append(["provider", said.provider])
    return [
        *stated(said.contact, "contact", owner),
        table(["responsible", "who"], rows),
        *([] if said.responsible else [gap(f"governance.responsible, by {owner}")]),
    ]


def incidents(rows: list[database.Row]) -> list[Block]:
    """Return critical alerts, refused batches, withdrawals and rollbacks with their dates."""
    if not rows:
        return [Text("No critical alert, refused batch, withdrawal or rollback is on record.")]
    return [
        table(
            ["when (UTC)", "incident", "of", "by", "state", "what is on record"],
            [
                [
                    when(each["happened_at"]), each["incident"], each["subject"], each["by"],
                    each["state"], each["text"],
                ]
                for each in rows
            ],
        )
    ]  # fmt: skip


def changes(life_cycle: list[database.Row], contracts: list[database.Row]) -> list[Block]:
    """Return fits, verdicts and signatures of all versions, and the versions of the contract."""
    return [
        table(
            ["when (UTC)", "change", "of", "by", "what is on record"],
            [
                [
                    when(each["happened_at"]), each["change"], each["subject"], each["by"],
                    each["text"],
                ]
                for each in life_cycle
            ],
        ),
        Text("Versions of the contract by which batches were read, and what each one changed:"),
        contract_versions(contracts),
    ]  # fmt: skip


def contract_versions(contracts: list[database.Row]) -> Table:
    """Return every contract on record, with its hash and the fields that it changed.

    Args:
        contracts: rows of table `contracts`, the oldest first.
    """
    rows: list[list[Any]] = []
    before: dict[str, Any] | None = None
    for place, each in enumerate(contracts, 1):
        now = each["contract"]
        changed = "the first on record" if before is None else ", ".join(_changed(before, now))
        text = json.dumps(now, sort_keys=True)
        sha256 = hashlib.sha256(text.encode()).hexdigest()[:16]
        rows.append([place, when(each["recorded_at"]), each["batch_id"], sha256, changed])
        before = now
    head = ["version", "since (UTC)", "first batch", "sha256", "changed fields"]
    return table(head, rows, {0})


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the fields that differ between two contracts.

    >>> _changed({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4})
    ['b', 'c']
    """
    missing = object()
    return sorted(
        name
        for name in before.keys() | now.keys()
        if before.get(name, missing) != now.get(name, missing)
    )


def software() -> list[Block]:
    """Return the installed packages with version and licence, as in the bill of materials."""
    found = components()
    rows = [[each["name"], each["version"], _licences(each)] for each in found]
    return [
        Text(
            f"{len(found)} packages are installed where this report was written. "
            "loan-scoring models report VERSION --sbom FILE writes them as CycloneDX."
        ),
        table(["package", "version", "licence"], rows),
    ]


def _licences(component: dict[str, Any]) -> str:
    found = component.get("licenses", [])
    return ", ".join(each.get("expression") or each["license"]["name"] for each in found)
