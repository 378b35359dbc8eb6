"""Dump, wipe, restore: every table has the same rows, and the next night runs."""

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from rights import rights

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.database import audit, sealing
from loan_scoring.database.backup import DUMP, FOLDERS, MANIFEST, SIGNATURE, write_backup
from loan_scoring.database.files import file_sha256, write_artifact
from loan_scoring.database.restore import restore_backup
from loan_scoring.database.session import open_session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
MIRROR = "import sys; from loan_scoring.database.session import open_session\n"
MIRROR += "from loan_scoring.models.mlflow_mirror import mirror_models\n"
MIRROR += "with open_session('loan_default', sys.argv[1]) as session: mirror_models(session)"


@pytest.fixture(scope="module")
def measured_url(new_database: Callable[..., str], night_scored: str) -> str:
    url = new_database(template=night_scored)
    with open_session("loan_default", url) as session:
        compare_batch(session, NIGHT)
        audit.record_entry(session, "cli:tests", "test.run", "backup", {})
        session.connection.commit()
    # In another process: MLflow keeps connections, and a database in use cannot be copied.
    subprocess.run([sys.executable, "-c", MIRROR, url], check=True)
    return url


@pytest.fixture
def url(
    new_database: Callable[..., str], measured_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:  # fmt: skip
    """A copy of that database, with artifacts of its own."""
    folder = tmp_path / "data"
    for name in FOLDERS:
        shutil.copytree(settings.data_dir() / name, folder / name)
    monkeypatch.setenv("LOAN_SCORING_DATA", str(folder))
    return new_database(template=measured_url)


def md5s(url: str) -> dict[str, str]:
    """Digest every table and view of our schemas, without the times and names of grants."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select format('%I.%I', nspname, relname) from pg_class as c"
            " join pg_namespace as n on n.oid = relnamespace"
            " where relkind in ('r', 'p', 'v') and nspname in ('loan_default', 'mlflow')"
            " and relname not in ('schema_migrations', 'slo', 'slo_stages', 'backups') order by 1"
        )
        names = [name for (name,) in cursor.fetchall()]
        found = {}
        for name in names:
            cursor.execute(
                f"select count(*) || ' ' || coalesce(md5(string_agg(t::text, '|'"
                f" order by t::text)), '') from {name} as t"
            )
            found[name] = cursor.fetchone()[0]
    return found


def wipe(url: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("drop schema loan_default cascade; drop schema mlflow cascade")
        connection.commit()
    for name in FOLDERS:
        shutil.rmtree(settings.data_dir() / name)


def is_restoring(url: str) -> bool:
    """Return whether psql is in the transaction that restores the tables."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select from pg_stat_activity where datname = current_database()"
            " and application_name = 'psql' and xact_start is not null"
        )
        return bool(cursor.rowcount)


def run(*arguments: str, url: str) -> int:
    return main([*arguments, "--database", url])


def test_restore_brings_back_every_row_and_the_next_night_runs(
    url: str, tmp_path: Path, drops: Replay, capsys: pytest.CaptureFixture[str]
) -> None:
    before = md5s(url)
    assert before["loan_default.current_scores"].startswith("1000 ")
    assert len(before) > 60
    kept = tmp_path / "backup"
    assert run("backup", "--to", str(kept), url=url) == 0
    assert "backed up loan_default, mlflow" in capsys.readouterr().out
    wipe(url)
    assert run("restore", "--from", str(kept), url=url) == 0
    assert md5s(url) == before
    with open_session("loan_default", url) as session:
        assert audit.verify_chain(session).faults == []
        night = drops.batch_ids[1]
        ingest_batch(session, night, drops.application_files[night])
        score_batch(session, night)
        assert compare_batch(session, night)["applications"] == 1000
        scored = database.select_read_only(
            session.connection,
            "select batch_id, count(*) from current_scores group by 1 order by 1",
        )[1]
    assert scored == [[NIGHT, 1000], [night, 1000]]
    # Rows since the backup are dropped, but only with --replace.
    assert run("restore", "--from", str(kept), url=url) == 1
    assert "holds loan_default, mlflow already" in capsys.readouterr().err
    assert run("restore", "--from", str(kept), "--replace", url=url) == 0
    assert md5s(url) == before


def test_restore_keeps_rights(url: str, tmp_path: Path) -> None:
    before = rights(url)
    assert ("create_partition", "-", "EXECUTE") not in before
    assert ("current_scores", "loan_scoring_reader", "SELECT") in before
    write_backup(tmp_path / "backup", url)
    wipe(url)
    restore_backup(tmp_path / "backup", url)
    assert rights(url) == before


def test_artifacts_written_meanwhile_do_no_harm(url: str, tmp_path: Path) -> None:
    write_backup(tmp_path / "backup", url)
    manifest = json.loads((tmp_path / "backup" / MANIFEST).read_text())
    with open_session("loan_default", url) as session:
        champion = registry.model_row(session, "propensity-1")
    assert f"artifacts/loan_default/{champion['artifact']}" in manifest["files"]
    assert not [name for name in manifest["files"] if "training-" in name]
    write_artifact("loan_default", "later.skops", b"later")
    restore_backup(tmp_path / "backup", url, replace=True)
    assert (settings.artifacts_dir("loan_default") / "later.skops").is_file()


