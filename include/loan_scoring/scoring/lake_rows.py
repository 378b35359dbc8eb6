"""Judge and score Arrow batches of applications from a lake, by the rules of a file.

Pure functions of Arrow tables: Spark calls them on its executors, which need no database.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from loan_scoring.contract import KEY, Contract
from loan_scoring.contract.presence import split_columns_of_file
from loan_scoring.database.types import ARROW_TYPES
from loan_scoring.ingest.files.columns import choose_columns, contract_names
from loan_scoring.ingest.files.parquet_rows import refuse_type, text_block
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.models.reasons import REASONS
from loan_scoring.models.scorer import Scorer

FILE, ROW = "source_file", "source_row"
"""The file of a row, and the number of the row in it, from 0."""
RULES, RAW = "broken_rules", "raw_text"
SCORES = {
    "default_probability": pa.float64(),
    "grade": pa.string(),
    "exclusion_reason": pa.string(),
    "decision": pa.string(),
    "persona": pa.string(),
    "persona_default_rate": pa.float64(),
    **dict.fromkeys(REASONS, pa.string()),
}
"""The columns that a score has, with their Arrow types."""


def stored_columns(
    contract: Contract, where: str, schema: pa.Schema, batch_id: str
) -> dict[str, str]:
    """Return the columns to read: the name in the lake by the name in the contract.

    Args:
        contract: contract of the portfolio.
        where: address of the applications, for error messages.
        schema: schema of the applications.
        batch_id: business date, which decides what may be lacking.

    Raises:
        SourceError: a column is missing, occurs twice, or has values that have no text.
    """
    wanted, optional = split_columns_of_file(contract, batch_id)
    names = contract_names(schema.names, [*wanted, *optional], contract.source)
    header = choose_columns(where, names, wanted, optional)
    asked = [*wanted, *(name for name in optional if name not in header.missing)]
    for name in asked:
        refuse_type(where, name, schema.field(names.index(name)).type)
    return {name: schema.names[names.index(name)] for name in asked}


def judged_schema(contract: Contract) -> pa.Schema:
    """Return the schema of what `LakeRows.judge` returns."""
    key = ARROW_TYPES[contract.key.type]
    places = {FILE: pa.string(), ROW: pa.int64(), KEY: key}
    return pa.schema({**places, **SCORES, RULES: pa.string(), RAW: pa.string()}.items())


@dataclass(frozen=True)
class LakeRows:
    """Row rules and models of a run, which is sent to the executors once.

    `stored` has the names of the columns in the lake, as `stored_columns` returns them.
    """

    contract: Contract
    scorer: Scorer
    stored: dict[str, str]

    def judge_all(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the judged rows of each batch."""
        for batch in batches:
            yield from self.judge(batch).to_batches()

    def judge(self, batch: pa.RecordBatch) -> pa.Table:
        """Return all rows of a batch with their scores, or with the rules that they break.

        Repeated keys are not looked for, because another batch may have the other row.

        Args:
            batch: columns FILE, ROW, and those of `stored`.
        """
        block = text_block(batch, self.stored, np.arange(batch.num_rows))
        rows, rejected = RowRules(self.contract, finds_repeats=False).apply(block)
        # One thread, as in a mini-batch: with several, the last bit of a score can change.
        with threadpool_limits(limits=1):
            scores = self.scorer.score(rows)
        schema = judged_schema(self.contract)
        scored = {
            **self._places(batch, rows.column("line_number").to_pylist()),
            KEY: rows.column(KEY),
            **{name: scores.column(name) for name in SCORES},
            **{name: pa.nulls(rows.num_rows, pa.string()) for name in (RULES, RAW)},
        }
        refused = {
            **self._places(batch, [each.line_number for each in rejected]),
            KEY: pa.array([each.key for each in rejected], schema.field(KEY).type),
            **{name: pa.nulls(len(rejected), type_) for name, type_ in SCORES.items()},
            RULES: pa.array(["; ".join(each.rules) for each in rejected], pa.string()),
            RAW: pa.array([each.raw_text for each in rejected], pa.string()),
        }
        both = [pa.table(each).cast(schema) for each in (scored, refused)]
        return pa.concat_tables(both).combine_chunks()

    def _places(self, batch: pa.RecordBatch, lines: list[int]) -> dict[str, pa.Array]:
        return {name: batch.column(name).take(pa.array(lines, pa.int64())) for name in (FILE, ROW)}
