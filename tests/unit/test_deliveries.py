"""Which files in the landing folder are taken, and when a file counts as whole."""

import os
import time
from pathlib import Path

import pytest

from loan_scoring import settings
from loan_scoring.contract import Contract, IngestPolicy
from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.deliveries import delivery_name
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.landing import find_landed_file
from loan_scoring.ingest.manifests import read_manifest

NIGHT = "2026-02-05"


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    folder = settings.landing_dir("loan_default") / "applications"
    folder.mkdir(parents=True)
    return folder


def put(folder: Path, name: str, text: str = "a,b\n1,2\n", age: float = 3600) -> Path:
    path = folder / name
    path.write_text(text)
    os.utime(path, (time.time() - age,) * 2)
    return path


def with_ingest(contract: Contract, **fields: object) -> Contract:
    policy = type(contract.ingest).model_validate({**contract.ingest.model_dump(), **fields})
    return contract.model_copy(update={"ingest": policy})


ENDINGS = [
    "csv", "CSV", "csv.gz", "csv.zip", "zip", "gz", "parquet", "txt", "tsv", "xlsx",
    "synthetic.csv", "synthetic.csv.gz", "EMPTY",
]  # fmt: skip
OTHERS = [
    "csv.filepart", "csv.part", "csv.tmp", "csv.bak", "csv.md5", "csv~", "csv.done", "csv.swp",
    "csv.crdownload", "csv.manifest.json", "csv.1", "xls", "csv.gz.part", "old.csv", "",
]  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_documented_ending_is_taken(landing: Path, loan_default: Contract, ending: str) -> None:
    path = put(landing, f"{NIGHT}.{ending}")
    assert find_landed_file(loan_default, "applications", NIGHT) == path


@pytest.mark.parametrize("ending", OTHERS)
def test_any_other_ending_is_never_taken(
    landing: Path, loan_default: Contract, ending: str
) -> None:
    put(landing, f"{NIGHT}.{ending}")
    with pytest.raises(PassingSourceError, match=f"is not taken: a file ends in .*{NIGHT}.csv"):
        find_landed_file(loan_default, "applications", NIGHT)
    assert delivery_name(f"{NIGHT}.{ending}") is None


def test_an_upload_in_progress_does_not_hide_the_file(
    landing: Path, loan_default: Contract
) -> None:
    put(landing, f"{NIGHT}.csv.filepart", age=0)
    path = put(landing, f"{NIGHT}.csv")
    assert find_landed_file(loan_default, "applications", NIGHT) == path


def test_a_file_is_taken_when_it_has_settled(landing: Path, loan_default: Contract) -> None:
    path = put(landing, f"{NIGHT}.csv", age=58.5)
    usual = with_ingest(loan_default, settled_seconds=IngestPolicy().settled_seconds)
    with pytest.raises(
        PassingSourceError, match=r"changed less than 60 s ago .* taken [12] s from"
    ):
        find_landed_file(usual, "applications", NIGHT)
    put(landing, f"{NIGHT}.csv", age=61)
    assert find_landed_file(usual, "applications", NIGHT) == path
    slow = with_ingest(loan_default, settled_seconds=300)
    with pytest.raises(PassingSourceError, match="less than 300 s ago"):
        find_landed_file(slow, "applications", NIGHT)
    (landing / f"{NIGHT}.csv.done").touch()
    assert find_landed_file(slow, "applications", NIGHT) == path


def test_a_time_to_come_does_not_hold_a_file_for_ever(
    landing: Path, loan_default: Contract
) -> None:
    put(landing, f"{NIGHT}.csv", age=-86_400)
    quick = with_ingest(loan_default, settled_seconds=0)
    assert find_landed_file(quick, "applications", NIGHT)


