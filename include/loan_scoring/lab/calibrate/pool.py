"""Prepare the loans from which a calibration draws baselines and batches: as text, and scored."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.errors import SourceError
from loan_scoring.features.compute import compute_features
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.files.locations import is_synthetic, location_label
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.outcome_rows import read_states
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.lab.source import resolve_source
from loan_scoring.lab.synthetic import generate_loans
from loan_scoring.models.baseline import PREDICTIONS, watched_columns
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.numbers import as_floats
from loan_scoring.models.scorer import Scorer, exclusion_reasons
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.training.persona_names import name_clusters, tell_clusters
from loan_scoring.models.training.personas import describe_personas, fit_personas
from loan_scoring.statistics.calibration_curve import CalibrationCurve, fit_calibration_curve

MODEL_SHARE = 1 / 3
"""Share of the loans on which the model is fitted. These loans are in no baseline and no batch."""
GENERATED_ROWS = 100_000
PERSONAS = 3


@dataclass(frozen=True)
class LoanPool:
    """Loans of one population, as text and as monitored columns with the predictions of a model.

    `text` has the columns of the file, and `table` the monitored columns and the predictions, both
    with the same rows. `outcome` is 1 for default and 0 for paid, shape (rows,). `curve` was fitted
    on loans of the model's part that the model has not seen.
    """

    source: str
    """File, URL or description of the loans. Generated loans begin with `synthetic`."""
    text: pa.Table
    table: pa.Table
    outcome: np.ndarray
    curve: CalibrationCurve
    model_rows: int
    """Number of loans on which model and curve were fitted. These loans are not in `table`."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Columns of `text` whose texts were made of typed values, see `ingest.files.blocks.Block`."""

    @property
    def probability(self) -> np.ndarray:
        """Return the default probability of each loan, nan for a loan that is not scored."""
        return as_floats(self.table.column("default_probability"))


def build_pool(
    contract: Contract,
    source: str | None = None,
    rows: int = GENERATED_ROWS,
    *,
    is_swapped: bool = False,
) -> LoanPool:
    """Read labelled loans, fit a model on a third of the loans, and score the other loans.

    The contract's seed decides which loans the model is fitted on. All scored loans come from one
    population, so any drift that is found between scored loans is a false alarm.

    Args:
        contract: contract of the portfolio.
        source: file or URL of the labelled loans. If None, `resolve_source` searches for a source.
        rows: number of loans to generate if no source is found.
        is_swapped: if True, fit the model on two thirds of the loans and score the remaining third.
            The drift limits were chosen with the two thirds that are usually scored, so this tests
            the limits on loans that did not influence the choice.

    Raises:
        SourceError: `source` or LOAN_SCORING_SOURCE is set and cannot be read.
    """
    loans = read_labelled_loans(contract, source, rows)
    rng = np.random.default_rng(contract.training.seed)
    order = rng.permutation(len(loans.outcome))
    cut = int(len(order) * MODEL_SHARE)
    parts = [np.sort(part) for part in np.split(order, [cut])]
    fitted_on, others = reversed(parts) if is_swapped else parts
    is_held = rng.random(len(fitted_on)) < contract.training.holdout_share
    typed, y = loans.typed, loans.outcome
    learnt, held = (fitted_on[mask] for mask in (~is_held, is_held))
    scorer = _scorer(contract, typed.take(pa.array(learnt)), y[learnt])
    seen = as_floats(scorer.score(typed.take(pa.array(held))).column("default_probability"))
    is_scored = ~np.isnan(seen)
    curve = fit_calibration_curve(y[held][is_scored], seen[is_scored])
    chosen = typed.take(pa.array(others))
    scored = scorer.score(chosen)
    table = watched_columns(chosen.select([column.name for column in contract.monitored]))
    for name in PREDICTIONS:
        table = table.append_column(name, scored.column(name))
    text = loans.text.take(pa.array(others)).combine_chunks()
    return LoanPool(
        loans.source, text, table.combine_chunks(), y[others], curve, len(fitted_on), loans.kinds
    )


