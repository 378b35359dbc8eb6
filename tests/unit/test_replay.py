"""Replay: reproducible drops, no column known too early, drift only where a scenario is."""

import csv
import logging
import os
from pathlib import Path

import pyarrow as pa
import pytest

from loan_scoring import contract
from loan_scoring.contract import Contract, Source
from loan_scoring.errors import LoanScoringError, SourceError
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.lab.scenarios import parse_scenarios
from loan_scoring.lab.synthetic import generate_loans

Rows = list[dict[str, str]]
SOURCE = os.environ.get("LOAN_SCORING_SOURCE")
"""Read before a fixture unsets it."""


@pytest.fixture(scope="module")
def loans() -> Contract:
    """Return the contract without its URL, so that no test leaves the machine."""
    return contract.load("loan_default").model_copy(update={"source": Source()})


@pytest.fixture(scope="module")
def labelled(loans: Contract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a labelled file of 2,000 loans in another column order, and with CRLF."""
    table = generate_loans(loans, 2000, seed=5)
    path = tmp_path_factory.mktemp("labelled") / "loans.csv"
    with path.open("w", newline="") as file:
        names = sorted(table.column_names)
        writer = csv.DictWriter(file, names, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(reversed(table.to_pylist()))
    return path


@pytest.fixture(autouse=True)
def _no_other_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOAN_SCORING_SOURCE", raising=False)
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))


def cut(loans: Contract, source: Path | None, landing: Path, **arguments: object) -> Replay:
    defaults: dict[str, object] = {"nights": 3, "per_night": 200}
    return replay_loans(
        loans,
        source=str(source) if source else None,
        landing=landing,
        **{**defaults, **arguments},  # type: ignore[arg-type]
    )


def rows(path: Path) -> Rows:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def night(loans: Contract, labelled: Path, landing: Path, *scenarios: str) -> Rows:
    """Return the applications of the second night, with scenarios applied."""
    ordered = {2: list(scenarios)} if scenarios else {}
    result = cut(loans, labelled, landing, scenarios=ordered)
    return rows(result.application_files[result.batch_ids[1]])


def test_history_and_nights_are_disjoint_and_keep_the_text(
    loans: Contract, labelled: Path, tmp_path: Path
) -> None:
    result = cut(loans, labelled, tmp_path)
    original = {row[loans.key.source]: row for row in rows(labelled)}
    assert (result.source, result.is_synthetic) == (str(labelled), False)
    assert result.batch_ids == ["2026-01-05", "2026-01-06", "2026-01-07"]
    assert list(result.application_files) == ["history", *result.batch_ids]
    drops = {name: rows(path) for name, path in result.application_files.items()}
    assert [len(drop) for drop in drops.values()] == [1200, 200, 200, 200]
    assert result.history_rows == 1200
    keys = [int(row[loans.key.source]) for drop in drops.values() for row in drop]
    assert len(set(keys)) == 1800
    for name, drop in drops.items():
        assert [int(r[loans.key.source]) for r in drop] == sorted(
            int(r[loans.key.source]) for r in drop
        )
        for row in drop:
            for column in loans.columns:
                known = name == "history" or column.is_known_at_application
                text = original[row[loans.key.source]][column.source] if known else ""
                assert row[column.source] == text
    assert {loans.target.source}.isdisjoint(drops["2026-01-05"][0])
    assert all(row[loans.target.source] in "01" for row in drops["history"])


def test_outcomes_follow_their_night_by_the_lag(
    loans: Contract, labelled: Path, tmp_path: Path
) -> None:
    result = cut(loans, labelled, tmp_path)
    key, target = loans.key.source, loans.target.source
    original = {row[key]: row[target] for row in rows(labelled)}
    assert [path.name for path in result.outcome_files] == [
        "2026-01-08.csv",
        "2026-01-09.csv",
        "2026-01-10.csv",
    ]
    outcomes = rows(tmp_path / "outcomes" / "2026-01-09.csv")
    applications = rows(result.application_files["2026-01-06"])
    assert list(outcomes[0]) == [key, target, "observed_on"]
    assert [row[key] for row in outcomes] == [row[key] for row in applications]
    assert all(row[target] == original[row[key]] for row in outcomes)
    assert {row["observed_on"] for row in outcomes} == {"2026-01-09"}


def test_a_second_replay_touches_nothing(loans: Contract, labelled: Path, tmp_path: Path) -> None:
    first = cut(loans, labelled, tmp_path)
    assert (len(first.written), first.unchanged) == (7, [])
    before = {path: path.stat() for path in first.written}
    again = cut(loans, labelled, tmp_path)
    assert (again.written, again.unchanged) == ([], first.written)
    assert {path: path.stat().st_mtime_ns for path in before} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(found) == sorted([*before, *(Path(f"{path}.done") for path in before)])


def test_more_nights_leave_the_earlier_ones_as_they_are(
    loans: Contract, labelled: Path, tmp_path: Path
) -> None:
    first = cut(loans, labelled, tmp_path)
    assert cut(loans, labelled, tmp_path, nights=4).unchanged == first.written


def test_other_rows_for_a_batch_replace_it_and_are_reported(
    loans: Contract, labelled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut(loans, labelled, tmp_path)
    with caplog.at_level(logging.WARNING):
        result = cut(loans, labelled, tmp_path, scenarios={3: ["income_shock"]})
    assert [path.name for path in result.written] == ["2026-01-07.csv"]
    assert "2026-01-07.csv: replaced, it held other rows" in caplog.text


def test_another_seed_is_another_cut(loans: Contract, labelled: Path, tmp_path: Path) -> None:
    first, other = (cut(loans, labelled, tmp_path / str(s), seed=s) for s in (1, 2))
    path, other_path = (r.application_files["history"] for r in (first, other))
    assert path.read_bytes() != other_path.read_bytes()


# Scenarios


def changed(loans: Contract, before: Rows, after: Rows) -> dict[str, list[tuple[str, str]]]:
    """Return by column the pairs of texts that differ."""
    assert [r[loans.key.source] for r in before] == [r[loans.key.source] for r in after]
    pairs = {
        name: [(b[name], a[name]) for b, a in zip(before, after, strict=True) if b[name] != a[name]]
        for name in before[0]
    }
    return {name: differ for name, differ in pairs.items() if differ}


def test_multiply_moves_every_value_in_its_steps(
    loans: Contract, labelled: Path, tmp_path: Path
) -> None:
    before = night(loans, labelled, tmp_path)
    after = night(loans, labelled, tmp_path, "income_shock")
    differ = changed(loans, before, after)
    assert list(differ) == ["income"]
    assert len(differ["income"]) >= 0.9 * sum(row["income"] != "" for row in before)
    for old, new in differ["income"]:
        assert abs(int(new) - 1.3 * int(old)) <= 30
        assert int(new) % 60 == 0


def test_a_ratio_follows_its_operand(loans: Contract, labelled: Path, tmp_path: Path) -> None:
    scenario = contract.Scenario(
        label="loans are twice as high", kind="multiply", column="loan_amount_usd", factor=2
    )
    policy = loans.replay.model_copy(update={"scenarios": {"double": scenario}})
    loans = loans.model_copy(update={"replay": policy})
    before, after = night(loans, labelled, tmp_path), night(loans, labelled, tmp_path, "double")
    assert set(changed(loans, before, after)) == {"loan_amount", "LTV"}
    for row in after:
        assert int(row["loan_amount"]) % 10000 == 6500
        if row["LTV"]:
            expected = 100 * int(row["loan_amount"]) / int(row["property_value"])
            assert float(row["LTV"]) == pytest.approx(expected, abs=1e-5)
        else:
            assert row["property_value"] == ""


def test_number_formats_of_the_source_are_kept(loans: Contract, tmp_path: Path) -> None:
    table = generate_loans(loans, 2000, seed=5)
    income = pa.array([f"{v}.0" if v else "" for v in table.column("income").to_pylist()])
    place = table.column_names.index("income")
    path = tmp_path / "loans.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, table.column_names)
        writer.writeheader()
        writer.writerows(table.set_column(place, "income", income).to_pylist())
    after = night(loans, path, tmp_path, "income_shock")
    assert all(row["income"].endswith(".0") for row in after if row["income"])


def test_move_level_blank_and_new_level_drift_their_share(
    loans: Contract, labelled: Path, tmp_path: Path
) -> None:
    before = night(loans, labelled, tmp_path)
    shift = changed(loans, before, night(loans, labelled, tmp_path, "region_shift"))
    north = sum(row["Region"] == "North" for row in before)
    assert shift == {"Region": [("North", "south")] * round(north * 0.25)}
    blank = changed(loans, before, night(loans, labelled, tmp_path, "missing_income"))
    known = sum(row["income"] != "" for row in before)
    assert list(blank) == ["income"]
    assert [new for _, new in blank["income"]] == [""] * round(known * 0.2)
    new = changed(loans, before, night(loans, labelled, tmp_path, "new_level"))
    assert [level for _, level in new["loan_purpose"]] == ["p5"] * 6


def test_worse_outcomes_leave_the_inputs_as_they_are(
    loans: Contract, labelled: Path, tmp_path: Path
) -> None:
    target = loans.target.source
    plain = night(loans, labelled, tmp_path)
    before = rows(tmp_path / "outcomes" / "2026-01-09.csv")
    assert night(loans, labelled, tmp_path, "target_shift") == plain
    after = rows(tmp_path / "outcomes" / "2026-01-09.csv")
    paid = sum(row[target] == "0" for row in before)
    assert changed(loans, before, after) == {target: [("0", "1")] * round(paid * 0.2)}


def test_shuffled_outcomes_are_as_many_defaults_of_other_loans(
    loans: Contract, labelled: Path, tmp_path: Path
) -> None:
    key, target = loans.key.source, loans.target.source
    plain = night(loans, labelled, tmp_path)
    before = rows(tmp_path / "outcomes" / "2026-01-09.csv")
    assert night(loans, labelled, tmp_path, "model_shift") == plain
    after = rows(tmp_path / "outcomes" / "2026-01-09.csv")
    assert sorted(row[target] for row in after) == sorted(row[target] for row in before)
    moved = changed(loans, before, after)[target]
    assert moved.count(("0", "1")) == moved.count(("1", "0")) > 0

    excluded = {
        row[key]
        for row in plain
        for each in loans.exclusions
        if row[loans.by_name[each.column].source] == ("" if each.is_null else each.equals)
    }
    differ = {b[key] for b, a in zip(before, after, strict=True) if b[target] != a[target]}
    assert excluded
    assert not differ & excluded
    assert len(differ) <= 0.3 * (len(plain) - len(excluded))


def test_scenarios_on_one_night_do_not_disturb_each_other(
    loans: Contract, labelled: Path, tmp_path: Path
) -> None:
    before = night(loans, labelled, tmp_path)
    shift = night(loans, labelled, tmp_path, "region_shift")
    both = night(loans, labelled, tmp_path, "income_shock", "region_shift")
    assert [row["Region"] for row in both] == [row["Region"] for row in shift]
    assert set(changed(loans, before, both)) == {"Region", "income"}


def test_scenarios_are_parsed_by_night() -> None:
    assert parse_scenarios(["a@4", "b@4", "a@5", "a@4"]) == {4: ["a", "b"], 5: ["a"]}
    for wrong in ("a", "a@0", "a@x", "@4", "a@-1", "a@1@2"):
        with pytest.raises(LoanScoringError, match="write NAME@NIGHT"):
            parse_scenarios([wrong])


# Arguments and files that cannot be replayed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scenarios": {1: ["flood"]}}, "it has income_shock, region_shift"),
        ({"scenarios": {4: ["income_shock"]}}, "income_shock@4: no such night; nights are 1 to 3"),
        ({"nights": 5}, "has 2,000 rows, of which 1,200 are history and 800 are left; 5 nights"),
        ({"start": "5 January"}, "start '5 January' is not a date"),
        ({"per_night": 0}, "loans a night 1 or more"),
        ({"seed": -1}, "nights and seed must be 0 or more"),
    ],
)
def test_wrong_arguments_are_one_clear_line(
    loans: Contract, labelled: Path, tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(LoanScoringError) as raised:
        cut(loans, labelled, tmp_path / "landing", **arguments)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "landing").exists()


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        (",", ",,", "line 2 is not a valid row (field_count)"),
        ("\r\n", "x\r\n", "line 2: "),
    ],
)
def test_a_faulty_row_of_the_source_is_named_by_its_line(
    loans: Contract, tmp_path: Path, find: str, replace: str, message: str
) -> None:
    table = generate_loans(loans, 50, seed=5)
    texts = [list(row.values()) for row in table.to_pylist()]
    lines = [",".join(line) + "\r\n" for line in [table.column_names, *texts]]
    lines[1] = lines[1].replace(find, replace, 1)
    path = tmp_path / "loans.csv"
    path.write_text("".join(lines), newline="")
    with pytest.raises(SourceError) as raised:
        cut(loans, path, tmp_path)
    assert message in str(raised.value)


# Generated loans


def test_without_a_source_the_loans_are_generated_and_every_file_is_named_synthetic(
    loans: Contract, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy = loans.replay.model_copy(update={"generated_rows": 1000})
    few = loans.model_copy(update={"replay": policy})
    with caplog.at_level(logging.WARNING):
        result = cut(few, None, tmp_path)
    assert result.is_synthetic
    assert result.source.startswith("synthetic")
    assert "no labelled file of loan_default can be read" in caplog.text
    assert all(path.name.endswith(".synthetic.csv") for path in result.written)
    assert [len(rows(path)) for path in result.application_files.values()][1:] == [200] * 3
    again = cut(few, None, tmp_path)
    assert again.unchanged == result.written


def test_a_cut_of_generated_loans_stays_synthetic(
    loans: Contract, labelled: Path, tmp_path: Path
) -> None:
    path = tmp_path / "loans.synthetic.csv"
    path.write_bytes(labelled.read_bytes())
    result = cut(loans, path, tmp_path)
    assert result.source == f"synthetic: {path}"
    assert all(path.name.endswith(".synthetic.csv") for path in result.written)


def test_a_batch_is_never_both_real_and_synthetic(
    loans: Contract, labelled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    generated = cut(loans, None, tmp_path)
    with caplog.at_level(logging.WARNING):
        real = cut(loans, labelled, tmp_path)
    assert not any(path.exists() for path in generated.written)
    assert all(path.exists() for path in real.written)
    assert "history.synthetic.csv: removed, history.csv takes its place" in caplog.text


def test_the_real_file_is_cut_as_the_contract_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not SOURCE:
        pytest.skip("LOAN_SCORING_SOURCE names no labelled file")
    monkeypatch.setenv("LOAN_SCORING_SOURCE", SOURCE)
    loans = contract.load("loan_default")
    result = replay_loans(loans, source=None, nights=5, per_night=5000, landing=tmp_path)
    assert (result.history_rows, len(result.written), result.is_synthetic) == (89202, 11, False)
    assert sum(len(rows(path)) for path in result.application_files.values()) == 114_202


@pytest.mark.parametrize(
    "source",
    [
        {"encoding": "cp1252", "delimiter": "|"},
        {"encoding": "utf-16", "delimiter": "blank"},
        {"header": False, "delimiter": "tab"},
    ],
)
def test_replayed_files_have_the_declared_format_and_every_part_of_the_key(
    tmp_path: Path, source: dict[str, object]
) -> None:
    named = source.get("header", True)
    kinds = [(["nr", "sub"], "loan_id", "text"), ("amount", "amount_eur", "number"),
             ("job title", "job", "category")]  # fmt: skip
    columns = [
        {"source": place if named else position, "name": name, "label": name, "type": kind,
         "known": "application"} | ({"levels": ["with €", "a b"]} if kind == "category" else {})
        for (place, name, kind), position in zip(kinds, [[2, 5], 4, 1], strict=True)
    ]  # fmt: skip
    lender = Contract.model_validate(
        {
            "portfolio": "lender", "title": "t", "owner": "o", "source": source,
            "target": {"source": "status" if named else 3, "positive": ["bad"],
                       "negative": ["paid"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.3}, "columns": columns,
        }
    )  # fmt: skip
    result = cut(lender, None, tmp_path / "landing", nights=1)
    path = result.application_files[result.batch_ids[0]]
    with open_table(path, lender.sources, file_format=lender.source) as table:
        (block,) = table
    accepted, rejected = RowRules(lender).apply(block)
    assert (accepted.num_rows, rejected) == (200, [])
    assert set(accepted.column("job").to_pylist()) == {"with €", "a b"}
    wanted = [*lender.key.sources, lender.target.source]
    with open_table(result.outcome_files[0], wanted, file_format=lender.source) as table:
        assert sum(block.table.num_rows for block in table) == 200


@pytest.mark.parametrize(("made_from", "key_type"), [("row", "uuid"), ("line", "text")])
def test_outcomes_have_the_keys_that_ingest_makes_from_the_rows(
    loans: Contract, labelled: Path, tmp_path: Path, made_from: str, key_type: str
) -> None:
    raw = loans.model_dump()
    key = {"name": "loan_id", "label": "Row", "type": key_type, "known": "application"}
    number = raw["columns"][0] | {"name": "number", "stored_only": True}
    raw["columns"] = [key | {"made_from": made_from}, number, *raw["columns"][1:]]
    raw.pop("scan_form")  # a form needs a box for the key
    made = Contract.model_validate(raw)
    result = cut(made, labelled, tmp_path / "landing")
    path = result.application_files["2026-01-06"]
    with open_table(path, made.sources, file_format=made.source) as table:
        (block,) = table
    accepted, _ = RowRules(made).apply(block)
    stated = rows(result.outcome_files[1])
    assert [row["loan_id"] for row in stated] == [
        str(key) for key in accepted.column("loan_id").to_pylist()
    ]
    # The rows of the night and their outcomes are those of the same loans.
    of_loan = {row[loans.key.source]: row[loans.target.source] for row in rows(labelled)}
    assert [row[made.target.source] for row in stated] == [
        of_loan[row[loans.key.source]] for row in rows(path)
    ]


def test_a_replay_names_the_list_of_files_that_it_cannot_write(
    loans: Contract, tmp_path: Path
) -> None:
    ingest = loans.ingest.model_copy(update={"files": ["north", "south"]})
    with pytest.raises(LoanScoringError, match="replay writes one file a night"):
        cut(loans.model_copy(update={"ingest": ingest}), None, tmp_path / "landing")


def test_a_labelled_file_may_lack_optional_columns(
    loans: Contract, labelled: Path, tmp_path: Path
) -> None:
    raw = loans.model_dump()
    extra = {"source": "closed", "name": "closed_usd", "label": "Closed", "type": "number"}
    raw["columns"].append(extra | {"known": "outcome", "optional": True, "max_null_share": 1})
    result = cut(Contract.model_validate(raw), labelled, tmp_path / "landing")
    assert "closed" not in rows(result.application_files["2026-01-05"])[0]
