"""Generate labelled loans from the columns and margins of a contract.

Generated loans are used if there is no labelled file. The contract's margins describe the
distribution of each column. The columns also predict the target. In every other respect generated
loans do not resemble real loans. Columns are independent of each other, except that the
two operands of a ratio are correlated, and a ratio follows from its operands.
"""

from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from loan_scoring.contract import KEY, Column, Contract

Floats = NDArray[np.float64]

QUANTILE_SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
OPERAND_CORRELATION = 0.8
RATIO_DECIMALS = 8
LEARNABLE_AUC = 0.81
"""Expected AUC on generated loans of a model that knows the true default probability of each loan.

Loans to which an exclusion applies do not count.
"""
MAX_GAIN = 20.0
GAIN_ROWS = 10_000


def generate_loans(contract: Contract, rows: int, seed: int) -> pa.Table:
    """Return a table of labelled loans with the contract's columns, all as strings.

    A numeric column is drawn from the piecewise-linear distribution through its margin's quantiles.
    A category is drawn with the shares of its margin. Nulls are written with the first null token
    of the column. Two calls with equal arguments return equal tables.

    The target is drawn from a logistic model. The effects in the margins are the relative weights
    of the columns. All weights are multiplied by one factor, the gain. The gain is chosen so that
    the true default probabilities reach LEARNABLE_AUC, but is at most MAX_GAIN. The intercept is
    chosen so that the mean default probability equals the contract's generated_default_rate.
    """
    rng = np.random.default_rng(seed)
    ranks = _ranks(contract, rows, rng)
    computed = {ratio.column for ratio in contract.ratios}
    numbers: dict[str, Floats] = {}
    levels: dict[str, NDArray[np.object_]] = {}
    for column in contract.inputs:
        is_null = rng.random(rows) < (column.margin.nulls if column.margin else 0.0)
        if not column.is_numeric:
            levels[column.name] = np.where(is_null, None, _levels(column, ranks[column.name]))  # type: ignore[call-overload]
        elif column.name not in computed:
            numbers[column.name] = np.where(is_null, np.nan, _values(column, ranks[column.name]))
    for ratio in contract.ratios:
        _compute(contract, ratio.column, numbers, ranks)
    is_default = rng.random(rows) < _default_probabilities(contract, numbers, levels, rows)
    texts = {}
    for column in contract.columns:
        if column.name == KEY:
            first, *others = [*column.sources, *([KEY] if column.made_from else [])]
            texts[first] = _keys(column, rows)
            texts |= dict.fromkeys(others, pa.array(["1"] * rows, pa.string()))
        elif column.is_numeric:
            texts[column.sources[0]] = _number_texts(column, numbers[column.name])
        else:
            null = column.null_tokens[0] if column.null_tokens else ""
            texts[column.sources[0]] = pa.array(levels[column.name], pa.string()).fill_null(null)
    positive, negative = contract.target.positive[0], contract.target.negative[0]
    texts[contract.target.source] = pa.array(np.where(is_default, positive, negative), pa.string())
    return pa.table(texts)