@dataclass(frozen=True)
class LabelledLoans:
    """The labelled loans of a source that the row rules accept, as text and typed."""

    source: str
    text: pa.Table
    typed: pa.Table
    outcome: np.ndarray
    kinds: Mapping[str, str]


def read_labelled_loans(contract: Contract, source: str | None, rows: int) -> LabelledLoans:
    """Return the labelled loans of a source that the row rules accept.

    If no source is found, loans are generated.

    Args:
        contract: contract of the portfolio.
        source: file or URL of the labelled loans. If None, `resolve_source` searches for a source.
        rows: number of loans to generate if no source is found.

    Raises:
        SourceError: `source` or LOAN_SCORING_SOURCE is set and cannot be read, or the contract
            declares look-ups.
    """
    if contract.lookups:
        raise SourceError(
            f"{contract.portfolio}: look-ups are in the database, and this command reads a file "
            "only; use a portfolio without lookups"
        )
    rules = RowRules(contract)
    location = resolve_source(contract, source)
    if location is None:
        text = generate_loans(contract, rows, contract.training.seed)
        block = Block(text, np.arange(2, text.num_rows + 2), [])
        origin = f"synthetic: {rows:,} loans generated from the contract {contract.portfolio}"
        return _labelled(origin, [_typed(contract, rules, block)], {})
    origin = f"{'synthetic: ' * is_synthetic(location)}{location_label(location)}"
    columns = [*contract.sources, contract.target.source]
    kinds: dict[str, str] = {}
    parts = []
    with open_table(location, columns, file_format=contract.source) as found:
        for block in found:
            kinds |= block.kinds
            parts.append(_typed(contract, rules, block))
    return _labelled(origin, parts, kinds)


def _typed(
    contract: Contract, rules: RowRules, block: Block
) -> tuple[pa.Table, pa.Table, pa.Array]:
    """Return the text, the typed columns and the outcome of the accepted, labelled loans."""
    accepted, _ = rules.apply(block)
    kept = pc.is_in(pa.array(block.line_numbers), value_set=accepted.column("line_number"))
    text = block.table.filter(kept)
    is_default, _ = read_states(contract.target, text.column(contract.target.source))
    known = is_default.is_valid()
    loans = accepted.drop_columns("line_number").filter(known)
    features = compute_features(contract, loans, contract.derived.features)
    sources = [name for name in contract.sources if name in text.column_names]
    return text.select(sources).filter(known), features, is_default.filter(known)


def _labelled(
    origin: str,
    parts: list[tuple[pa.Table, pa.Table, pa.Array]],
    kinds: Mapping[str, str],
) -> LabelledLoans:
    texts, tables, outcomes = zip(*parts, strict=True)
    outcome = np.concatenate([as_floats(each) for each in outcomes]).astype(int)
    return LabelledLoans(origin, pa.concat_tables(texts), pa.concat_tables(tables), outcome, kinds)


def _scorer(contract: Contract, table: pa.Table, outcome: np.ndarray) -> Scorer:
    """Fit a scorer on labelled loans.

    Only one boosting model and few personas are fitted, so that this takes little time.
    """
    is_scorable = exclusion_reasons(contract, table).is_null()
    loans = table.filter(is_scorable)
    y = outcome[is_scorable.to_numpy(zero_copy_only=False)]
    features = [
        column.name
        for column in contract.features
        if len(loans.column(column.name).unique()) > 1
    ]  # fmt: skip
    X = feature_frame(loans, contract, features)
    trial = Trial("hist_gradient_boosting-1", 0, "hist_gradient_boosting", {"max_iter": 60})
    model = fit_pipeline(build_candidate(contract, features, trial), X, y)
    policy = contract.training.model_copy(update={"personas": PERSONAS})
    few = contract.model_copy(update={"training": policy})
    clusters, _ = fit_personas(few, features, X, y)
    told = tell_clusters(contract, X, clusters[-1].labels_, PERSONAS)
    personas = describe_personas(clusters[-1].labels_, y, name_clusters(told), [[]] * PERSONAS)
    names = [person["name"] for person in personas]
    rates = [person["default_rate"] for person in personas]
    return Scorer(contract, model, features, clusters, features, names, rates)
