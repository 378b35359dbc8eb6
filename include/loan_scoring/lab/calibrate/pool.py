"""Prepare the typed and scored loans from which a calibration draws baselines and batches."""

from dataclasses import dataclass

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
from loan_scoring.models.baseline import PREDICTIONS
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.scorer import Scorer, exclusion_reasons
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.training.persona_names import name_clusters
from loan_scoring.models.training.personas import describe_personas, fit_personas

MODEL_SHARE = 1 / 3
"""Share of the loans on which the model is fitted. These loans are in no baseline and no batch."""
GENERATED_ROWS = 100_000
PERSONAS = 3
IS_DEFAULT = "is_default"


@dataclass(frozen=True)
class LoanPool:
    """Loans of one population, with the monitored inputs and the predictions of a model."""

    source: str
    """File, URL or description of the loans. Generated loans begin with `synthetic`."""
    table: pa.Table
    model_rows: int
    """Number of loans on which the model was fitted. These loans are not in `table`."""


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
    origin, loans = read_labelled_loans(contract, source, rows)
    order = np.random.default_rng(contract.training.seed).permutation(loans.num_rows)
    cut = int(loans.num_rows * MODEL_SHARE)
    parts = [loans.take(pa.array(np.sort(part))) for part in np.split(order, [cut])]
    fitted_on, others = reversed(parts) if is_swapped else parts
    scored = _scorer(contract, fitted_on).score(others)
    table = others.select([column.name for column in contract.monitored])
    for name in PREDICTIONS:
        table = table.append_column(name, scored.column(name))
    return LoanPool(origin, table.combine_chunks(), fitted_on.num_rows)


def read_labelled_loans(contract: Contract, source: str | None, rows: int) -> tuple[str, pa.Table]:
    """Return a description of the source, and the typed loans that the row rules accept.

    If no source is found, loans are generated. The column IS_DEFAULT contains the outcome.

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
        return origin, _typed(contract, rules, block)
    origin = f"{'synthetic: ' * is_synthetic(location)}{location_label(location)}"
    columns = [*contract.sources, contract.target.source]
    with open_table(location, columns, file_format=contract.source) as found:
        return origin, pa.concat_tables([_typed(contract, rules, block) for block in found])


def _typed(contract: Contract, rules: RowRules, block: Block) -> pa.Table:
    accepted, _ = rules.apply(block)
    labels = block.table.column(contract.target.source)
    kept = pc.is_in(pa.array(block.line_numbers), value_set=accepted.column("line_number"))
    is_default, _ = read_states(contract.target, labels.filter(kept))
    loans = accepted.drop_columns("line_number").append_column(IS_DEFAULT, is_default)
    loans = loans.filter(is_default.is_valid())
    return compute_features(contract, loans, contract.derived.features)


def _scorer(contract: Contract, table: pa.Table) -> Scorer:
    """Fit a scorer on labelled loans.

    Only one boosting model and few personas are fitted, so that this takes little time.
    """
    is_scorable = exclusion_reasons(contract, table).is_null()
    loans = table.filter(is_scorable)
    y = loans.column(IS_DEFAULT).to_numpy().astype(int)
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
    clusters, _ = fit_personas(few, features, X)
    names = name_clusters(clusters, contract, X, {})
    personas = describe_personas(clusters[-1].labels_, y, names)
    rates = [person["default_rate"] for person in personas]
    return Scorer(contract, model, features, clusters, features, names, rates)