def test_a_link_out_of_the_landing_folder_is_refused(
    landing: Path, loan_default: Contract, tmp_path: Path
) -> None:
    secret = put(tmp_path, "secret.csv")
    (landing / f"{NIGHT}.csv").symlink_to(secret)
    with pytest.raises(SourceError, match=r"a link out of the landing folder, to .*secret\.csv"):
        find_landed_file(loan_default, "applications", NIGHT)
    (landing / f"{NIGHT}.csv").unlink()
    put(landing, "upload.bin")
    (landing / f"{NIGHT}.csv").symlink_to("upload.bin")
    assert find_landed_file(loan_default, "applications", NIGHT)


def test_a_file_waits_for_the_manifest_that_the_contract_declares(
    landing: Path, loan_default: Contract
) -> None:
    contract = with_ingest(loan_default, manifest={"ending": ".json"})
    path = put(landing, f"{NIGHT}.csv")
    (landing / f"{NIGHT}.csv.done").touch()
    with pytest.raises(PassingSourceError, match=rf"manifest {NIGHT}\.csv\.json has not landed"):
        find_landed_file(contract, "applications", NIGHT)
    put(landing, f"{NIGHT}.csv.json", '{"rows": 1, "sha256": "0"}', age=0)
    assert find_landed_file(contract, "applications", NIGHT) == path


def test_a_manifest_of_no_rows_is_a_delivery_without_a_file(
    landing: Path, loan_default: Contract
) -> None:
    contract = with_ingest(loan_default, manifest={"sha256": None})
    path = put(landing, f"{NIGHT}.csv.manifest.json", '{"rows": 3}')
    with pytest.raises(PassingSourceError, match="no file of applications"):
        find_landed_file(contract, "applications", NIGHT)
    path.write_text('{"rows": 0}')
    assert find_landed_file(contract, "applications", NIGHT) == path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rows,sum\n7,12.5\n", None),
        ("\ufeff" + '{"rows": "7", "sum": 12.5}', None),
        ('{"rows": 7}', "sum is missing in the manifest"),
        (
            '{"rows": "seven", "sum": 1}',
            r"rows is a text of 5 characters \(letters\) in the manifest",
        ),
        ('{"rows": 7', "the manifest cannot be read"),
        ("rows,sum\n", "the manifest has 0 lines"),
    ],
)
def test_a_manifest_is_json_or_one_line_of_csv(
    landing: Path, loan_default: Contract, text: str, reason: str | None
) -> None:
    totals = {"loan_amount_usd": "sum"}
    contract = with_ingest(loan_default, manifest={"sha256": None, "totals": totals})
    put(landing, f"{NIGHT}.csv.manifest.json", text)
    if reason is None:
        manifest = read_manifest(contract, landing / f"{NIGHT}.csv")
        assert manifest is not None
        assert (manifest.rows, manifest.totals) == (7, {"loan_amount_usd": 12.5})
    else:
        with pytest.raises(SourceError, match=reason):
            read_manifest(contract, landing / f"{NIGHT}.csv")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a,b\n1,2\n3", 3),  # a field is missing
        ("a,b\n1,2\n3,", None),  # nobody can tell: a null may be meant
        ("a,b\n1,2\n3,4", None),
        ('a,b\n1,2\n3,"4', 3),  # a quote is open
        ('a,b\n1,2\n3,"4\n5', 4),
        ("a,b\n1,2\n3\n", None),  # a broken record, but its line has ended: quarantine
    ],
)
def test_a_file_cut_off_in_a_record_is_refused(tmp_path: Path, text: str, line: int | None) -> None:
    path = tmp_path / "night.csv"
    path.write_text(text)
    for block_bytes in (1, 4 << 20):
        with open_table(path, ["a", "b"], block_bytes=block_bytes) as table:
            if line is None:
                assert sum(b.table.num_rows + len(b.malformed) for b in table) == 2
            else:
                with pytest.raises(SourceError, match=f"line {line}, is cut off"):
                    list(table)


def test_a_letter_cut_in_half_is_a_cut_record(tmp_path: Path) -> None:
    path = tmp_path / "night.csv"
    path.write_bytes(b"a,b\n1,2\n3,M\xc3")
    with (
        open_table(path, ["a", "b"]) as table,
        pytest.raises(SourceError, match=r"is cut off \(encoding"),
    ):
        list(table)
