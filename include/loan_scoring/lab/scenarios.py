"""Apply the drift scenarios of a contract to the loans of a night, in string columns."""

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Column, Contract, Scenario, same_text
from loan_scoring.errors import LoanScoringError
from loan_scoring.lab.notation import as_plain, as_written, decimal_of

SIGNIFICANT_DIGITS = 10


def parse_scenarios(texts: Iterable[str]) -> dict[int, list[str]]:
    """Parse strings like `income_shock@4`. Return the names of scenarios by night number.

    The first night is number 1.

    Raises:
        LoanScoringError: a string does not have the form NAME@NIGHT.
    """
    nights: dict[int, list[str]] = {}
    for text in texts:
        match = re.fullmatch(r"(\w+)@([1-9]\d{0,5})", text)
        if match is None:
            raise LoanScoringError(
                f"scenario '{text}': write NAME@NIGHT, nights counted from 1, as in income_shock@4"
            )
        names = nights.setdefault(int(match[2]), [])
        if match[1] not in names:
            names.append(match[1])
    return nights


def check_scenarios(
    contract: Contract, nights: int, scenarios: Mapping[int, Sequence[str]]
) -> None:
    """Check that every scenario is in the contract and that every named night is replayed.

    Raises:
        LoanScoringError: a scenario or a night does not exist, or a scenario changes a column that
            is not known at application.
    """
    known = contract.replay.scenarios
    for night, names in scenarios.items():
        for name in names:
            if name not in known:
                raise LoanScoringError(
                    f"scenario '{name}' is not in the contract of {contract.portfolio}; "
                    f"it has {', '.join(known) or 'none'}"
                )
            if not 1 <= night <= nights:
                raise LoanScoringError(
                    f"scenario {name}@{night}: no such night; "
                    + (f"nights are 1 to {nights}" if nights else "no night is replayed")
                )
            column = known[name].column
            if column and not contract.by_name[column].is_known_at_application:
                raise LoanScoringError(
                    f"scenario '{name}': {column} is unknown at application and stays blank; "
                    "choose another column in the contract"
                )


def apply_scenario(
    table: pa.Table, scenario: Scenario, contract: Contract, rng: np.random.Generator
) -> pa.Table:
    """Return a night's applications after one scenario was applied.

    A scenario without a column changes only outcomes. In this case the applications are returned
    unchanged.
    """
    if scenario.column is None:
        return table
    column = contract.by_name[scenario.column]
    texts = table.column(column.sources[0]).to_pylist()
    is_null = [is_null_text(column, text) for text in texts]
    drifted = list(texts)
    if scenario.kind == "multiply":
        factor = scenario.factor or 1.0
        for row, text in enumerate(texts):
            drifted[row] = text if is_null[row] else _multiplied(text, factor, column)
    else:
        eligible = {
            "move_level": [row for row, text in enumerate(texts) if text == scenario.from_level],
            "blank": [row for row in range(len(texts)) if not is_null[row]],
            "new_level": list(range(len(texts))),
        }[scenario.kind]
        for row in choose_share(eligible, scenario.share, rng):
            drifted[row] = scenario.level or ""
    table = _with_column(table, column.sources[0], drifted)
    changed = [row for row, text in enumerate(texts) if drifted[row] != text]
    return _with_ratios(table, column, changed, contract)


def worsen_outcomes(
    targets: list[str], scenario: Scenario, contract: Contract, rng: np.random.Generator
) -> None:
    """Turn a share of a night's repaid loans into defaults. The list `targets` is modified."""
    paid = {same_text(text) for text in contract.target.negative}
    negative = [row for row, text in enumerate(targets) if same_text(text) in paid]
    for row in choose_share(negative, scenario.share, rng):
        targets[row] = contract.target.positive[0]


def shuffle_outcomes(
    targets: list[str],
    applications: pa.Table,
    scenario: Scenario,
    contract: Contract,
    rng: np.random.Generator,
) -> None:
    """Permute the outcomes of a share of a night's loans. The list `targets` is modified.

    The number of defaults does not change, but a model can no longer predict which of these
    loans default. Excluded loans keep their outcomes. Most excluded loans default, so permuting
    these outcomes too would change the default rate of the scored loans.
    """
    excluded = _excluded(applications, contract)
    rows = choose_share(
        [row for row in range(len(targets)) if row not in excluded], scenario.share, rng
    )
    # choose_share returns the rows in random order, so `drawn` is a permutation of the outcomes.
    drawn = [targets[row] for row in rows]
    for row, text in zip(sorted(rows), drawn, strict=True):
        targets[row] = text


