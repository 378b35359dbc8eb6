"""The embedded Postgres starts for any user, and keeps all rows however it ends."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from loan_scoring.database.roles import EMBEDDED
from loan_scoring.errors import DatabaseError
from loan_scoring.local import postgres, postgres_account, processes
from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.local.postgres_pidfile import read_postmaster

pytestmark = pytest.mark.integration

START = "import sys; from pathlib import Path; from loan_scoring.local.postgres import *; "
START += "print(EmbeddedPostgres(Path(sys.argv[1])).start().url())"


@contextlib.contextmanager
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    embedded = EmbeddedPostgres(folder)
    try:
        yield embedded.start()
    finally:
        embedded.stop()


def ask(url: str, statement: str) -> list[tuple]:
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
        return rows


def postmaster_pid(embedded: EmbeddedPostgres) -> int:
    postmaster = read_postmaster(embedded.data)
    assert postmaster is not None
    return postmaster.pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert processes.wait_gone(pid, 5)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with server(tmp_path_factory.mktemp("state")) as embedded:
        yield embedded


@pytest.mark.parametrize(
    ("role", "database", "owner"),
    [
        ("postgres", "postgres", "postgres"),
        ("loan_scoring", "loan_scoring", "loan_scoring"),
        ("loan_scoring_reader", "loan_scoring", "loan_scoring"),
        ("airflow", "airflow", "airflow"),
    ],
)
def test_every_role_connects_to_its_database(shared, role, database, owner):
    statement = """
        select current_user, datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding),
               datlocale, current_setting('timezone'), current_setting('fsync')
        from pg_database where datname = current_database()
    """
    assert ask(shared.url(role), statement) == [
        (role, database, owner, "UTF8", "C.UTF-8", "UTC", "on")
    ]


@pytest.mark.parametrize("role", ["loan_scoring", "loan_scoring_reader", "airflow"])
def test_no_role_of_ours_has_rights_over_the_server(shared, role):
    statement = """
        select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
        from pg_roles where rolname = current_user
    """
    assert ask(shared.url(role), statement) == [(False,) * 5]


def test_reader_can_make_nothing(shared):
    for statement in ("create table t (i int)", "create temp table t (i int)", "create schema s"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(shared.url("loan_scoring_reader"), statement)


def test_reader_does_not_enter_other_databases(shared):
    url = shared.url("loan_scoring_reader").rpartition("/")[0] + "/airflow"
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        ask(url, "select 1")


def test_wrong_password_is_refused(shared):
    url = shared.url().replace("@", "x@")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(url, "select 1")


def test_passwords_differ_and_are_private(shared):
    path = shared.folder.with_name("postgres-secrets.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(set(json.loads(path.read_text()).values())) == len(EMBEDDED)
    assert shared.data.stat().st_mode & 0o777 == 0o700


def test_passwords_reach_no_log(shared):
    log = shared.log.read_text()
    for password in json.loads(
        shared.folder.with_name("postgres-secrets.json").read_text()
    ).values():
        assert password not in log


def test_server_listens_on_loopback_tcp_only(shared):
    assert ask(
        shared.url("postgres"),
        "select current_setting('listen_addresses'), current_setting('unix_socket_directories')",
    ) == [("127.0.0.1", "")]


def test_concurrent_starts_end_in_one_server(tmp_path):
    with contextlib.ExitStack() as stack:
        stack.callback(EmbeddedPostgres(tmp_path).stop)
        starters = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", START, tmp_path], stdout=subprocess.PIPE, text=True
                )
            )
            for _ in range(3)
        ]
        urls = {starter.communicate(timeout=60)[0] for starter in starters}
        assert [starter.returncode for starter in starters] == [0, 0, 0]
        assert len(urls) == 1


def test_restart_keeps_url_and_rows(tmp_path):
    with server(tmp_path) as embedded:
        url = embedded.url()
        ask(url, "create table t as select 7 as i")
        embedded.stop()
        assert not embedded.is_running()
        assert EmbeddedPostgres(tmp_path).start().url() == url
        assert ask(url, "select i from t") == [(7,)]


def test_occupied_port_is_given_up(tmp_path):
    with server(tmp_path) as embedded, server(tmp_path / "other") as other:
        taken = (other.folder / "port").read_text()
        embedded.stop()
        (embedded.folder / "port").write_text(taken)
        embedded.start()
        assert (embedded.folder / "port").read_text() != taken
        assert ask(embedded.url(), "select 1") == [(1,)]


def test_killed_postmaster_loses_no_rows(tmp_path):
    with server(tmp_path) as embedded:
        url = embedded.url()
        ask(url, "create table t as select generate_series(1, 1000) as i")
        kill(postmaster_pid(embedded))
        assert not embedded.is_running()
        assert embedded.start().url() == url
        assert ask(url, "select count(*) from t") == [(1000,)]


def test_start_outlasts_a_backend_of_a_killed_postmaster(tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "_PATIENCE_SECONDS", 0.5)
    with server(tmp_path) as embedded:
        ask(embedded.url(), "create table t as select 7 as i")
        busy = "import psycopg2, sys; psycopg2.connect(sys.argv[1]).cursor().execute(sys.argv[2])"
        endless = "select count(*) from generate_series(1, 1000000000000)"
        client = subprocess.Popen(
            [sys.executable, "-c", busy, embedded.url(), endless], stderr=subprocess.DEVNULL
        )
        try:
            active = "select 1 from pg_stat_activity where query like '%generate_series%1000000%'"
            while len(ask(embedded.url("postgres"), active)) < 2:
                time.sleep(0.05)
            kill(postmaster_pid(embedded))
            assert ask(embedded.start().url(), "select i from t") == [(7,)]
        finally:
            client.kill()
            client.wait()


def test_pid_file_whose_pid_is_another_program_now_is_no_hindrance(tmp_path):
    with server(tmp_path) as embedded:
        pid_file = embedded.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        kill(postmaster_pid(embedded))
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        assert not embedded.is_running()
        assert ask(embedded.start().url(), "select 1") == [(1,)]


def test_stop_leaves_a_program_alone_that_got_the_pid(tmp_path):
    with server(tmp_path) as embedded:
        lines = (embedded.data / "postmaster.pid").read_text().splitlines()
        embedded.stop()
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
            (embedded.data / "postmaster.pid").write_text(
                "\n".join([str(bystander.pid), *lines[1:]])
            )
            embedded.stop()
            assert bystander.poll() is None
            bystander.kill()


UNREAD = """
import os, socket, struct, sys, time, psycopg2
connection = psycopg2.connect(sys.argv[1])
query = b"copy (select repeat('x', 1000), generate_series(1, 100000000)) to stdout" + bytes(1)
with socket.socket(fileno=os.dup(connection.fileno())) as raw:
    raw.setblocking(True)
    raw.sendall(b"Q" + struct.pack("!I", len(query) + 4) + query)
    print("sent", flush=True)
    time.sleep(600)