def _ranks(contract: Contract, rows: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Draw the quantile level of each value, between 0 and 1, by column name.

    The levels of the two operands of a ratio are correlated by a Gaussian copula.
    """
    ranks: dict[str, Floats] = {column.name: rng.random(rows) for column in contract.inputs}
    weight = np.sqrt(OPERAND_CORRELATION)
    for ratio in contract.ratios:
        common = rng.standard_normal(rows)
        for name in (ratio.numerator, ratio.denominator):
            own = norm.ppf(ranks[name])
            ranks[name] = norm.cdf(weight * common + np.sqrt(1 - OPERAND_CORRELATION) * own)
    return ranks


def _values(column: Column, ranks: Floats) -> Floats:
    margin = column.margin
    if margin is None or margin.quantiles is None:
        low, high = column.range or (None, None)
        low = 0.0 if low is None else low
        high = low + 1 if high is None else high
        quantiles = [low + share * (high - low) for share in QUANTILE_SHARES]
    else:
        quantiles = margin.quantiles
    values: Floats = np.interp(ranks, QUANTILE_SHARES, quantiles)
    step = (margin.step if margin else None) or (1.0 if column.type == "integer" else None)
    if step:
        # Count steps from the lowest quantile and not from 0, because values need not be multiples
        # of the step. For example, amounts with a step of 10,000 can all end in 6500.
        values = quantiles[0] + np.round((values - quantiles[0]) / step) * step
    return np.clip(values, quantiles[0], quantiles[-1])


def _levels(column: Column, ranks: Floats) -> NDArray[np.object_]:
    shares = column.margin.shares if column.margin else None
    shares = shares or dict.fromkeys(column.levels or ["other"], 1.0)
    edges = np.cumsum(list(shares.values())) / sum(shares.values())
    places = np.minimum(np.searchsorted(edges, ranks, side="right"), len(shares) - 1)
    return np.array(list(shares), object)[places]


def _compute(
    contract: Contract, name: str, numbers: dict[str, Floats], ranks: dict[str, Floats]
) -> None:
    """Compute the column of a ratio and write the values into `numbers`.

    In rows where the ratio would be outside the column's range, the denominator is first replaced
    by the value at the numerator's quantile level.
    """
    ratio = next(ratio for ratio in contract.ratios if ratio.column == name)
    column = contract.by_name[name]
    low, high = column.range or (None, None)

    def quotient() -> Floats:
        denominator = numbers[ratio.denominator]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = ratio.scale * numbers[ratio.numerator] / denominator
        return np.where(denominator == 0, np.nan, values)

    values = quotient()
    is_out = (values < (-np.inf if low is None else low)) | (
        values > (np.inf if high is None else high)
    )
    same = _values(contract.by_name[ratio.denominator], ranks[ratio.numerator])
    numbers[ratio.denominator] = np.where(is_out, same, numbers[ratio.denominator])
    numbers[name] = np.round(quotient(), RATIO_DECIMALS)


def _default_probabilities(
    contract: Contract,
    numbers: dict[str, Floats],
    levels: dict[str, NDArray[np.object_]],
    rows: int,
) -> Floats:
    """Return the true default probability of each loan, shape (rows,)."""
    log_odds = np.zeros(rows)
    for column in contract.inputs:
        effect = column.margin.effect if column.margin else 0.0
        if isinstance(effect, dict):
            by_level = [effect.get(level, 0.0) for level in levels[column.name]]
            log_odds += np.array(by_level, np.float64)
        elif effect and column.is_numeric:
            log_odds += effect * _standardised(numbers[column.name])
    rate = contract.replay.generated_default_rate
    is_scorable = np.ones(rows, bool)
    for exclusion in contract.exclusions:
        if exclusion.column in levels:
            values = levels[exclusion.column]
            is_scorable &= values != (None if exclusion.is_null else exclusion.equals)
        elif exclusion.is_null and exclusion.column in numbers:
            is_scorable &= ~np.isnan(numbers[exclusion.column])
    first, is_first_scorable = log_odds[:GAIN_ROWS], is_scorable[:GAIN_ROWS]
    low, high = 0.0, MAX_GAIN
    for _ in range(20):
        gain = (low + high) / 2
        probabilities = expit(gain * first + _intercept(gain * first, rate))
        if _expected_auc(probabilities[is_first_scorable]) < LEARNABLE_AUC:
            low = gain
        else:
            high = gain
    result: Floats = expit(high * log_odds + _intercept(high * log_odds, rate))
    return result


def _expected_auc(probabilities: Floats) -> float:
    """Return the expected AUC of default probabilities if these probabilities are true."""
    ascending = np.sort(probabilities)
    negatives = np.cumsum(1 - ascending)
    pairs = ascending.sum() * negatives[-1]
    return float((ascending * (negatives - (1 - ascending) / 2)).sum() / pairs) if pairs else 0.5


def _standardised(values: Floats) -> Floats:
    """Return the standardised values: value minus mean, in standard deviations. Nulls become 0.

    Values below the 5 % quantile or above the 95 % quantile are first clipped to that quantile,
    because otherwise a few huge incomes would dominate the default probability.
    """
    if np.isnan(values).all():
        return np.zeros(len(values))
    low, high = np.nanquantile(values, [0.05, 0.95])
    inner = np.clip(values, low, high)
    spread = np.nanstd(inner)
    if spread == 0:
        return np.zeros(len(values))
    standardised: Floats = np.nan_to_num((inner - np.nanmean(inner)) / spread)
    return standardised


def _intercept(log_odds: Floats, rate: float) -> float:
    """Return the intercept at which the mean probability equals `rate`, found by bisection."""
    low, high = -50.0 - float(log_odds.max()), 50.0 - float(log_odds.min())
    for _ in range(50):
        middle = (low + high) / 2
        if expit(log_odds + middle).mean() < rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _keys(column: Column, rows: int) -> pa.Array:
    if column.type == "uuid":
        return pa.array([str(UUID(int=number)) for number in range(1, rows + 1)])
    if column.type == "text":
        return pa.array([f"L{number:09d}" for number in range(1, rows + 1)])
    first = int((column.range and column.range[0]) or 1)
    return pa.array(np.arange(first, first + rows)).cast(pa.string())


def _number_texts(column: Column, values: Floats) -> pa.Array:
    nulls = np.isnan(values)
    filled = np.where(nulls, 0.0, values)
    if (filled == np.round(filled)).all():
        texts = pa.array(filled.astype(np.int64)).cast(pa.string())
    else:
        texts = pa.array([repr(value) for value in np.round(filled, RATIO_DECIMALS).tolist()])
    null = column.null_tokens[0] if column.null_tokens else ""
    return pc.if_else(pa.array(nulls), null, texts)