def _excluded(applications: pa.Table, contract: Contract) -> set[int]:
    """Return the row indices of the loans to which an exclusion of the contract applies."""
    found: set[int] = set()
    for exclusion in contract.exclusions:
        column = contract.by_name[exclusion.column]
        texts = applications.column(column.sources[0]).to_pylist()
        if exclusion.is_null:
            found.update(row for row, text in enumerate(texts) if is_null_text(column, text))
        else:
            told = {exclusion.equals}
            if column.type == "boolean":
                told = {*column.texts[exclusion.equals != "true"]}
            found.update(row for row, text in enumerate(texts) if text in told)
    return found


def choose_share(rows: list[int], share: float | None, rng: np.random.Generator) -> list[int]:
    """Draw a share of the rows without replacement, in random order.

    The number of drawn rows is the share of all rows, rounded. If each row were drawn with a
    probability instead, a small night could by chance drift much more or less than a large night.
    """
    count = round(len(rows) * (share or 0.0))
    picked: list[int] = rng.choice(np.array(rows, np.int64), count, replace=False).tolist()
    return picked


def is_null_text(column: Column, text: str) -> bool:
    """Return whether a string stands for a null in a column."""
    return text == "" or text in column.null_tokens


def _multiplied(text: str, factor: float, column: Column) -> str:
    value = decimal_of(column, text)
    if value is None:
        return text
    value *= Decimal(str(factor))
    margin = column.margin
    if margin and margin.step:
        step = Decimal(str(margin.step))
        # Count steps from the lowest quantile and not from 0, because values need not be multiples
        # of the step. For example, amounts with a step of 10,000 can all end in 6500.
        origin = Decimal(str(margin.quantiles[0] if margin.quantiles else 0))
        value = origin + round((value - origin) / step) * step
    elif column.type == "integer":
        value = Decimal(round(value))
    return as_written(column, _like(value, as_plain(column, text)))


def _with_ratios(
    table: pa.Table, column: Column, changed: list[int], contract: Contract
) -> pa.Table:
    """Recompute every ratio of which the column is an operand, in the changed rows.

    A null ratio stays null. A ratio becomes null if an operand is null or the denominator is 0.
    """
    for ratio in contract.ratios:
        if column.name not in (ratio.numerator, ratio.denominator):
            continue
        own, numerator, denominator = (
            contract.by_name[name] for name in (ratio.column, ratio.numerator, ratio.denominator)
        )
        texts = table.column(own.sources[0]).to_pylist()
        numerators = table.column(numerator.sources[0]).to_pylist()
        denominators = table.column(denominator.sources[0]).to_pylist()
        for row in changed:
            if is_null_text(own, texts[row]):
                continue
            top = decimal_of(numerator, numerators[row])
            bottom = decimal_of(denominator, denominators[row])
            if top is None or not bottom:
                texts[row] = ""
            else:
                value = Decimal(str(ratio.scale)) * top / bottom
                texts[row] = as_written(own, _like(value, as_plain(own, texts[row])))
        table = _with_column(table, own.sources[0], texts)
    return table


def _with_column(table: pa.Table, name: str, texts: list[str]) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(texts, pa.string()))


def _like(value: Decimal, text: str) -> str:
    """Format a drifted value, with at least as many decimals as in the string before the drift."""
    digits = max(SIGNIFICANT_DIGITS, value.adjusted() + 1)
    written = format(value.normalize() if value == 0 else +round_to(value, digits), "f")
    whole, _, decimals = written.partition(".")
    before = text.partition(".")[2] if "." in text and "e" not in text.lower() else ""
    decimals = decimals.rstrip("0").ljust(len(before), "0")
    return f"{whole}.{decimals}" if decimals else whole


def round_to(value: Decimal, digits: int) -> Decimal:
    """Return a value rounded to `digits` significant digits."""
    return round(value, digits - 1 - value.adjusted())
