"""The fingerprint of a training stays what it was, so that no release refits models by itself."""

import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.models.training.rows import fingerprint_of

VERSION_0_1_0 = "982bbdae4066bdae010f7568713881a55845d1fbce3bb127a1fbcd773901d419"
"""The fingerprint that version 0.1.0 gave to these rows and this contract."""


def test_fingerprint_is_that_of_version_0_1_0() -> None:
    """Fails if a policy gets another default or field: then models are refitted, so say why."""
    known = {"known": "application"}
    contract = Contract.model_validate(
        {
            "portfolio": "tiny",
            "title": "Tiny",
            "owner": "nobody",
            "target": {"source": "bad", "positive": ["1"], "negative": ["0"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.4},
            "columns": [
                {**known, "source": "id", "name": "loan_id", "label": "Id", "type": "integer"},
                {**known, "source": "a", "name": "amount", "label": "Amount", "type": "number"},
                {
                    **known, "source": "k", "name": "kind", "label": "Kind", "type": "category",
                    "open_levels": True,
                },
            ],
        }
    )  # fmt: skip
    table = pa.table(
        {
            "loan_id": pa.array([1, 2, 3]),
            "amount": pa.array([10.5, None, 7.0]),
            "kind": pa.array(["a", "b", None]),
            "is_default": pa.array([True, False, False]),
        }
    )
    assert fingerprint_of(contract, table) == VERSION_0_1_0
