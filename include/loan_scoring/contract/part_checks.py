"""Check that the parts of a contract fit together."""

from typing import TYPE_CHECKING

from loan_scoring.contract.column_rules import check_key
from loan_scoring.contract.columns import KEY, Column
from loan_scoring.contract.desk import check_desk
from loan_scoring.contract.federated import check_federated
from loan_scoring.contract.mitigation import check_mitigation
from loan_scoring.contract.outcomes import check_outcomes
from loan_scoring.contract.parts import first_repeated
from loan_scoring.contract.protected import check_protected, check_segments
from loan_scoring.contract.reasons import check_reasons
from loan_scoring.contract.scan_form import check_scan_form
from loan_scoring.contract.source_checks import check_sources
from loan_scoring.contract.stage_policies import KEEPS_DIRECTIONS

if TYPE_CHECKING:
    from loan_scoring.contract.contract import Contract


def check_parts(contract: "Contract") -> None:
    """Check the names and the policies of a contract against its columns.

    Raises:
        ValueError: a part does not fit. The message names the field.
    """
    repeated = first_repeated([column.name for column in contract.columns])
    if repeated is not None:
        more = "; several columns are one key as source: [A, B]" * (repeated == KEY)
        raise ValueError(f"columns: name '{repeated}' is declared twice{more}")
    names = {c.name: c for c in contract.columns}
    if KEY not in names:
        raise ValueError(f"columns: no column is named {KEY}; every table needs this key")
    try:
        check_key(names[KEY])
    except ValueError as error:
        raise ValueError(f"columns.{KEY}: {error}") from None
    for column in contract.columns:
        if contract.target.source in column.sources:
            raise ValueError(
                f"columns.{column.name}: this is the target; declare it under target only"
            )
    check_sources(contract.source, contract.columns, contract.target)
    names |= contract.derived.columns
    check_outcomes(contract)
    check_protected(contract)
    check_mitigation(contract)
    check_federated(contract)
    check_segments(contract)
    check_reasons(contract)
    twice = first_repeated([channel.name for channel in contract.notifications])
    if twice is not None:
        raise ValueError(f"notifications: name '{twice}' is declared twice")
    for place, exclusion in enumerate(contract.exclusions):
        column = _need(names, exclusion.column, f"exclusions.{place}.column")
        if column.name in contract.derived.features:
            raise ValueError(
                f"exclusions.{place}.column: {column.name} is a feature; name a column"
            )
        if not column.is_known_at_application:
            raise ValueError(
                f"exclusions.{place}.column: {column.name} is not known at application"
            )
        levels = ["true", "false"] if column.type == "boolean" else column.listed_levels
        if exclusion.equals is not None and exclusion.equals not in levels:
            raise ValueError(
                f"exclusions.{place}.equals: '{exclusion.equals}' is not a level of {column.name}"
            )
    if contract.business is not None:
        amount = _need(names, contract.business.amount, "business.amount")
        if not amount.is_numeric or not amount.is_known_at_application:
            raise ValueError(
                f"business.amount: {amount.name} is not a number that is known at application"
            )
    check_desk(contract)
    check_scan_form(contract)
    totals = contract.ingest.manifest.totals if contract.ingest.manifest else {}
    declared = {column.name: column for column in contract.columns}
    for name in totals:
        if not _need(declared, name, "ingest.manifest.totals").is_numeric:
            raise ValueError(f"ingest.manifest.totals: {name} is not a number")
    for name in contract.training.leaks.acknowledged:
        _need(names, name, "training.leaks.acknowledged")
    for name in contract.training.leaks.acknowledged_leaves:
        _need(names, name, "training.leaks.acknowledged_leaves")
    _check_directions(contract)
    for place, ratio in enumerate(contract.ratios):
        for field in ("column", "numerator", "denominator"):
            _need(declared, getattr(ratio, field), f"ratios.{place}.{field}")
    for name, scenario in contract.replay.scenarios.items():
        if scenario.column is not None:
            _need(declared, scenario.column, f"replay.scenarios.{name}.column")


def _check_directions(contract: "Contract") -> None:
    """Refuse directions of features that no candidate can keep."""
    candidates = contract.training.candidates
    if contract.directions and not {*candidates} & {*KEEPS_DIRECTIONS}:
        raise ValueError(
            f"training.candidates: {' and '.join(candidates)} cannot keep the direction of "
            f"{next(iter(contract.directions))}; add one of {', '.join(KEEPS_DIRECTIONS)}"
        )


def _need(names: dict[str, Column], name: str, place: str) -> Column:
    if name not in names:
        raise ValueError(f"{place}: no column is named '{name}'")
    return names[name]
