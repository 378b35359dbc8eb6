"""Take in a batch of text as stage `ingest` would: row rules, quarantine, quality alerts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.features.compute import compute_features
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.quality.expectations import derive_expectations
from loan_scoring.ingest.quality.quarantine_shares import RefusedRows, judge_quarantine
from loan_scoring.ingest.quality.unknown_levels import UNKNOWN
from loan_scoring.ingest.row_rules import RejectedRow, RowRules
from loan_scoring.models.baseline import watched_columns

DRIFT, QUARANTINE, QUALITY = "drift", "quarantine", "quality"
WAYS = (DRIFT, QUARANTINE, QUALITY)
"""The ways to an alert: tests of stage `metrics`, rows refused, and expectations on the others."""
BATCH = "batch"
"""The subject of an alert on a whole batch."""


@dataclass(frozen=True)
class TakenBatch:
    """What ingest makes of a batch: accepted loans, and alerts as pairs of column and way.

    `loans` has the monitored columns. `rows` are the places of the accepted rows in the batch. If
    `is_refused`, the batch is not scored and has no drift tests.
    """

    loans: pa.Table
    rows: np.ndarray
    alerts: set[tuple[str, str]]
    is_refused: bool


def take_in(contract: Contract, text: pa.Table, kinds: Mapping[str, str]) -> TakenBatch:
    """Return what ingest would make of a batch of text after nights without a refused row.

    Args:
        contract: contract of the portfolio.
        text: rows of the batch as text, with the columns of the file.
        kinds: columns of `text` whose texts were made of typed values.
    """
    text = text.combine_chunks()
    block = Block(text, np.arange(text.num_rows), [], kinds=kinds)
    accepted, rejected = RowRules(contract).apply(block)
    alerts, is_refused = _quarantine_alerts(contract, text, rejected)
    features = contract.derived.features
    loans = compute_features(contract, accepted.drop_columns("line_number"), features)
    if not is_refused:
        alerts |= quality_alerts(contract, loans)
    names = [column.name for column in contract.monitored]
    rows = accepted.column("line_number").to_numpy()
    return TakenBatch(watched_columns(loans.select(names)), rows, alerts, is_refused)


def _quarantine_alerts(
    contract: Contract, text: pa.Table, rejected: list[RejectedRow]
) -> tuple[set[tuple[str, str]], bool]:
    """Return the alerts on refused rows, and whether there are so many that ingest stops."""
    if not rejected:
        return set(), False
    rows, policy = text.num_rows, contract.ingest.quarantine
    counted = Counter(rule for each in rejected for rule in each.rules)
    levels = {}
    for rule, count in counted.items():
        kind, _, name = rule.partition(":")
        if kind == UNKNOWN and count > policy.few_rows:
            texts = text.column(contract.by_name[name].sources[0])
            places = [each.line_number for each in rejected if rule in each.rules]
            levels[name] = Counter(map(str.strip, texts.take(pa.array(places)).to_pylist()))
    nights = [RefusedRows(rows, 0, {})] * policy.nights
    batch = RefusedRows(rows, len(rejected), counted)
    failed = [
        each.expectation
        for each in judge_quarantine(contract, batch, nights, levels)
        if not each.is_success
    ]
    operands = {each.name: (each.numerator, each.denominator) for each in contract.ratios}
    alerts = set()
    for each in failed:
        rule = each.rule.rpartition(":")[2]
        names = [each.column or BATCH, *operands.get(rule, ())]
        alerts |= {(name, QUARANTINE) for name in names}
    return alerts, any(each.severity == "critical" for each in failed)


def quality_alerts(contract: Contract, loans: pa.Table) -> set[tuple[str, str]]:
    """Return the alerts of the contract's expectations on the accepted rows of a batch.

    These are the shares of nulls and the levels of open columns. The other expectations on columns
    hold for every row that the row rules accept.
    """
    rows, alerts = loans.num_rows, set()
    for each in derive_expectations(contract, rows, []):
        if each.rule not in ("null_share", "open_levels") or each.column is None:
            continue
        values = loans.column(each.column)
        if each.rule == "null_share":
            is_met = 1 - values.null_count / rows >= each.limits["mostly"]
        else:
            known = pa.array(each.limits["value_set"], values.type)
            is_met = pc.all(pc.is_in(values.drop_null(), value_set=known)).as_py() is not False
        alerts |= set() if is_met else {(each.column, QUALITY)}
    return alerts
