"""The benchmark tree finds columns that leak together, and says so in words."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.tree import DecisionTreeClassifier

from loan_scoring.contract import Contract
from loan_scoring.errors import ContractError
from loan_scoring.models.card.judgement import benchmark_section, confusion_section
from loan_scoring.models.card.tree import draw_tree
from loan_scoring.models.training.benchmark_tree import BenchmarkTree
from loan_scoring.models.training.evaluation import confusion
from loan_scoring.models.training.rows import TrainingRows
from loan_scoring.models.training.tree_gate import pass_tree_gate
from loan_scoring.models.training.tree_leaves import describe_tree, pure_leaves

ROWS = 12_000


def contract(**leaks: Any) -> Contract:
    of = {"known": "application"}
    return Contract.model_validate(
        {
            "portfolio": "trees",
            "title": "Trees",
            "owner": "tests",
            "target": {"source": "bad", "positive": ["1"], "negative": ["0"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.4},
            "training": {"leaks": leaks},
            "columns": [
                {**of, "source": "n", "name": "loan_id", "label": "Id", "type": "integer"},
                {**of, "source": "a", "name": "amount", "label": "Amount", "type": "number"},
                {**of, "source": "k", "name": "kind", "label": "Kind", "type": "category",
                 "open_levels": True},
                {**of, "source": "w", "name": "way", "label": "Way", "type": "category",
                 "open_levels": True},
            ],
        }
    )  # fmt: skip


def loans(leaked: float) -> pa.Table:
    """Return loans of which a share with kind `x` and way `p` default, and all others at 15 %."""
    dice = np.random.default_rng(2)
    kind = np.where(dice.random(ROWS) < 0.15, "x", "y")
    way = np.where(dice.random(ROWS) < 0.15, "p", "q")
    together = (kind == "x") & (way == "p")
    y = dice.random(ROWS) < np.where(together, leaked, 0.15)
    amount = dice.normal(size=ROWS)
    return pa.table(
        {
            "loan_id": np.arange(ROWS), "amount": pa.array(amount, mask=amount > 2),
            "kind": pa.array(kind), "way": pa.array(way), "is_default": pa.array(y),
        }
    )  # fmt: skip


def rows(leaked: float) -> TrainingRows:
    return TrainingRows("f" * 64, loans(leaked), [], {"findings": []}, ["amount", "kind", "way"])


def test_columns_that_leak_together_refuse_the_training_in_one_line() -> None:
    with pytest.raises(ContractError) as caught:
        pass_tree_gate(contract(), rows(1.0))
    text = str(caught.value)
    assert "\n" not in text
    assert "Kind x, Way p" in text or "Way p, Kind x" in text
    assert "acknowledged_leaves" in text


def test_leaf_below_the_limits_is_no_finding() -> None:
    assert pass_tree_gate(contract(), rows(0.5)).leaks["leaves"] == []
    (leaf,) = pass_tree_gate(contract(coverage_limit=0.5), rows(1.0)).leaks["leaves"]
    assert (leaf["default_rate"], leaf["is_decisive"]) == (1.0, False)
    (leaf,) = pass_tree_gate(contract(acknowledged_leaves={"way": "why"}), rows(1.0)).leaks[
        "leaves"
    ]
    assert leaf["reason"] == "why"
    assert pass_tree_gate(contract(tree_pure_share=0.9), rows(0.5)).leaks["leaves"] == []


def test_leaf_that_is_pure_by_chance_is_no_finding() -> None:
    """Of 6,000 towns without information some seem to hold defaults only."""
    dice = np.random.default_rng(4)
    towns = np.array([f"town {number}" for number in range(6000)])
    table = loans(0.5).set_column(2, "kind", pa.array(dice.choice(towns, ROWS)))
    noise = TrainingRows("f" * 64, table, [], {"findings": []}, ["amount", "kind"])
    assert pass_tree_gate(contract(min_level_loans=5), noise).leaks["leaves"] == []


def test_column_of_the_leaf_is_dropped_if_the_contract_says_so() -> None:
    found = pass_tree_gate(contract(action="drop"), rows(1.0))
    (dropped,) = found.leaks["dropped_for_leaves"]
    assert dropped in ("kind", "way")
    assert set(found.features) == {"amount", "kind", "way"} - {dropped}
    assert pass_tree_gate(contract(action="drop"), found) is found  # as a later task reads them


def frame(table: pa.Table) -> pd.DataFrame:
    X = table.select(["amount", "kind", "way"]).to_pandas()
    return X.astype({"kind": object, "way": object})


def test_tree_is_scikit_learns_on_the_same_columns() -> None:
    table = loans(0.6)
    X, y = frame(table), table.column("is_default").to_numpy().astype(int)
    tree = BenchmarkTree(contract(), X, y)
    plain = pd.DataFrame({"a": X["amount"], "k": X["kind"] == "x", "w": X["way"] == "p"})
    theirs = DecisionTreeClassifier(max_depth=5, min_samples_leaf=30, random_state=20260105)
    theirs.fit(plain.to_numpy(np.float32), y)
    expected = theirs.predict_proba(plain.to_numpy(np.float32))[:, 1]
    assert tree.predict(X) == pytest.approx(expected)
    assert sum(n.loans for n in tree.nodes if n.is_leaf) == ROWS
    assert sum(n.defaults for n in tree.nodes if n.is_leaf) == y.sum()
    new = X.assign(kind="never seen", way=None)
    assert np.isfinite(tree.predict(new)).all()


def test_tree_and_its_leaves_stand_in_the_card() -> None:
    table = loans(1.0)
    X, y = frame(table), table.column("is_default").to_numpy().astype(int)
    of = contract(acknowledged_leaves={"way": "asked for by the sales desk"})
    tree = BenchmarkTree(of, X, y)
    found = describe_tree(of, tree, X, y)
    assert len(pure_leaves(tree, of.training.leaks, X, y)) == len(found["leaves"]) == 1
    row: Any = {"evaluation": {"benchmark": found}, "metrics": {"auc": 0.8}, "leaks": {}}
    text = str(benchmark_section(of, row))
    assert f"AUC is {found['auc']:.4f}" in text
    assert "acknowledged: asked for by the sales desk" in text
    assert b"<svg" in draw_tree(found["nodes"])
    assert benchmark_section(of, {"evaluation": None}) == []  # a version without a tree


def test_confusion_matrix_counts_each_loan_once() -> None:
    y, p = np.array([0, 1, 1, 0, 1]), np.array([0.1, 0.1, 0.4, 0.5, 0.9])
    found = confusion(y, p, 0.4, "decline")
    assert (found["defaulted_above"], found["paid_above"]) == (2, 1)
    assert (found["defaulted_below"], found["paid_below"]) == (1, 1)
    (section,) = confusion_section({"evaluation": {"confusion": [found]}})
    last = section.blocks[-1]
    assert last.rows[-1] == ["all", "2 (40.0%)", "3 (60.0%)", "5 (100.0%)", "60.0%"]  # type: ignore[union-attr]
    assert confusion_section({"evaluation": None}) == []