"""


def test_stop_does_not_wait_for_a_client_that_does_not_read(tmp_path, caplog):
    with server(tmp_path) as embedded:
        client = subprocess.Popen(
            [sys.executable, "-c", UNREAD, embedded.url()], stdout=subprocess.PIPE
        )
        try:
            client.stdout.readline()
            blocked = "select 1 from pg_stat_activity where wait_event = 'ClientWrite'"
            while not ask(embedded.url("postgres"), blocked):
                time.sleep(0.05)
            embedded.stop()
            assert not embedded.is_running()
            assert not caplog.messages
        finally:
            client.kill()
            client.communicate()


def test_stop_is_bounded_where_a_process_of_the_server_is_frozen(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(postgres, "_STOP_SECONDS", 0.5)
    with server(tmp_path) as embedded:
        ask(embedded.url(), "create table t as select 7 as i")
        with contextlib.closing(psycopg2.connect(embedded.url())) as connection:
            os.kill(connection.info.backend_pid, signal.SIGSTOP)
            embedded.stop()
        assert read_postmaster(embedded.data) is None
        (line,) = caplog.messages
        assert line.startswith("Postgres did not stop within")
        assert ask(embedded.start().url(), "select i from t") == [(7,)]


def test_killed_initdb_is_done_again(tmp_path):
    starter = subprocess.Popen(
        [sys.executable, "-c", START, tmp_path],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    while not list(tmp_path.glob("postgres/initdb-*/data/base")):
        time.sleep(0.005)
    starter.kill()
    starter.wait()
    with server(tmp_path) as embedded:
        assert ask(embedded.url(), "select 1") == [(1,)]
    assert embedded.data.is_dir()


def test_half_made_roles_are_completed(tmp_path):
    with server(tmp_path) as embedded:
        (embedded.data / "loan-scoring-roles").unlink()
        ask(embedded.url("postgres"), "alter role airflow nologin password null")
        embedded.start()
        assert ask(embedded.url("airflow"), "select 1") == [(1,)]


def test_lost_passwords_are_named(tmp_path):
    with server(tmp_path) as embedded:
        embedded.folder.with_name("postgres-secrets.json").unlink()
        with pytest.raises(DatabaseError, match=r"postgres-secrets\.json lacks the password"):
            embedded.url()


def test_broken_server_is_reported_in_one_line_with_its_log(tmp_path):
    with server(tmp_path) as embedded:
        embedded.stop()
        with (embedded.data / "postgresql.conf").open("a") as file:
            file.write("no_such_setting = 1\n")
        with pytest.raises(DatabaseError) as caught:
            embedded.start()
    assert "no_such_setting" in str(caught.value) or "errors" in str(caught.value)
    assert str(embedded.log) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_url_before_the_first_start_says_what_to_do(tmp_path):
    with pytest.raises(DatabaseError, match="make run"):
        EmbeddedPostgres(tmp_path).url()


def test_folder_private_to_its_user_works_and_parents_keep_their_permissions(tmp_path):
    parent = tmp_path / "private folder"
    parent.mkdir(mode=0o700)
    before = [(path.stat().st_mode, path.stat().st_uid) for path in (parent, tmp_path)]
    with server(parent / "state") as embedded:
        assert ask(embedded.url(), "select 1") == [(1,)]
    assert [(path.stat().st_mode, path.stat().st_uid) for path in (parent, tmp_path)] == before


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that any user may enter; pytest's own folders are private."""
    folder = Path("/tmp") / f"loan-scoring-test-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o755)  # whatever the umask
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_root_without_namespaces_runs_it_as_another_user(public_folder, monkeypatch):
    monkeypatch.setattr(postgres_account.shutil, "which", lambda _: None)
    state = public_folder / "state"
    state.mkdir(mode=0o755)
    try:
        account = postgres_account.choose_account(state)
    except DatabaseError as error:
        pytest.skip(str(error))
    assert account.uid != 0
    with server(state) as embedded:
        assert embedded.data.stat().st_uid == account.uid
        assert ask(embedded.url(), "select 1") == [(1,)]
        embedded.stop()
        monkeypatch.undo()  # with namespaces again the data gets another owner
        assert ask(embedded.start().url(), "select 1") == [(1,)]
    assert state.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become an ordinary user")
def test_ordinary_user_runs_it(public_folder):
    folder = public_folder / "of a user"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    as_user = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": folder}
    as_user["env"] = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # If the environment's interpreter is private to root, use the system's of that version.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}"):
        with contextlib.suppress(OSError):
            probe = [python, "-c", "import loan_scoring, psycopg2"]
            if subprocess.run(probe, capture_output=True, **as_user).returncode == 0:
                break
    else:
        pytest.skip(f"neither {sys.executable} nor a {version} can be used by an ordinary user")
    stop = START.replace(".start().url()", ".stop()")
    try:
        done = subprocess.run(
            [python, "-c", START, folder], capture_output=True, text=True, **as_user
        )
        assert done.stdout.startswith("postgresql://"), done.stderr
        assert (folder / "postgres" / "data").stat().st_uid == 65534
    finally:
        subprocess.run([python, "-c", stop, folder], check=True, **as_user)