@pytest.mark.attack
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda kept: (kept / MANIFEST).unlink(), "is no backup"),
        (lambda kept: (kept / DUMP).write_bytes(b"x"), "is missing or was changed since"),
        (lambda kept: next(kept.rglob("*.skops")).unlink(), "is missing or was changed since"),
    ],
    ids=["manifest", "dump", "artifact"],
)
def test_a_damaged_backup_changes_nothing(
    url: str, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    kept = tmp_path / "backup"
    write_backup(kept, url)
    damage(kept)
    before = md5s(url)
    with pytest.raises(StateError, match=message):
        restore_backup(kept, url, replace=True)
    assert md5s(url) == before


def test_a_dump_that_breaks_off_changes_nothing(url: str, tmp_path: Path) -> None:
    """The hash is right, but pg_restore fails midway: the database stays as it was."""
    kept = tmp_path / "backup"
    write_backup(kept, url)
    dump = kept / DUMP
    dump.write_bytes(dump.read_bytes()[: dump.stat().st_size // 2])
    manifest = json.loads((kept / MANIFEST).read_text())
    manifest["files"][DUMP]["sha256"] = file_sha256(dump)
    (kept / MANIFEST).write_text(json.dumps(manifest))
    before = md5s(url)
    with pytest.raises(StateError, match=r"pg_restore at postgresql://.*nothing was changed"):
        restore_backup(kept, url, replace=True)
    assert md5s(url) == before


def test_killed_restore_leaves_the_old_rows_or_the_new_ones(url: str, tmp_path: Path) -> None:
    kept = tmp_path / "backup"
    write_backup(kept, url)
    wanted = md5s(url)
    with open_session("loan_default", url) as session:
        audit.record_entry(session, "cli:tests", "test.run", "later", {})
        session.connection.commit()
    was = md5s(url)
    assert was != wanted
    for seconds in (0.0, 0.1, 0.3):
        child = subprocess.Popen(
            [sys.executable, "-m", "loan_scoring.cli", "restore", "--from", str(kept), "--replace",
             "--database", url],
            env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while child.poll() is None and not is_restoring(url):
            time.sleep(0.01)
        time.sleep(seconds)
        child.kill()
        child.wait()
        assert md5s(url) in (was, wanted)
    restore_backup(kept, url, replace=True)
    assert md5s(url) == wanted


def test_mistakes_are_one_line(
    url: str, new_database: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("backup", "--to", str(tmp_path), url=url) == 1
    assert "exists already; name a new folder" in capsys.readouterr().err
    assert run("backup", "--to", "/proc/none", url=url) == 1
    assert capsys.readouterr().err.startswith("loan-scoring: /proc/none.part: ")
    assert run("backup", "--to", str(tmp_path / "none"), url=new_database()) == 1
    assert "holds no portfolio: nothing to back up" in capsys.readouterr().err
    assert run("restore", "--from", str(tmp_path / "none"), url=url) == 1
    assert "is no backup" in capsys.readouterr().err


def signed(kept: Path) -> None:
    """Sign a manifest again, as somebody who holds the key."""
    content = (kept / MANIFEST).read_bytes()
    key = sealing.backup_key()
    assert key is not None
    (kept / SIGNATURE).write_text(sealing.signature(key, content))


def planted(kept: Path, name: str, content: bytes = b"planted") -> None:
    """Name a further file in a manifest, with its right hash."""
    path = kept / MANIFEST
    manifest = json.loads(path.read_text())
    sha256 = hashlib.sha256(content).hexdigest()
    manifest["files"][name] = {"sha256": sha256, "bytes": len(content)}
    path.write_text(json.dumps(manifest))


@pytest.mark.attack
@pytest.mark.parametrize(
    "name",
    [
        "artifacts/../../planted", "artifacts/x/../../../planted", "/tmp/planted", "planted",
        "artifacts//planted", "artifacts/./planted", "artifacts", "../planted", "other/planted",
    ],
)  # fmt: skip
def test_name_that_leads_out_of_the_backup_is_refused(
    url: str, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept" / "backup"
    write_backup(kept, url)
    (tmp_path / "kept" / "planted").write_bytes(b"planted")
    (kept / "artifacts" / "x").mkdir()
    planted(kept, name)
    before = set(tmp_path.rglob("*"))
    assert run("restore", "--from", str(kept), "--replace", url=url) == 1
    error = capsys.readouterr().err.strip()
    assert "which no backup holds" in error
    assert len(error.splitlines()) == 1
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.attack
def test_links_and_devices_of_a_backup_are_refused(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "backup"
    write_backup(kept, url)
    (tmp_path / "secret").write_bytes(b"planted")
    (kept / "artifacts" / "link").symlink_to(tmp_path / "secret")
    (kept / "artifacts" / "folder").symlink_to(tmp_path)
    os.mkfifo(kept / "artifacts" / "pipe")
    manifest = (kept / MANIFEST).read_text()
    for name, why in (("link", "is a link"), ("folder/secret", "is a link"), ("pipe", "regular")):
        (kept / MANIFEST).write_text(manifest)
        planted(kept, f"artifacts/{name}")
        assert run("restore", "--from", str(kept), "--replace", url=url) == 1
        assert why in capsys.readouterr().err


@pytest.mark.attack
def test_backup_is_signed_and_another_or_no_signature_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, plain = tmp_path / "backup", tmp_path / "plain"
    write_backup(plain, url)
    monkeypatch.setenv("LOAN_SCORING_BACKUP_KEY", "k" * 64)
    assert write_backup(kept, url).is_signed

    def refusal(folder: Path, *more: str) -> str:
        capsys.readouterr()
        assert run("restore", "--from", str(folder), "--replace", *more, url=url) == 1
        error = capsys.readouterr().err.strip()
        assert len(error.splitlines()) == 1
        return error

    assert "has no manifest.hmac" in refusal(plain)
    assert run("restore", "--from", str(plain), "--replace", "--unsigned", url=url) == 0
    assert run("restore", "--from", str(kept), "--replace", url=url) == 0
    assert "(signed, not encrypted)" in capsys.readouterr().out
    (kept / "artifacts" / "new").write_bytes(b"planted")
    planted(kept, "artifacts/new")
    assert "is not the signature" in refusal(kept)
    assert "is not the signature" in refusal(kept, "--unsigned")
    signed(kept)
    assert run("restore", "--from", str(kept), "--replace", url=url) == 0
    monkeypatch.setenv("LOAN_SCORING_BACKUP_KEY", "x" * 64)
    assert "is not the signature" in refusal(kept)
    monkeypatch.setenv("LOAN_SCORING_BACKUP_KEY", "short")
    assert "at least 32" in refusal(kept)
    monkeypatch.delenv("LOAN_SCORING_BACKUP_KEY")
    assert "is signed: set" in refusal(kept)


@pytest.mark.attack
def test_encrypted_backup_holds_nothing_in_plain_and_comes_back(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, before = tmp_path / "backup", md5s(url)
    assert run("backup", "--to", str(kept), "--encrypt", url=url) == 1
    assert "set LOAN_SCORING_BACKUP_KEY" in capsys.readouterr().err
    monkeypatch.setenv("LOAN_SCORING_BACKUP_KEY", "k" * 64)
    assert run("backup", "--to", str(kept), "--encrypt", "--keep-days", "7", url=url) == 0
    assert "signed, encrypted, to be deleted after" in capsys.readouterr().out
    files = [path for path in kept.rglob("*") if path.is_file()]
    sealed = [path for path in files if path.name not in (MANIFEST, SIGNATURE)]
    assert all(path.read_bytes().startswith(sealing.MAGIC) for path in sealed)
    wipe(url)
    assert run("restore", "--from", str(kept), url=url) == 0
    assert md5s(url) == before


@pytest.mark.attack
@pytest.mark.parametrize("size", [0, 1, 100, 101, 200, 250])
def test_encrypted_file_that_was_changed_or_cut_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(sealing, "CHUNK", 100)
    key, plain, packed = b"k" * 64, tmp_path / "plain", tmp_path / "sealed"
    content = os.urandom(size)
    plain.write_bytes(content)
    sealing.encrypt_file(key, "a/b", plain, packed)
    whole, out = packed.read_bytes(), tmp_path / "out"
    sealing.decrypt_file(key, "a/b", packed, out)
    assert out.read_bytes() == content
    # An independent reader of the format: the cipher of another library call by call.
    head = len(sealing.MAGIC) + sealing.PREFIX
    prefix = whole[len(sealing.MAGIC) : head]
    own = hmac.new(key, b"loan-scoring backup encrypt " + prefix.hex().encode(), "sha256").digest()
    read, place, number = b"", head, 0
    while place < len(whole):
        chunk = whole[place : place + 116]
        nonce, is_last = prefix + number.to_bytes(4, "big"), place + 116 >= len(whole)
        cipher = Cipher(algorithms.AES(own), modes.GCM(nonce, chunk[-16:])).decryptor()
        cipher.authenticate_additional_data(f"a/b\n{is_last}".encode())
        read += cipher.update(chunk[:-16]) + cipher.finalize()
        place, number = place + 116, number + 1
    assert read == content
    for bad in (whole[:-1], whole[: -(size % 100 + 16)], whole[:40] + b"x" + whole[41:], b""):
        packed.write_bytes(bad)
        with pytest.raises(StateError):
            sealing.decrypt_file(key, "a/b", packed, out)
    packed.write_bytes(whole)
    for other_key, name in ((b"x" * 64, "a/b"), (key, "a/c")):
        with pytest.raises(StateError, match="was changed, or encrypted with another"):
            sealing.decrypt_file(other_key, name, packed, out)
