"""Judge how many rows of a landed batch broke each row rule, against the rule's usual share."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.counted import described
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session
from loan_scoring.ingest.quality.expectations import QUARANTINED, Expectation
from loan_scoring.ingest.quality.great_expectations import ExpectationVerdict
from loan_scoring.ingest.quality.unknown_levels import UNKNOWN, count_unknown_levels
from loan_scoring.statistics.usual_share import CHANCE, usual_share

MOST_NAMED = 3
"""Maximum number of levels, and of rules, that a message names."""


@dataclass(frozen=True)
class RefusedRows:
    """The rows of a file or of an earlier night that went to quarantine.

    `rules` has the number of rows that broke each rule. A row may break several rules.
    """

    received: int
    quarantined: int
    rules: Mapping[str, int]

    def count(self, rule: str) -> int:
        """Return the number of rows that broke a rule, or of all rows if the rule is empty."""
        return self.rules.get(rule, 0) if rule else self.quarantined


def check_quarantine(
    session: Session, batch: database.Row, batch_id: str
) -> list[ExpectationVerdict]:
    """Return verdicts on the quarantined rows of a landed revision. Without such rows: none.

    Args:
        session: database session of the role that ingests.
        batch: the landed revision, as a row of table `batches`.
        batch_id: batch of the revision.
    """
    if not batch["quarantined"]:
        return []
    contract, connection = session.contract, session.connection
    policy = contract.ingest.quarantine
    key = {"batch_id": batch_id, "revision": batch["revision"]}
    broken = database.rows(connection, "select_broken_rules", **key)
    rules = {row["rule"]: row["rows"] for row in broken}
    nights = []
    if batch_id != HISTORY:
        nights = database.rows(
            connection, "select_last_quarantine", batch_id=batch_id, nights=policy.nights
        )
    many = [
        contract.by_name[rule.removeprefix(f"{UNKNOWN}:")]
        for rule, count in rules.items()
        if rule.startswith(f"{UNKNOWN}:") and count > policy.few_rows
    ]
    return judge_quarantine(
        contract,
        RefusedRows(batch["received"], batch["quarantined"], rules),
        [RefusedRows(**night) for night in nights],
        count_unknown_levels(session, batch_id, batch, many),
    )


def judge_quarantine(
    contract: Contract,
    batch: RefusedRows,
    nights: Sequence[RefusedRows],
    levels: Mapping[str, Counter[str]],
) -> list[ExpectationVerdict]:
    """Return a verdict on each broken rule, and on all quarantined rows together.

    All rows together are compared with their usual share only if no rule explains them, because
    otherwise two alerts would report one fault.

    Args:
        contract: contract of the portfolio.
        batch: the landed rows.
        nights: earlier nights, each as its file landed.
        levels: for each closed column, how often each unknown level occurs.
    """
    limit = contract.ingest.max_quarantined_share
    share = batch.quarantined / batch.received
    critical = Expectation(
        f"{QUARANTINED}_critical",
        "critical",
        QUARANTINED,
        {"rows": batch.received, "max_share": limit},
    )
    most = _most(batch)
    found = [ExpectationVerdict(critical, share <= limit, share, batch.quarantined, most)]
    for rule in batch.rules:
        kind, _, column = rule.partition(":")
        unknown = levels.get(column, Counter()) if kind == UNKNOWN else Counter()
        found.append(_judge(contract, batch, nights, rule, unknown))
    if all(each.is_success for each in found[1:]):
        found.append(_judge(contract, batch, nights, "", Counter()))
    return found


def _judge(
    contract: Contract,
    batch: RefusedRows,
    nights: Sequence[RefusedRows],
    rule: str,
    unknown: Counter[str],
) -> ExpectationVerdict:
    """Return the verdict on one rule, or on all rules together if `rule` is empty."""
    policy = contract.ingest.quarantine
    count, rows = batch.count(rule), batch.received
    share, usual, p_value = count / rows, None, None
    is_unusual = count > policy.few_rows
    if len(nights) < policy.min_nights:
        is_unusual &= share > policy.first_nights_share
    else:
        known = usual_share(
            np.array([night.count(rule) for night in nights], dtype=np.float64),
            np.array([night.received for night in nights], dtype=np.float64),
        )
        usual, p_value = known.mean, known.tail(count, rows)
        is_unusual &= share - usual > policy.min_share and p_value < CHANCE
    is_level = any(each > policy.few_rows for each in unknown.values())
    limits = {
        "rows": rows,
        "few_rows": policy.few_rows,
        "min_share": policy.min_share,
        "first_nights_share": policy.first_nights_share,
        "usual_share": usual,
        "nights": len(nights),
        "p_value": p_value,
    }
    kind, _, column = rule.partition(":")
    name = f"{QUARANTINED}:{kind}" if kind else QUARANTINED
    text = _named(unknown) if rule else _most(batch)
    expectation = Expectation(name, "warning", QUARANTINED, limits, column or None)
    return ExpectationVerdict(expectation, not (is_unusual or is_level), share, count, text)


def _most(batch: RefusedRows) -> str:
    return ", ".join(f"{rule} {rows:,}" for rule, rows in [*batch.rules.items()][:MOST_NAMED])


def _named(levels: Counter[str]) -> str | None:
    most = levels.most_common(MOST_NAMED)
    named = ", ".join(
        f"a text of {described(level)} in {rows:,} {'row' if rows == 1 else 'rows'}"
        for level, rows in most
    )
    others = len(levels) - len(most)
    return f"{named}, and {others:,} more" if others else named or None


def quarantine_message(contract: Contract, verdict: ExpectationVerdict) -> str:
    """Return a sentence that names rule, column, levels, share and usual share."""
    expectation, limits = verdict.expectation, verdict.expectation.limits
    rows = f"{verdict.unexpected_count or 0:,} of {limits['rows']:,} rows"
    if expectation.severity == "critical":
        is_known = (verdict.observed_text or "").startswith("known_key")
        hint = (
            "; these loans are already applications of other batches, which a warning above "
            "names; if another batch is the wrong one: loan-scoring withdraw --portfolio "
            f"{contract.portfolio} --batch YYYY-MM-DD --comment TEXT, then ingest this one again"
            if is_known
            else ""
        )
        return (
            f"{rows} broke a rule ({verdict.observed_text}); "
            f"the contract allows {limits['max_share']:.0%}{hint}"
        )
    column = contract.by_name.get(expectation.column or "")
    place = f"{column.label} ({column.name})" if column else "The batch"
    rule = expectation.rule.removeprefix(QUARANTINED).removeprefix(":")
    by = f"the rule {rule}" if rule else "all rules together"
    usual = limits["usual_share"]
    if usual is None:
        normal = "no usual share is known yet"
    elif usual < 1e-5:
        normal = "usual are next to none"
    else:
        normal = f"usual are {_percent(usual)}"
    named = f": {verdict.observed_text}" if verdict.observed_text else ""
    share = _percent(verdict.observed or 0.0)
    return f"{place}: {by} put {rows} ({share}) into quarantine, {normal}{named}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.1 else f"{share:.0%}"
