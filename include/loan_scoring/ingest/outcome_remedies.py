"""Say what to do about outcomes that broke a rule, with a row of the file as an example."""

from loan_scoring.contract import Contract
from loan_scoring.ingest.outcome_landing import ImpossibleRow, ImpossibleRows
from loan_scoring.ingest.outcome_rows import NO_AMOUNT, NO_DATE

EARLY = "outcome_before_application"
FUTURE = "outcome_in_future"


def remedy(contract: Contract, rule: str, found: ImpossibleRows) -> str:
    """Return what a person can do about the rows that broke a rule, such as `RULE:COLUMN`."""
    kind = rule.partition(":")[0]
    sample = found.samples.get(rule)
    shown = f"{example(kind, sample)}; " if sample else ""
    return shown + _remedies(contract, sample).get(kind, "correct the file")


def example(kind: str, row: ImpossibleRow) -> str:
    """Return a phrase that names a row, with what is wrong about its date if the rule says so."""
    key = ", whose key cannot be read" if row.loan_id is None else ""
    shown = f"such as line {row.line_number:,}{key}"
    if kind == EARLY:
        return f"{shown}: its date is before its batch of {row.batch_id}"
    return f"{shown}: its date is to come" if kind == FUTURE else shown


def _remedies(contract: Contract, sample: ImpossibleRow | None) -> dict[str, str]:
    target, declared = contract.target, contract.outcomes
    batch_id = sample.batch_id if sample else None
    remedies = {
        "unknown_loan": "ingest the batches of these loans first",
        EARLY: "correct the dates in the file; or, if the batch has the wrong date: loan-scoring "
        f"withdraw --portfolio {contract.portfolio} --batch {batch_id} --comment TEXT, and ingest "
        "its file under the right date",
        FUTURE: "correct the dates in the file, or declare under outcomes.observed_on how the "
        "file writes them",
        "unknown_level": f"target.positive is {target.positive}, target.negative "
        f"{target.negative}, target.open {target.open}: list the states that are no outcome yet "
        "under target.open, or correct the contract or the file",
    }
    for rule, field in ((NO_DATE, declared.observed_on), (NO_AMOUNT, declared.recovered)):
        kind, _, name = rule.partition(":")
        how = field.model_dump(exclude_unset=True) if field else "not declared"
        remedies[kind] = (
            f"outcomes.{name} is {how}: declare how the file writes it, or correct the file"
        )
    return remedies
