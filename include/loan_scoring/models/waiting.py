"""Say which model waits to come into use, or why there is none yet, and what to type."""

from dataclasses import dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.cohorts import Cohorts, read_cohorts
from loan_scoring.database.session import Session


@dataclass(frozen=True)
class Waiting:
    """What a portfolio waits for before a model comes into use.

    `version` is the propensity version that waits, or None if no model is fitted. `command` is what
    a person types next.
    """

    version: str | None
    reason: str
    command: str

    @property
    def sentence(self) -> str:
        """The reason and the command in one line."""
        return f"{self.reason}; type: {self.command}"


def waiting_model(session: Session) -> Waiting | None:
    """Return what the portfolio waits for. Return None if a champion is in use and nothing waits.

    Without a champion, the newest model waits, whatever the verdict on it. With a champion, a newer
    model waits if no verdict is recorded, or if nobody answered in time.
    """
    contract = session.contract
    newest = database.row(session.connection, "select_newest_model")
    if newest is None:
        return _without_model(contract, read_cohorts(session))
    version, verdict = newest["model_version"], newest["verdict"]
    if newest["champion"] is not None and (
        newest["champion"] == version or verdict not in (None, "timed_out")
    ):
        return None
    command = promote_command(contract, version, has_failed=verdict == "refused")
    return Waiting(version, _why(newest), command)


def promote_command(contract: Contract, version: str, *, has_failed: bool) -> str:
    """Return the command with which a person puts a pair into use.

    Args:
        contract: contract of the portfolio.
        version: either version of the pair.
        has_failed: whether the pair failed a gate, so that a reason is required.
    """
    command = f"loan-scoring models promote {version} --portfolio {contract.portfolio}"
    return f"{command} --comment REASON" if has_failed else command


def too_few_loans(
    contract: Contract, loans: int, defaults: int, left_out: str | None = None
) -> str | None:
    """Return why no model can be trained on the labelled loans, or None if a model can.

    Args:
        contract: contract with `training.min_loans`.
        loans: number of applications that have a final outcome.
        defaults: number of these that defaulted.
        left_out: sentence on the loans whose outcome is not final, or None.
    """
    needed = contract.training.min_loans
    if loans < needed:
        further = f" ({left_out})" if left_out else ""
        return (
            f"{contract.portfolio} has {loans:,} loans with an outcome{further}, fewer than the "
            f"{needed:,} of training.min_loans: ingest more history, or lower training.min_loans "
            "in the contract"
        )
    if defaults in (0, loans):
        return (
            f"{'all' if defaults else 'none'} of the {loans:,} loans of {contract.portfolio} with "
            "an outcome defaulted: correct target in the contract, or ingest loans of both outcomes"
        )
    return None


def history_command(contract: Contract) -> str:
    """Return the command with which a person ingests the history."""
    return f"loan-scoring ingest --portfolio {contract.portfolio} --batch history --source FILE"


def _without_model(contract: Contract, cohorts: Cohorts) -> Waiting:
    loans, left_out = cohorts.loans, cohorts.left_out_text()
    if loans == 0 and left_out is None:
        return Waiting(None, "no loan has an outcome yet", history_command(contract))
    shortage = too_few_loans(contract, loans, cohorts.defaults, left_out)
    if shortage is not None:
        return Waiting(None, shortage, history_command(contract))
    reason = f"no model is fitted yet on the {loans:,} loans with an outcome"
    return Waiting(None, reason, f"loan-scoring train --portfolio {contract.portfolio}")


def _why(row: dict[str, Any]) -> str:
    version, comment = row["model_version"], f": {row['comment']}" if row["comment"] else ""
    evidence = row["evidence"] or {}
    if row["verdict"] == "refused":
        failed = [gate for gate in evidence.get("gates", []) if not gate["passed"]]
        names = ", ".join(gate["gate"] for gate in failed)
        reasons = " ".join(gate["sentence"] for gate in failed) or evidence.get("outdated", "")
        return f"{version} waits, refused by {names or 'a change of champions'}: {reasons}"
    if row["verdict"] == "rejected":
        return f"{version} waits, rejected by {row['decided_by']}{comment}"
    if row["verdict"] == "timed_out":
        return f"{version} waits, as nobody answered in time"
    if row["verdict"] == "promoted":
        return f"{version} waits, as it was taken out of use"
    return f"{version} waits for a person's decision"
